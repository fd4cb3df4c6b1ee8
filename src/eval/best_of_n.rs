//! Best-of-N over a benchmark's questions, beside what needs no model.

use serde::{Deserialize, Serialize};

use super::bootstrap::mean_estimate;
use super::interval::Estimate;
use super::subsets::{Binomials, Sample, any_of, best_of};
use super::vote::{majority, weighted};

/// A question with its scored samples.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Question {
    /// Rewards of the samples; none where one could not be scored.
    pub rewards: Vec<Option<f32>>,
    /// Whether each sample is right.
    pub correct: Vec<bool>,
    /// The samples' answers in normal form, none where nothing could be read. None at all for programs, which are judged
    /// by their tests and cannot vote.
    pub answers: Option<Vec<Option<String>>>,
    /// The right answer in normal form.
    pub gold: Option<String>,
}

/// How one of the samples is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Chooser {
    /// The highest reward.
    BestOfN,
    /// The answer of most samples.
    Majority,
    /// The answer whose samples have the most reward.
    WeightedVote,
    /// Whoever knows the right answer: whether it is among them at all.
    Oracle,
    /// Chance.
    Random,
}

impl Chooser {
    /// The word in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::BestOfN => "best_of_n",
            Self::Majority => "majority",
            Self::WeightedVote => "weighted_vote",
            Self::Oracle => "oracle",
            Self::Random => "random",
        }
    }
}

/// One curve's values: `[question][size]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// How samples are chosen.
    pub chooser: Chooser,
    /// For each question, the expected correctness at each size.
    pub values: Vec<Vec<f64>>,
}

/// 1, 2, 4, ... up to `most`, and 256 at most.
pub fn sizes(most: usize) -> Vec<usize> {
    (0..9).map(|power| 1 << power).take_while(|size| *size <= most).collect()
}

/// The expected correctness of every question at every size, for all choosers. `seed` draws the subsets of weighted votes.
///
/// # Panics
/// When a question has fewer samples than a size: that is a bug.
pub fn curves<'q>(questions: &'q [Question], sizes: &[usize], seed: u64) -> Vec<Curve> {
    let most = questions.iter().map(|question| question.rewards.len()).max().unwrap_or(0);
    let binomials = Binomials::new(most);
    let samples = |question: &Question| -> Vec<Sample> {
        let both = question.rewards.iter().zip(&question.correct);
        both.map(|(&reward, &correct)| Sample { reward, correct }).collect()
    };
    let mut curves = vec![
        Curve {
            chooser: Chooser::BestOfN,
            values: questions.iter().map(|question| best_of(&samples(question), sizes, &binomials)).collect(),
        },
        Curve {
            chooser: Chooser::Oracle,
            values: questions.iter().map(|question| any_of(&samples(question), sizes, &binomials)).collect(),
        },
        Curve {
            chooser: Chooser::Random,
            values: (questions.iter())
                .map(|question| {
                    let right = question.correct.iter().filter(|correct| **correct).count();
                    vec![right as f64 / question.correct.len() as f64; sizes.len()]
                })
                .collect(),
        },
    ];
    // Votes are of all questions or of none: programs have no answers to count.
    if questions.iter().all(|question| question.answers.is_some()) {
        let answers = |question: &'q Question| -> Vec<Option<&'q str>> {
            question.answers.iter().flatten().map(Option::as_deref).collect()
        };
        // A right answer that cannot be read is one that nobody gives.
        let gold = |question: &'q Question| question.gold.as_deref().unwrap_or_default();
        let by_count = questions.iter().map(|q| majority(&answers(q), gold(q), sizes, &binomials));
        curves.push(Curve { chooser: Chooser::Majority, values: by_count.collect() });
        let by_reward = (questions.iter().zip(0..)).map(|(q, number)| {
            weighted(&answers(q), &q.rewards, gold(q), sizes, &binomials, seed.wrapping_add(number))
        });
        curves.push(Curve { chooser: Chooser::WeightedVote, values: by_reward.collect() });
    }
    curves.sort_by_key(|curve| curve.chooser);
    curves
}

/// The metric of a chooser at a size, such as `best_of_n@16`.
pub fn metric(chooser: Chooser, size: usize) -> String {
    format!("{}@{size}", chooser.name())
}

/// Means over the questions, each with its bootstrap interval over questions; every figure from the same resamples.
pub fn estimates(curves: &[Curve], sizes: &[usize], seed: u64) -> Vec<Estimate> {
    let each = curves.iter().flat_map(|curve| (0..sizes.len()).map(move |at| (curve, at)));
    each.filter_map(|(curve, at)| {
        let values: Vec<f64> = curve.values.iter().map(|values| values[at]).collect();
        mean_estimate(&metric(curve.chooser, sizes[at]), &values, seed)
    })
    .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn question(rewards: &[f32], answers: &[Option<&str>]) -> Question {
        Question {
            rewards: rewards.iter().copied().map(Some).collect(),
            correct: answers.iter().map(|answer| *answer == Some("7")).collect(),
            answers: Some(answers.iter().map(|answer| answer.map(str::to_owned)).collect()),
            gold: Some("7".to_owned()),
        }
    }

    fn at(found: &[Estimate], metric: &str) -> f64 {
        found.iter().find(|estimate| estimate.metric == metric).unwrap().value
    }

    #[test]
    fn every_chooser_is_measured_at_every_size() {
        let questions = [
            question(&[0.0, 1.0, 2.0, 3.0], &[Some("5"), Some("5"), None, Some("7")]),
            question(&[3.0, 1.0, 0.0, 2.0], &[Some("5"), Some("7"), Some("7"), Some("7")]),
        ];
        let sizes = sizes(4);
        assert_eq!(sizes, [1, 2, 4]);
        let found = estimates(&curves(&questions, &sizes, 0), &sizes, 0);
        assert_eq!(found.len(), 15);
        assert!((at(&found, "best_of_n@4") - 0.5).abs() < 1e-12);
        assert!((at(&found, "majority@4") - 0.5).abs() < 1e-12);
        assert!((at(&found, "oracle@4") - 1.0).abs() < 1e-12);
        for chooser in [Chooser::BestOfN, Chooser::Majority, Chooser::WeightedVote, Chooser::Oracle, Chooser::Random] {
            assert!((at(&found, &metric(chooser, 1)) - 0.5).abs() < 1e-12, "{chooser:?}");
        }
        assert!((at(&found, "random@4") - 0.5).abs() < 1e-12);
        assert!(found.iter().all(|estimate| estimate.low <= estimate.value && estimate.value <= estimate.high));
    }

    #[test]
    fn programs_do_not_vote() {
        let program = Question { answers: None, ..question(&[1.0, 2.0], &[Some("5"), Some("7")]) };
        let choosers: Vec<_> = curves(&[program], &[1, 2], 0).iter().map(|curve| curve.chooser).collect();
        assert_eq!(choosers, [Chooser::BestOfN, Chooser::Oracle, Chooser::Random]);
    }
}

//! Figures from rows: whatever is printed or kept can be computed again from `evaluation_items`.

use serde_json::json;

use super::Metric;
use crate::eval::best_of_n::{Chooser, Question, curves, estimates, metric, sizes};
use crate::eval::bootstrap::{RESAMPLES, mean_estimate};
use crate::eval::ranking::{Ranked, is_ties, ranking};
use crate::eval::{Estimate, PairReward, accuracy, choice};
use crate::store::evaluation::ItemRow;

/// An estimate, and what else there is to say of it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Figure {
    /// Value and interval.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Further figures.
    pub details: serde_json::Value,
}

/// All figures of a metric over `rows`; `seed` draws the intervals. Empty if no row can be measured.
///
/// # Errors
/// What rows the metric cannot be computed from, as a sentence.
pub fn figures(metric: Metric, rows: &[ItemRow], seed: u64) -> Result<Vec<Figure>, String> {
    Ok(match metric {
        Metric::Accuracy => accuracies(rows, seed),
        Metric::Choice => choices(rows, seed),
        Metric::BestOfN => best(rows, seed),
        Metric::RewardBench2 => {
            ranking(&ranked(rows), seed)?.into_iter().map(|estimate| plain(estimate, seed)).collect()
        }
    })
}

/// Of each figure its name and its values by item.
pub type ItemValues = Vec<(String, Vec<Option<f64>>)>;

/// The values of each item that a metric's figures are means of, by figure; none where an item has no value. So two models, or
/// several seeds, can be put side by side item by item.
pub fn item_values(metric: Metric, rows: &[ItemRow], seed: u64) -> ItemValues {
    let named = |name: &str, values: Vec<Option<f64>>| vec![(name.to_owned(), values)];
    match metric {
        Metric::Accuracy => named("accuracy", rows.iter().map(pair_share).collect()),
        Metric::Choice => named("choice", rows.iter().map(|row| Some(choice_value(row))).collect()),
        // The subset of ties has no value by item.
        Metric::RewardBench2 => {
            let value = |row: &ItemRow| (!is_ties(&row.subset)).then(|| choice::wins(&row.rewards, 0));
            named("reward_bench_2_without_ties", rows.iter().map(value).collect())
        }
        Metric::BestOfN => {
            let bare: Vec<Question> = rows.iter().map(|row| Question { answers: None, ..question(row) }).collect();
            let sizes = common_sizes(rows);
            let curves = curves(&bare, &sizes, seed);
            let best = curves.into_iter().find(|curve| curve.chooser == Chooser::BestOfN);
            let values = best.map(|curve| curve.values).unwrap_or_default();
            let column = |(at, size): (usize, &usize)| {
                (format!("best_of_n@{size}"), values.iter().map(|values| Some(values[at])).collect())
            };
            // The largest size first, as in the figures.
            sizes.iter().enumerate().rev().map(column).collect()
        }
    }
}

fn ranked(rows: &[ItemRow]) -> Vec<Ranked<'_>> {
    let right = |row: &ItemRow| row.correct.iter().filter(|correct| **correct).count();
    let rows = rows.iter().map(|row| (row, right(row)));
    rows.map(|(row, right)| Ranked { id: &row.key, subset: &row.subset, rewards: &row.rewards, right }).collect()
}

fn plain(estimate: Estimate, seed: u64) -> Figure {
    Figure { estimate, details: json!({ "interval": "bootstrap", "resamples": RESAMPLES, "seed": seed }) }
}

/// Each item's share of pairs of a right and a wrong text in the right order, ties half; none where a text has no reward.
fn pair_share(row: &ItemRow) -> Option<f64> {
    let all: Option<Vec<f32>> = row.rewards.iter().copied().collect();
    let all = all?;
    let side = |right: bool| {
        all.iter().zip(&row.correct).filter(move |(_, correct)| **correct == right).map(|(reward, _)| *reward)
    };
    let wins: Vec<f64> = side(true)
        .flat_map(|chosen| side(false).map(move |rejected| accuracy::win(PairReward { chosen, rejected })))
        .collect();
    (!wins.is_empty()).then(|| wins.iter().sum::<f64>() / wins.len() as f64)
}

fn accuracies(rows: &[ItemRow], seed: u64) -> Vec<Figure> {
    let shares: Vec<f64> = rows.iter().filter_map(pair_share).collect();
    let left_out = rows.len() - shares.len();
    let pairs: Option<Vec<PairReward>> = (rows.iter().filter(|row| pair_share(row).is_some()))
        .map(|row| match row.rewards[..] {
            [Some(chosen), Some(rejected)] if row.correct == [true, false] => Some(PairReward { chosen, rejected }),
            _ => None,
        })
        .collect();
    if let Some(found) = pairs.and_then(|pairs| accuracy(&pairs, seed)) {
        let mut details = found.details();
        details["left_out"] = json!(left_out);
        details["seed"] = json!(seed);
        return vec![Figure { estimate: found.accuracy, details }];
    }
    let found = mean_estimate("accuracy", &shares, seed).map(|estimate| plain(estimate, seed));
    let note = |mut figure: Figure| {
        figure.details["left_out"] = json!(left_out);
        figure
    };
    found.map(note).into_iter().collect()
}

/// The probability that an item's right option wins.
fn choice_value(row: &ItemRow) -> f64 {
    row.correct.iter().position(|correct| *correct).map_or(0.0, |right| choice::wins(&row.rewards, right))
}

fn choices(rows: &[ItemRow], seed: u64) -> Vec<Figure> {
    let values: Vec<f64> = rows.iter().map(choice_value).collect();
    let chance = rows.iter().map(|row| 1.0 / row.rewards.len() as f64).sum::<f64>() / rows.len() as f64;
    let unscored = rows.iter().flat_map(|row| &row.rewards).filter(|reward| reward.is_none()).count();
    let mut found: Vec<Figure> = mean_estimate("choice", &values, seed).map(|e| plain(e, seed)).into_iter().collect();
    for figure in &mut found {
        figure.details["chance"] = json!(chance);
        figure.details["unscored"] = json!(unscored);
    }
    found
}

/// A row as a question with samples.
fn question(row: &ItemRow) -> Question {
    Question {
        rewards: row.rewards.clone(),
        correct: row.correct.clone(),
        answers: row.answers.clone(),
        gold: row.gold.clone(),
    }
}

/// Sizes that every question has enough samples for.
fn common_sizes(rows: &[ItemRow]) -> Vec<usize> {
    sizes(rows.iter().map(|row| row.rewards.len()).min().unwrap_or(0))
}

fn best(rows: &[ItemRow], seed: u64) -> Vec<Figure> {
    let questions: Vec<Question> = rows.iter().map(question).collect();
    let sizes = common_sizes(rows);
    let most = rows.iter().map(|row| row.rewards.len()).max().unwrap_or(0);
    let samples: usize = rows.iter().map(|row| row.rewards.len()).sum();
    let unread = rows.iter().filter_map(|row| row.answers.as_ref()).flatten().filter(|answer| answer.is_none()).count();
    let unscored = rows.iter().flat_map(|row| &row.rewards).filter(|reward| reward.is_none()).count();
    let no_gold = rows.iter().filter(|row| row.answers.is_some() && row.gold.is_none()).count();
    let found = estimates(&curves(&questions, &sizes, seed), &sizes, seed);
    let drawn = |estimate: &Estimate| estimate.metric.starts_with(Chooser::WeightedVote.name());
    let note = |estimate: Estimate| {
        let exact =
            if drawn(&estimate) { "exact, or the mean over 1000 drawn subsets where there are more" } else { "exact" };
        let details = json!({ "interval": "bootstrap", "resamples": RESAMPLES, "seed": seed, "subsets": exact,
                              "samples": samples, "most_samples": most, "unreadable_answers": unread,
                              "unscored": unscored, "unreadable_golds": no_gold });
        Figure { estimate, details }
    };
    let mut found: Vec<Figure> = found.into_iter().map(note).collect();
    // The largest size first says the most, and is what a stage's summary shows.
    let headline = sizes.last().map(|size| metric(Chooser::BestOfN, *size));
    found.sort_by_key(|figure| Some(&figure.estimate.metric) != headline.as_ref());
    found
}

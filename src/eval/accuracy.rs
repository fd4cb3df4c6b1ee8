//! Pairwise preference accuracy: how often the chosen answer has the higher reward.
//!
//! A tie counts half, as a coin would decide it; so a model that gives every answer the same reward has an accuracy of
//! 0.5, not 0 and not 1. Ties are counted and told. A reward that is not a number orders nothing and is a tie too; the
//! count of those is told apart.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::bootstrap::{RESAMPLES, Tally, mean_interval};
use super::interval::Estimate;

/// The rewards of a pair's two answers.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct PairReward {
    /// Of the preferred answer.
    pub chosen: f32,
    /// Of the other one.
    pub rejected: f32,
}

/// How well rewards order pairs, and how they spread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Accuracy {
    /// Share of pairs whose chosen answer has the higher reward, ties half; with the interval that `interval` names.
    pub accuracy: Estimate,
    /// `bootstrap`, or `wilson` where all pairs are decided the same way; see [`Tally::estimate`].
    pub interval: &'static str,
    /// Wilson's interval of the same share.
    pub wilson: (f64, f64),
    /// Mean of chosen minus rejected reward, with its bootstrap interval.
    pub margin: Estimate,
    /// Mean of all rewards.
    pub reward_mean: f64,
    /// Standard deviation of all rewards (of the population).
    pub reward_std: f64,
    /// Pairs with two equal rewards.
    pub ties: u64,
    /// Pairs with a reward that is not a finite number.
    pub invalid: u64,
}

impl Accuracy {
    /// All but the share itself, as the row of a measurement keeps it.
    pub fn details(&self) -> serde_json::Value {
        json!({ "interval": self.interval, "wilson": self.wilson, "margin": self.margin, "reward_mean": self.reward_mean,
                "reward_std": self.reward_std, "ties": self.ties, "invalid": self.invalid })
    }
}

/// Measures the accuracy of `rewards`; `seed` draws the bootstrap. None without pairs.
pub fn accuracy(rewards: &[PairReward], seed: u64) -> Option<Accuracy> {
    let n = rewards.len() as u64;
    let wins = Tally::count(rewards.iter().map(|pair| win(*pair)));
    let finite = |pair: &&PairReward| pair.chosen.is_finite() && pair.rejected.is_finite();
    let margins: Vec<f64> =
        rewards.iter().filter(finite).map(|pair| f64::from(pair.chosen) - f64::from(pair.rejected)).collect();
    let all: Vec<f64> =
        rewards.iter().filter(finite).flat_map(|pair| [f64::from(pair.chosen), f64::from(pair.rejected)]).collect();
    let (reward_mean, reward_std) = moments(&all);
    let margin = moments(&margins).0;
    let (margin_low, margin_high) = mean_interval(&margins, RESAMPLES, 0.95, seed).unwrap_or((margin, margin));
    Some(Accuracy {
        accuracy: wins.estimate("accuracy", seed)?,
        interval: wins.interval(),
        wilson: wins.wilson(),
        margin: Estimate {
            metric: "margin".to_owned(),
            value: margin,
            low: margin_low,
            high: margin_high,
            n: margins.len() as u64,
        },
        reward_mean,
        reward_std,
        ties: rewards.iter().filter(finite).filter(|pair| tied(**pair)).count() as u64,
        invalid: n - margins.len() as u64,
    })
}

/// 1 for the right order, 0 for the wrong one, a half for none.
pub fn win(pair: PairReward) -> f64 {
    match pair.chosen.partial_cmp(&pair.rejected) {
        Some(std::cmp::Ordering::Greater) => 1.0,
        Some(std::cmp::Ordering::Less) => 0.0,
        Some(std::cmp::Ordering::Equal) | None => 0.5,
    }
}

/// Mean and standard deviation of the population; zeros for none.
pub fn moments(values: &[f64]) -> (f64, f64) {
    if values.is_empty() {
        return (0.0, 0.0);
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt())
}

fn tied(pair: PairReward) -> bool {
    pair.chosen.partial_cmp(&pair.rejected) == Some(std::cmp::Ordering::Equal)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pairs(rewards: &[(f32, f32)]) -> Vec<PairReward> {
        rewards.iter().map(|&(chosen, rejected)| PairReward { chosen, rejected }).collect()
    }

    #[test]
    fn accuracy_is_the_share_of_pairs_in_the_right_order() {
        let found = accuracy(&pairs(&[(1.0, 0.0), (2.0, 1.0), (0.0, 3.0), (5.0, -5.0)]), 0).unwrap();
        assert!((found.accuracy.value - 0.75).abs() < 1e-12);
        assert_eq!(found.accuracy.n, 4);
        assert!(found.accuracy.low < 0.75 && found.accuracy.high > 0.75);
        assert!(found.wilson.0 <= 0.75 && found.wilson.1 >= 0.75 && found.interval == "bootstrap");
        assert!((found.margin.value - 2.25).abs() < 1e-12);
        assert!((found.reward_mean - 7.0 / 8.0).abs() < 1e-12);
    }

    #[test]
    fn a_tie_counts_half_and_is_told() {
        let found = accuracy(&pairs(&[(1.0, 1.0), (1.0, 1.0)]), 0).unwrap();
        assert!((found.accuracy.value - 0.5).abs() < 1e-12);
        assert_eq!((found.ties, found.invalid), (2, 0));
        assert!(found.reward_std.abs() < 1e-12);
    }

    #[test]
    fn a_reward_that_is_no_number_is_counted_and_spoils_no_mean() {
        let found = accuracy(&pairs(&[(f32::NAN, 1.0), (3.0, 1.0)]), 0).unwrap();
        assert_eq!((found.ties, found.invalid), (0, 1));
        assert!((found.accuracy.value - 0.75).abs() < 1e-12);
        assert!((found.reward_mean - 2.0).abs() < 1e-12 && (found.margin.value - 2.0).abs() < 1e-12);
    }

    #[test]
    fn no_pairs_have_no_accuracy() {
        assert_eq!(accuracy(&[], 0), None);
    }
}

//! Two models on the same items, and one model trained with several seeds.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use super::bootstrap::{RESAMPLES, mean_estimate, percentiles};
use super::interval::Estimate;

/// How two models differ on the same items.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Paired {
    /// Mean of the first model's values.
    pub first: f64,
    /// Mean of the second model's values.
    pub second: f64,
    /// First minus second, with the bootstrap interval over items: each resample takes both models' values of an item
    /// together, so that what makes an item hard for both does not widen it.
    pub difference: Estimate,
    /// Items on which the first is better.
    pub better: u64,
    /// Items on which it is worse.
    pub worse: u64,
}

/// Compares values of the same items in the same order; none without items.
///
/// # Panics
/// When the two are not of one length: that is a bug.
pub fn paired(metric: &str, first: &[f64], second: &[f64], seed: u64) -> Option<Paired> {
    assert_eq!(first.len(), second.len(), "values of different items");
    let differences: Vec<f64> = first.iter().zip(second).map(|(first, second)| first - second).collect();
    let difference = mean_estimate(&format!("{metric}_difference"), &differences, seed)?;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    Some(Paired {
        first: mean(first),
        second: mean(second),
        difference,
        better: differences.iter().filter(|difference| **difference > 0.0).count() as u64,
        worse: differences.iter().filter(|difference| **difference < 0.0).count() as u64,
    })
}

/// What several seeds come to together.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Seeds {
    /// Mean over seeds and items, with an interval that covers both: other seeds, and other items.
    pub mean: Estimate,
    /// Standard deviation of the seeds' means (of the sample); 0 for one seed.
    pub spread: f64,
    /// How many seeds.
    pub seeds: usize,
}

/// Aggregates `values[seed][item]`. Seeds and items are resampled independently of each other, the pigeonhole bootstrap
/// (Owen 2007, Annals of Applied Statistics 1); it errs on the wide side in what belongs to single items. Resampling few seeds
/// understates their spread, so a resample's deviation by seeds is widened by `sqrt(k / (k - 1))`. None without values.
///
/// # Panics
/// When seeds differ in their number of items: that is a bug.
pub fn seeds(metric: &str, values: &[Vec<f64>], seed: u64) -> Option<Seeds> {
    let (k, n) = (values.len(), values.first()?.len());
    assert!(values.iter().all(|own| own.len() == n), "seeds with different items");
    if n == 0 {
        return None;
    }
    let means: Vec<f64> = values.iter().map(|own| own.iter().sum::<f64>() / n as f64).collect();
    let mean = means.iter().sum::<f64>() / k as f64;
    let spread =
        if k > 1 { (means.iter().map(|own| (own - mean).powi(2)).sum::<f64>() / (k - 1) as f64).sqrt() } else { 0.0 };
    let widen = if k > 1 { (k as f64 / (k - 1) as f64).sqrt() } else { 1.0 };
    let mut random = StdRng::seed_from_u64(seed);
    let mut drawn: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let chosen: Vec<usize> = (0..k).map(|_| random.random_range(0..k)).collect();
            // The deviation by the choice of seeds over all items is widened, the rest is as it was drawn.
            let by_seeds = chosen.iter().map(|&own| means[own]).sum::<f64>() / k as f64 - mean;
            let sum: f64 = (0..n)
                .map(|_| {
                    let item = random.random_range(0..n);
                    chosen.iter().map(|&own| values[own][item]).sum::<f64>()
                })
                .sum();
            sum / (k * n) as f64 + (widen - 1.0) * by_seeds
        })
        .collect();
    let (low, high) = percentiles(&mut drawn, 0.95);
    let (low, high) = (low.min(mean), high.max(mean));
    let mean = Estimate { metric: format!("mean_{metric}"), value: mean, low, high, n: n as u64 };
    Some(Seeds { mean, spread, seeds: k })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A number about 0 with standard deviation 1: twelve even ones, less six.
    fn normal(random: &mut StdRng) -> f64 {
        (0..12).map(|_| random.random_range(0.0..1.0_f64)).sum::<f64>() - 6.0
    }

    #[test]
    fn a_difference_is_as_sure_as_the_items_agree_on_it() {
        // Items differ much from each other, and the first model is a little better on every one.
        let mut random = StdRng::seed_from_u64(1);
        let second: Vec<f64> = (0..80).map(|_| 10.0 * normal(&mut random)).collect();
        let first: Vec<f64> = second.iter().map(|value| value + 0.5 + 0.1 * normal(&mut random)).collect();
        let found = paired("x", &first, &second, 0).unwrap();
        assert!(found.difference.low > 0.4 && found.difference.high < 0.6, "{found:?}");
        assert_eq!((found.better, found.worse), (80, 0));
        let other = paired("x", &second, &first, 0).unwrap();
        assert!((found.difference.value + other.difference.value).abs() < 1e-12);
        assert_eq!(paired("x", &[], &[], 0), None);
    }

    #[test]
    fn the_interval_of_a_difference_covers_the_truth_about_as_often_as_it_says() {
        let mut random = StdRng::seed_from_u64(7);
        let trials = 200;
        let covered = (0..trials)
            .filter(|&trial| {
                let item: Vec<f64> = (0..50).map(|_| 3.0 * normal(&mut random)).collect();
                let mut of =
                    |lead: f64| item.iter().map(|value| value + lead + normal(&mut random)).collect::<Vec<_>>();
                let (first, second) = (of(0.3), of(0.0));
                let found = paired("x", &first, &second, trial).unwrap().difference;
                found.low <= 0.3 && 0.3 <= found.high
            })
            .count();
        assert!((180..=198).contains(&covered), "{covered} of {trials}");
    }

    #[test]
    fn the_interval_over_seeds_and_items_covers_the_truth_at_least_about_as_often_as_it_says() {
        let mut random = StdRng::seed_from_u64(11);
        let trials = 150;
        let covered = (0..trials)
            .filter(|&trial| {
                let item: Vec<f64> = (0..40).map(|_| normal(&mut random)).collect();
                let values: Vec<Vec<f64>> = (0..5)
                    .map(|_| {
                        let own = 0.3 * normal(&mut random);
                        item.iter().map(|value| value + own + 0.5 * normal(&mut random)).collect()
                    })
                    .collect();
                let found = seeds("x", &values, trial).unwrap().mean;
                found.low <= 0.0 && 0.0 <= found.high
            })
            .count();
        assert!((135..=150).contains(&covered), "{covered} of {trials}");
    }

    #[test]
    fn seeds_have_a_mean_and_a_spread() {
        let found = seeds("accuracy", &[vec![1.0, 0.0], vec![1.0, 1.0], vec![0.0, 0.0]], 0).unwrap();
        assert!((found.mean.value - 0.5).abs() < 1e-12 && (found.spread - 0.5).abs() < 1e-12, "{found:?}");
        assert_eq!((found.mean.metric.as_str(), found.mean.n, found.seeds), ("mean_accuracy", 2, 3));
        let alone = seeds("accuracy", &[vec![1.0, 0.0]], 0).unwrap();
        assert!(alone.spread.abs() < 1e-12 && alone.mean.low < 0.5 && alone.mean.high > 0.5);
        assert_eq!(seeds("accuracy", &[], 0), None);
    }
}

//! The percentile bootstrap, and the seeded permutation of samples that it draws.
//!
//! The draws depend on the seed and the number of samples alone, so that the same rewards give the same interval.

use super::interval::Estimate;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// How many resamples an interval is drawn from.
pub const RESAMPLES: usize = 2000;

/// The percentile interval of `confidence` (0.95 for 95 %) of the mean of `values` (Efron 1979): draws `resamples` sets
/// of the same size with replacement. None without values or resamples.
pub fn mean_interval(values: &[f64], resamples: usize, confidence: f64, seed: u64) -> Option<(f64, f64)> {
    if values.is_empty() || resamples == 0 {
        return None;
    }
    let mut random = StdRng::seed_from_u64(seed);
    let mut means: Vec<f64> = (0..resamples)
        .map(|_| {
            let sum: f64 = (0..values.len()).map(|_| values[random.random_range(0..values.len())]).sum();
            sum / values.len() as f64
        })
        .collect();
    Some(percentiles(&mut means, confidence))
}

/// The bounds that leave out as much of `drawn` at either end as `confidence` says; they are sorted for it.
///
/// # Panics
/// When nothing was drawn: that is a bug.
pub fn percentiles(drawn: &mut [f64], confidence: f64) -> (f64, f64) {
    drawn.sort_by(f64::total_cmp);
    let at = |share: f64| drawn[((share * drawn.len() as f64) as usize).min(drawn.len() - 1)];
    let tail = (1.0 - confidence) / 2.0;
    (at(tail), at(1.0 - tail))
}

/// The mean of `values` with its 95 % interval over [`RESAMPLES`] resamples; none without values.
pub fn mean_estimate(metric: &str, values: &[f64], seed: u64) -> Option<Estimate> {
    let (low, high) = mean_interval(values, RESAMPLES, 0.95, seed)?;
    let value = values.iter().sum::<f64>() / values.len() as f64;
    Some(Estimate {
        metric: metric.to_owned(),
        value,
        low: low.min(value),
        high: high.max(value),
        n: values.len() as u64,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_large_sample_is_near_the_normal_one() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 4 != 0)).collect();
        let (low, high) = mean_interval(&values, RESAMPLES, 0.95, 7).unwrap();
        let half = 1.96 * (0.75_f64 * 0.25 / 400.0).sqrt();
        assert!((low - (0.75 - half)).abs() < 0.012 && (high - (0.75 + half)).abs() < 0.012, "{low} {high}");
    }

    #[test]
    fn the_interval_covers_the_truth_about_as_often_as_it_says() {
        // 60 answers of a model that is right 7 times in 10, measured 300 times.
        let mut random = StdRng::seed_from_u64(3);
        let trials = 300;
        let covered = (0..trials)
            .filter(|&trial| {
                let values: Vec<f64> = (0..60).map(|_| f64::from(u8::from(random.random_bool(0.7)))).collect();
                let (low, high) = mean_interval(&values, 600, 0.95, trial).unwrap();
                low <= 0.7 && 0.7 <= high
            })
            .count();
        assert!((275..=296).contains(&covered), "{covered} of {trials}");
    }

    #[test]
    fn the_same_seed_draws_the_same_interval_and_another_seed_another() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(i).sin()).collect();
        let interval = |seed| mean_interval(&values, 200, 0.95, seed).unwrap();
        assert_eq!(interval(1), interval(1));
        assert_ne!(interval(1), interval(2));
    }

    #[test]
    fn equal_values_have_no_width_and_no_values_no_interval() {
        assert_eq!(mean_interval(&[0.5; 9], 100, 0.95, 0), Some((0.5, 0.5)));
        assert_eq!(mean_interval(&[], 100, 0.95, 0), None);
    }
}

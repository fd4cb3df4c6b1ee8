//! The percentile bootstrap, and the seeded permutation of samples that it draws.
//!
//! The draws depend on the seed and the number of samples alone, so that the same rewards give the same interval.

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
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((share * resamples as f64) as usize).min(resamples - 1)];
    let tail = (1.0 - confidence) / 2.0;
    Some((at(tail), at(1.0 - tail)))
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

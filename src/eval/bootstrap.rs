//! The percentile bootstrap, and the seeded permutation of samples that it draws.
//!
//! The draws depend on the seed and the number of samples alone, so that the same rewards give the same interval.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Binomial, Distribution as _};

use super::interval::{Estimate, Z95, wilson};

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

/// Items that were decided one way, the other, or not at all. Their bootstrap needs no look at each of them: how many of each
/// sort a resample holds follows binomial distributions, so that it costs the same for a hundred items and for millions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Items that count 1.
    pub won: u64,
    /// Items that count a half.
    pub tied: u64,
    /// Items that count 0.
    pub lost: u64,
}

impl Tally {
    /// So many of `n` items count 1, the others 0.
    pub fn of(won: u64, n: u64) -> Self {
        Self { won, tied: 0, lost: n.saturating_sub(won) }
    }

    /// Counts values: 1, 0, and anything else as a half.
    pub fn count(values: impl IntoIterator<Item = f64>) -> Self {
        let mut tally = Self::default();
        for value in values {
            let sort = match value {
                1.0 => &mut tally.won,
                0.0 => &mut tally.lost,
                _ => &mut tally.tied,
            };
            *sort += 1;
        }
        tally
    }

    /// All items.
    pub fn n(self) -> u64 {
        self.won + self.tied + self.lost
    }

    /// Wilson's interval of the share.
    pub fn wilson(self) -> (f64, f64) {
        wilson(self.won as f64 + self.tied as f64 / 2.0, self.n(), Z95)
    }

    /// How the interval of [`Tally::estimate`] is made: `bootstrap`, or `wilson` where all items are of one sort.
    pub fn interval(self) -> &'static str {
        if [self.won, self.tied, self.lost].contains(&self.n()) { "wilson" } else { "bootstrap" }
    }

    /// The share that was won, ties half, with its 95 % percentile interval over [`RESAMPLES`] resamples. Items of one sort
    /// are the same in every resample, which says nothing of other items: there the interval is Wilson's. None without
    /// items.
    pub fn estimate(self, metric: &str, seed: u64) -> Option<Estimate> {
        let n = self.n();
        if n == 0 {
            return None;
        }
        let value = (self.won as f64 + self.tied as f64 / 2.0) / n as f64;
        let (low, high) = if self.interval() == "wilson" { self.wilson() } else { self.resampled(seed) };
        Some(Estimate { metric: metric.to_owned(), value, low: low.min(value), high: high.max(value), n })
    }

    fn resampled(self, seed: u64) -> (f64, f64) {
        let n = self.n();
        let mut random = StdRng::seed_from_u64(seed);
        // A share of `of` among `all` draws; 0 where there is nothing to be drawn from.
        let mut draw = |draws: u64, of: u64, all: u64| {
            let share = if all == 0 { 0.0 } else { of as f64 / all as f64 };
            Binomial::new(draws, share).map_or(0, |binomial| binomial.sample(&mut random))
        };
        let mut shares: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                let won = draw(n, self.won, n);
                let tied = draw(n - won, self.tied, n - self.won);
                (won as f64 + tied as f64 / 2.0) / n as f64
            })
            .collect();
        percentiles(&mut shares, 0.95)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_has_the_interval_of_the_items_it_counts() {
        let values: Vec<f64> = (0..300).map(|i| [1.0, 0.0, 1.0, 0.5][i % 4]).collect();
        let tally = Tally::count(values.iter().copied());
        assert_eq!(tally, Tally { won: 150, tied: 75, lost: 75 });
        let (by_items, found) = (mean_estimate("x", &values, 1).unwrap(), tally.estimate("x", 2).unwrap());
        assert!((found.value - by_items.value).abs() < 1e-12 && found.n == 300);
        assert!((found.low - by_items.low).abs() < 0.01 && (found.high - by_items.high).abs() < 0.01, "{found:?}");
        let many = Tally::of(600_000, 1_000_000).estimate("x", 0).unwrap();
        let half = 1.96 * (0.6_f64 * 0.4 / 1e6).sqrt();
        assert!((many.low - 0.6 + half).abs() < half / 5.0 && (many.high - 0.6 - half).abs() < half / 5.0, "{many:?}");
    }

    #[test]
    fn the_interval_of_a_tally_covers_the_truth_about_as_often_as_it_says() {
        let mut random = StdRng::seed_from_u64(5);
        let trials = 300;
        let covered = (0..trials)
            .filter(|&trial| {
                // 0.6 * 1 + 0.2 / 2
                let draw = |random: &mut StdRng| match random.random_range(0..10) {
                    0..6 => 1.0,
                    6..8 => 0.5,
                    _ => 0.0,
                };
                let found = Tally::count((0..80).map(|_| draw(&mut random))).estimate("x", trial).unwrap();
                found.low <= 0.7 && 0.7 <= found.high
            })
            .count();
        assert!((275..=296).contains(&covered), "{covered} of {trials}");
    }

    #[test]
    fn items_of_one_sort_have_wilsons_interval_as_no_resample_differs() {
        for tally in [Tally::of(20, 20), Tally::of(0, 20), Tally { tied: 20, ..Tally::default() }] {
            let found = tally.estimate("x", 0).unwrap();
            assert_eq!((tally.interval(), (found.low, found.high)), ("wilson", tally.wilson()));
            assert!(found.high - found.low > 0.1, "{found:?}");
        }
        assert_eq!((Tally::of(19, 20).interval(), Tally::default().estimate("x", 0)), ("bootstrap", None));
    }

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

//! Two models on the same items, and one model trained with several seeds.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use super::bootstrap::{RESAMPLES, percentiles};
use super::interval::{Estimate, Z95, student};

/// How two models differ on the same items; of a model with several seeds, by their mean.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Paired {
    /// Mean of the first model's values.
    pub first: f64,
    /// Mean of the second model's values.
    pub second: f64,
    /// First minus second. Each resample takes both models' values of an item together, so that what makes an item hard for
    /// both does not widen the interval; of several seeds each model draws its own.
    pub difference: Estimate,
    /// Items on which the first is better.
    pub better: u64,
    /// Items on which it is worse.
    pub worse: u64,
}

/// Compares `values[seed][item]` of two models on the same items in the same order; none without items.
///
/// # Panics
/// When they are not all of one length: that is a bug.
pub fn paired(metric: &str, first: &[Vec<f64>], second: &[Vec<f64>], seed: u64) -> Option<Paired> {
    let freedom = (first.len() + second.len()).saturating_sub(2);
    let (first, second) = (Side::new(first, freedom)?, Side::new(second, freedom)?);
    assert_eq!(first.items, second.items, "values of different items");
    let value = first.mean - second.mean;
    let (low, high) =
        interval(first.items, seed, |items, random| first.draw(items, random) - second.draw(items, random));
    let of =
        |side: &Side<'_>, item: usize| side.values.iter().map(|own| own[item]).sum::<f64>() / side.values.len() as f64;
    let differences: Vec<f64> = (0..first.items).map(|item| of(&first, item) - of(&second, item)).collect();
    Some(Paired {
        first: first.mean,
        second: second.mean,
        difference: Estimate {
            metric: format!("{metric}_difference"),
            value,
            low: low.min(value),
            high: high.max(value),
            n: first.items as u64,
        },
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

/// Aggregates `values[seed][item]`. None without values.
///
/// # Panics
/// When seeds differ in their number of items: that is a bug.
pub fn seeds(metric: &str, values: &[Vec<f64>], seed: u64) -> Option<Seeds> {
    let side = Side::new(values, values.len().saturating_sub(1))?;
    let (k, mean) = (values.len(), side.mean);
    let squares: f64 = side.means.iter().map(|own| (own - mean).powi(2)).sum();
    let spread = if k > 1 { (squares / (k - 1) as f64).sqrt() } else { 0.0 };
    let (low, high) = interval(side.items, seed, |items, random| side.draw(items, random));
    let (low, high) = (low.min(mean), high.max(mean));
    let mean = Estimate { metric: format!("mean_{metric}"), value: mean, low, high, n: side.items as u64 };
    Some(Seeds { mean, spread, seeds: k })
}

/// Percentile interval of what is drawn for [`RESAMPLES`] resamples of so many items.
fn interval(items: usize, seed: u64, of: impl Fn(&[usize], &mut StdRng) -> f64) -> (f64, f64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut chosen = vec![0; items];
    let mut drawn: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            chosen.fill_with(|| random.random_range(0..items));
            of(&chosen, &mut random)
        })
        .collect();
    percentiles(&mut drawn, 0.95)
}

/// The seeds of one model. Seeds and items are resampled independently of each other, the pigeonhole bootstrap (Owen 2007,
/// Annals of Applied Statistics 1); it errs on the wide side in what belongs to single items. Few seeds are another matter:
/// their resamples vary too little, and how much seeds vary is hardly known. So a resample's deviation by the choice of seeds
/// is widened as Hesterberg (2015, The American Statistician 69) expands percentiles: by `sqrt(k / (k - 1))`, and by Student's
/// quantile over the normal one.
struct Side<'v> {
    values: &'v [Vec<f64>],
    items: usize,
    means: Vec<f64>,
    mean: f64,
    widen: f64,
    /// The least and the greatest value: no mean lies beyond them, however much it was widened.
    range: (f64, f64),
}

impl<'v> Side<'v> {
    /// With so many degrees of freedom of the spread between seeds; none without values.
    fn new(values: &'v [Vec<f64>], freedom: usize) -> Option<Self> {
        let (k, items) = (values.len(), values.first()?.len());
        assert!(values.iter().all(|own| own.len() == items), "seeds with different items");
        let means: Vec<f64> = values.iter().map(|own| own.iter().sum::<f64>() / items as f64).collect();
        let mean = means.iter().sum::<f64>() / k as f64;
        let few = if k > 1 { (k as f64 / (k - 1) as f64).sqrt() } else { 1.0 };
        let widen = few * student(freedom).map_or(1.0, |quantile| quantile / Z95);
        let all = || values.iter().flatten().copied();
        let range = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
        (items > 0).then_some(Self { values, items, means, mean, widen, range })
    }

    /// The mean over these items and as many seeds as there are, chosen anew.
    fn draw(&self, items: &[usize], random: &mut StdRng) -> f64 {
        let k = self.values.len();
        let (mut sum, mut by_seeds) = (0.0, 0.0);
        for _ in 0..k {
            let own = random.random_range(0..k);
            by_seeds += self.means[own];
            sum += items.iter().map(|&item| self.values[own][item]).sum::<f64>();
        }
        // The deviation by the choice of seeds over all items is widened, the rest is as it was drawn.
        let drawn = sum / (k * items.len()) as f64 + (self.widen - 1.0) * (by_seeds / k as f64 - self.mean);
        drawn.clamp(self.range.0, self.range.1)
    }
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
        let (first, second) = ([first], [second]);
        let found = paired("x", &first, &second, 0).unwrap();
        assert!(found.difference.low > 0.4 && found.difference.high < 0.6, "{found:?}");
        assert_eq!((found.better, found.worse), (80, 0));
        let other = paired("x", &second, &first, 0).unwrap();
        assert!((found.difference.value + other.difference.value).abs() < 1e-12);
        assert_eq!(paired("x", &[vec![]], &[vec![]], 0), None);
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
                let found = paired("x", &[first], &[second], trial).unwrap().difference;
                found.low <= 0.3 && 0.3 <= found.high
            })
            .count();
        assert!((180..=198).contains(&covered), "{covered} of {trials}");
    }

    /// Values of `k` seeds on the same items, whose true mean is `lead`: seeds vary by `spread`, items by 1.
    fn model(random: &mut StdRng, items: &[f64], k: usize, spread: f64, lead: f64) -> Vec<Vec<f64>> {
        let seed = |random: &mut StdRng| {
            let own = lead + spread * normal(random);
            items.iter().map(|value| value + own + 0.5 * normal(random)).collect()
        };
        (0..k).map(|_| seed(random)).collect()
    }

    /// Few seeds that vary much, little or not at all: the interval is never much too sure.
    #[test]
    fn the_interval_over_seeds_and_items_covers_the_truth_at_least_about_as_often_as_it_says() {
        let mut random = StdRng::seed_from_u64(11);
        let trials = 150;
        for (k, spread) in [(2, 1.0), (3, 1.0), (3, 0.3), (3, 0.0), (5, 0.3)] {
            let covered = (0..trials)
                .filter(|&trial| {
                    let items: Vec<f64> = (0..40).map(|_| normal(&mut random)).collect();
                    let values = model(&mut random, &items, k, spread, 0.0);
                    let found = seeds("x", &values, trial).unwrap().mean;
                    found.low <= 0.0 && 0.0 <= found.high
                })
                .count();
            assert!((135..=150).contains(&covered), "{covered} of {trials} with {k} seeds that vary by {spread}");
        }
    }

    #[test]
    fn the_difference_of_two_models_with_seeds_covers_the_truth_at_least_about_as_often_as_it_says() {
        let mut random = StdRng::seed_from_u64(13);
        let trials = 150;
        for (first, second, spread) in [(3, 3, 0.3), (3, 3, 1.0), (3, 1, 0.0), (5, 2, 0.3)] {
            let covered = (0..trials)
                .filter(|&trial| {
                    let items: Vec<f64> = (0..40).map(|_| 3.0 * normal(&mut random)).collect();
                    let first = model(&mut random, &items, first, spread, 0.4);
                    let second = model(&mut random, &items, second, spread, 0.0);
                    let found = paired("x", &first, &second, trial).unwrap().difference;
                    found.low <= 0.4 && 0.4 <= found.high
                })
                .count();
            assert!((135..=150).contains(&covered), "{covered} of {trials}: {first} and {second} seeds, {spread}");
        }
    }

    #[test]
    fn seeds_have_a_mean_and_a_spread() {
        let found = seeds("accuracy", &[vec![1.0, 0.0], vec![1.0, 1.0], vec![0.0, 0.0]], 0).unwrap();
        assert!((found.mean.value - 0.5).abs() < 1e-12 && (found.spread - 0.5).abs() < 1e-12, "{found:?}");
        assert_eq!((found.mean.metric.as_str(), found.mean.n, found.seeds), ("mean_accuracy", 2, 3));
        let alone = seeds("accuracy", &[vec![1.0, 0.0]], 0).unwrap();
        assert!(alone.spread.abs() < 1e-12 && alone.mean.low < 0.5 && alone.mean.high > 0.5);
        let far = seeds("accuracy", &[vec![0.0, 0.0, 1.0], vec![1.0, 1.0, 1.0]], 0).unwrap().mean;
        assert!(far.low >= 0.0 && far.high <= 1.0, "no share lies beyond 0 and 1: {far:?}");
        assert_eq!(seeds("accuracy", &[], 0), None);
    }
}

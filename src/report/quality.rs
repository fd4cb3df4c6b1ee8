//! How good the pairs of a stage are, from what the store counts of them.

use serde::Serialize;

use crate::eval::Estimate;
use crate::eval::bootstrap::{Tally, mean_estimate};
use crate::store::quality::{Bar, Lengths, PairCounts, Share};

/// Bars of the histograms; each takes an even number, so that a bound lies in the middle.
pub const BARS: i32 = 40;

/// Draws the intervals: the same pairs have the same ones on every page.
const SEED: u64 = 0;

/// How good pairs are.
#[derive(Debug, Serialize)]
pub struct Quality {
    /// Counts over all pairs.
    pub counts: PairCounts,
    /// Share of pairs whose chosen side parses.
    pub chosen_valid: Estimate,
    /// Share of pairs whose rejected side parses.
    pub rejected_valid: Estimate,
    /// What the length alone tells.
    pub length: Option<LengthSignal>,
    /// Pairs whose chosen side stands in another pair too, of those that were read for the length.
    pub repeated_chosen: i64,
    /// Pairs by similarity.
    pub similarity: Histogram,
    /// Pairs by the length ratio, on a binary logarithm.
    pub length_ratio: Histogram,
    /// Pairs by repository.
    pub repositories: Vec<Share>,
    /// Pairs by licence.
    pub licences: Vec<Share>,
    /// Pairs by unit.
    pub units: Vec<Share>,
    /// Pairs by answering models.
    pub models: Vec<Share>,
    /// Pairs by describing model.
    pub describers: Vec<Share>,
}

/// How far the length of the sides predicts which is chosen, without a look at what they say.
#[derive(Debug, Serialize)]
pub struct LengthSignal {
    /// Share of pairs whose longer side is chosen, ties half. 0.5: length tells nothing.
    pub accuracy: Estimate,
    /// Probability that some chosen side is longer than some rejected one, of any pair (bootstrap over pairs).
    pub auc: Estimate,
    /// Mean length of chosen, in characters.
    pub chosen_mean: f64,
    /// Mean length of rejected, in characters.
    pub rejected_mean: f64,
}

/// Pairs by a number, in bars of equal width.
#[derive(Debug, Serialize)]
pub struct Histogram {
    /// Lower bound of the first bar.
    pub from: f64,
    /// Upper bound of the last bar.
    pub to: f64,
    /// Pairs in each bar.
    pub pairs: Vec<i64>,
}

impl Histogram {
    /// All bars, those without pairs too.
    pub fn new(from: f64, to: f64, found: &[Bar]) -> Self {
        let mut pairs = vec![0; BARS as usize];
        for bar in found {
            if let Some(count) = pairs.get_mut(bar.bar as usize) {
                *count += bar.pairs;
            }
        }
        Self { from, to, pairs }
    }
}

/// A share with the interval of [`Tally::estimate`]; of nothing, 0 with the whole range.
pub fn share(metric: &str, successes: i64, n: i64) -> Estimate {
    let found = Tally::of(successes as u64, n as u64).estimate(metric, SEED);
    found.unwrap_or(Estimate { metric: metric.to_owned(), value: 0.0, low: 0.0, high: 1.0, n: 0 })
}

/// What lengths alone tell about the label; none without pairs.
pub fn length_signal(lengths: &[Lengths]) -> Option<LengthSignal> {
    let n = lengths.len();
    if n == 0 {
        return None;
    }
    let longer = Tally::count(lengths.iter().map(|pair| above(pair.chosen, pair.rejected)));
    let accuracy = longer.estimate("length_accuracy", SEED)?;
    let mean = |of: fn(&Lengths) -> i32| lengths.iter().map(|pair| f64::from(of(pair))).sum::<f64>() / n as f64;
    Some(LengthSignal {
        accuracy,
        auc: auc(lengths)?,
        chosen_mean: mean(|pair| pair.chosen),
        rejected_mean: mean(|pair| pair.rejected),
    })
}

/// 1 if `a` is longer, a half for a tie.
fn above(a: i32, b: i32) -> f64 {
    f64::from(u8::from(a > b)) + 0.5 * f64::from(u8::from(a == b))
}

/// Area under the curve of "chosen is longer". A pair is resampled as one, for both its sides answer the same prompt; what is
/// resampled are the pairs' parts of the area (its linear terms, Hoeffding 1948, as in Obuchowski, Biometrics 53, 1997), whose
/// mean is the area itself.
fn auc(lengths: &[Lengths]) -> Option<Estimate> {
    let n = lengths.len() as f64;
    let sorted = |of: fn(&Lengths) -> i32| {
        let mut sorted: Vec<i32> = lengths.iter().map(of).collect();
        sorted.sort_unstable();
        sorted
    };
    let (chosen, rejected) = (sorted(|pair| pair.chosen), sorted(|pair| pair.rejected));
    // Share of `others` below `length`, those equal half.
    let rank = |others: &[i32], length: i32| {
        let (below, upto) = (others.partition_point(|&o| o < length), others.partition_point(|&o| o <= length));
        (below + upto) as f64 / 2.0 / n
    };
    let of_chosen: Vec<f64> = lengths.iter().map(|pair| rank(&rejected, pair.chosen)).collect();
    let value = of_chosen.iter().sum::<f64>() / n;
    let parts: Vec<f64> = (lengths.iter().zip(of_chosen))
        .map(|(pair, above)| above + (1.0 - rank(&chosen, pair.rejected)) - value)
        .collect();
    let found = mean_estimate("length_auc", &parts, SEED)?;
    Some(Estimate { value, low: found.low.max(0.0), high: found.high.min(1.0), ..found })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn lengths(pairs: &[(i32, i32)]) -> Vec<Lengths> {
        pairs.iter().map(|&(chosen, rejected)| Lengths { chosen, rejected }).collect()
    }

    #[test]
    fn the_area_is_the_share_of_all_pairs_of_sides_in_order() {
        let pairs = lengths(&[(10, 5), (7, 7), (3, 8), (9, 2)]);
        let found = length_signal(&pairs).unwrap();
        assert!((found.accuracy.value - 2.5 / 4.0).abs() < 1e-12);
        let all = pairs.iter().flat_map(|a| pairs.iter().map(move |b| above(a.chosen, b.rejected)));
        assert!((found.auc.value - all.sum::<f64>() / 16.0).abs() < 1e-12);
        assert!(found.auc.low <= found.auc.value && found.auc.value <= found.auc.high);
        assert!(length_signal(&[]).is_none());
    }

    #[test]
    fn lengths_that_tell_all_and_nothing_are_told_apart() {
        let all = length_signal(&lengths(&(0..200).map(|n| (500 + n, n)).collect::<Vec<_>>())).unwrap();
        assert!((all.auc.value - 1.0).abs() < 1e-12 && (all.auc.low - 1.0).abs() < 1e-9);
        let nothing = length_signal(&lengths(&(0..200).map(|n| (n, 199 - n)).collect::<Vec<_>>())).unwrap();
        assert!((nothing.auc.value - 0.5).abs() < 1e-12 && nothing.auc.low < 0.5 && nothing.auc.high > 0.5);
    }

    /// The interval holds the true area in about 95 of 100 draws: of 400, between 92 and 98 of 100.
    #[test]
    fn the_interval_covers_what_it_says() {
        use rand::{RngExt as _, SeedableRng as _};
        let mut random = rand::rngs::StdRng::seed_from_u64(5);
        // Both sides share a cluster's length, so that they are not independent; the true area is 0.5.
        let covered = (0..400).filter(|_| {
            let pairs: Vec<(i32, i32)> = (0..150)
                .map(|_| {
                    let shared = random.random_range(0..1000);
                    (shared + random.random_range(0..300), shared + random.random_range(0..300))
                })
                .collect();
            let found = length_signal(&lengths(&pairs)).unwrap().auc;
            found.low <= 0.5 && 0.5 <= found.high
        });
        let covered = covered.count();
        assert!((368..=392).contains(&covered), "{covered} of 400");
    }
}

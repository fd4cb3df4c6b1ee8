//! Estimates the Jaccard similarity of two documents from their packed sketches.
//!
//! Registers of b bits agree with probability `p = J + (1 - J) / 2^b`, so `J = (p - 2^-b) / (1 - 2^-b)` (b-bit
//! minwise hashing; Li, König 2010). The four-bit and the one-bit registers give an estimate each; their mean is
//! weighted by the inverse of the variance that each has at the threshold, where it matters.

use super::settings::Settings;
use super::sketch::{CHECKS, REGISTER_BITS, register_words};

/// Standard errors below the threshold from which a pair counts as near. Without a margin half of the pairs at the
/// threshold would be missed; with one standard error (0.022 at the default settings), one in six.
const MARGIN: f64 = 1.0;

/// The estimate for one choice of settings.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    register_words: usize,
    /// Similarity lost to each four-bit register that differs.
    register_cost: f64,
    /// Similarity lost to each one-bit register that differs.
    check_cost: f64,
    /// The least estimate at which a pair counts as near.
    accepted: f64,
}

impl Estimate {
    pub fn new(settings: &Settings) -> Self {
        let registers = settings.permutations as f64;
        let checks = registers * CHECKS as f64;
        let register_chance = 1.0 / f64::from(1 << REGISTER_BITS);
        let check_chance = 0.5;
        // The inverse of the variance that an estimate from `count` registers has for a pair of this similarity.
        let precision = |jaccard: f64, count: f64, chance: f64| {
            let agree = jaccard + (1.0 - jaccard) * chance;
            count * (1.0 - chance) * (1.0 - chance) / (agree * (1.0 - agree))
        };
        // At a similarity of 1 both variances vanish; their ratio just below it is as good.
        let jaccard = settings.threshold.min(0.99);
        let register_precision = precision(jaccard, registers, register_chance);
        let check_precision = precision(jaccard, checks, check_chance);
        let total = register_precision + check_precision;
        let at_threshold = precision(settings.threshold, registers, register_chance)
            + precision(settings.threshold, checks, check_chance);
        Self {
            register_words: register_words(settings.permutations),
            register_cost: register_precision / total / registers / (1.0 - register_chance),
            check_cost: check_precision / total / checks / (1.0 - check_chance),
            accepted: settings.threshold - MARGIN * at_threshold.sqrt().recip(),
        }
    }

    /// Whether a pair of this estimate counts as near.
    pub fn accepts(&self, similarity: f64) -> bool {
        similarity >= self.accepted
    }

    /// The estimated similarity: 1 for equal sketches; may fall a little below 0 for unlike ones.
    pub fn similarity(&self, a: &[u64], b: &[u64]) -> f64 {
        let (a_registers, a_checks) = a.split_at(self.register_words);
        let (b_registers, b_checks) = b.split_at(self.register_words);
        let differing: u32 = std::iter::zip(a_registers, b_registers).map(|(a, b)| differing_registers(a ^ b)).sum();
        let differing_checks: u32 = std::iter::zip(a_checks, b_checks).map(|(a, b)| (a ^ b).count_ones()).sum();
        1.0 - f64::from(differing) * self.register_cost - f64::from(differing_checks) * self.check_cost
    }
}

/// How many of the sixteen groups of four bits are not zero.
fn differing_registers(difference: u64) -> u32 {
    let pairs = difference | difference >> 1;
    ((pairs | pairs >> 2) & 0x1111_1111_1111_1111).count_ones()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::dedupe::sketch::{Body, Sketch};
    use crate::dedupe::sketcher::Sketcher;

    fn similarity(settings: &Settings, a: &str, b: &str) -> f64 {
        let sketcher = Sketcher::new(settings).unwrap();
        match [a, b].map(|text| sketcher.sketch(text).body) {
            [Body::Packed(a), Body::Packed(b)] => Estimate::new(settings).similarity(&a, &b),
            other => panic!("not sketched: {other:?}"),
        }
    }

    /// Texts of distinct words, so that with single-word shingles the sets of words are the sets of shingles.
    fn texts(shared: usize, only_a: usize, only_b: usize, salt: u64) -> [String; 2] {
        let words = |from: usize, count: usize| (from..from + count).map(move |word| format!("w{salt}_{word}"));
        let a: Vec<String> = words(0, shared).chain(words(shared, only_a)).collect();
        let b: Vec<String> = words(0, shared).chain(words(shared + only_a, only_b)).collect();
        [a.join(" "), b.join(" ")]
    }

    #[test]
    fn equal_sketches_are_estimated_at_one() {
        let sketch = Sketcher::new(&Settings::default()).unwrap().sketch("def f(a, b): return a + b");
        let Sketch { body: Body::Packed(packed), .. } = sketch else { panic!("not sketched") };
        assert!((Estimate::new(&Settings::default()).similarity(&packed, &packed) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_margin_is_one_standard_error_and_none_at_a_threshold_of_one() {
        let accepted = |threshold| Estimate::new(&Settings { threshold, ..Settings::default() }).accepted;
        // By hand for 256 registers of 4 bits and 512 of 1: 1 / sqrt(1113.0 + 1003.9).
        assert!((accepted(0.7) - (0.7 - 0.02173)).abs() < 1e-4, "{}", accepted(0.7));
        assert!((accepted(1.0) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn differing_registers_are_counted_by_fours() {
        assert_eq!(differing_registers(0), 0);
        assert_eq!(differing_registers(0x8040_0210_0000_000f), 5);
        assert_eq!(differing_registers(u64::MAX), 16);
    }

    /// The mean over many pairs shows a bias of a fraction of one estimate's error.
    #[test]
    fn the_estimate_is_unbiased_for_sets_smaller_and_larger_than_the_sketch() {
        let settings = Settings { ngram: 1, ..Settings::default() };
        for (shared, only) in [(2, 1), (30, 10), (700, 150), (1000, 1000)] {
            let exact = f64::from(shared) / f64::from(shared + 2 * only);
            let runs = 60;
            let estimates = (0..runs).map(|salt| {
                let [a, b] = texts(shared as usize, only as usize, only as usize, salt);
                similarity(&settings, &a, &b)
            });
            let mean = estimates.sum::<f64>() / runs as f64;
            assert!((mean - exact).abs() < 0.012, "{shared} shared, {only} of each alone: {mean} for {exact}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Five and a half standard errors, at the similarity where they are largest (0.5: 0.026).
        #[test]
        fn the_estimate_is_near_the_exact_similarity(
            a in proptest::collection::btree_set("[a-h]{1,3}", 1..400),
            b in proptest::collection::btree_set("[a-h]{1,3}", 1..400),
        ) {
            let settings = Settings { ngram: 1, ..Settings::default() };
            let text = |set: &BTreeSet<String>| set.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
            let exact = a.intersection(&b).count() as f64 / a.union(&b).count() as f64;
            let estimate = similarity(&settings, &text(&a), &text(&b));
            prop_assert!((estimate - exact).abs() < 0.145, "{} for {}", estimate, exact);
        }
    }
}

//! Estimates the Jaccard similarity of two documents from their packed sketches.
//!
//! Registers of b bits agree with probability `p = J + (1 - J) / 2^b`, so `J = (p - 2^-b) / (1 - 2^-b)` (b-bit
//! minwise hashing; Li, König 2010). The four-bit and the one-bit registers give an estimate each; their mean is
//! weighted by the inverse of the variance that each has at the threshold, where it matters.

use super::settings::Settings;
use super::sketch::{CHECKS, REGISTER_BITS, register_words};

/// The estimate for one choice of settings.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    register_words: usize,
    /// Similarity lost to each four-bit register that differs.
    register_cost: f64,
    /// Similarity lost to each one-bit register that differs.
    check_cost: f64,
    /// Standard deviation of the estimate for a pair at the threshold.
    deviation: f64,
}

impl Estimate {
    pub fn new(settings: &Settings) -> Self {
        let registers = settings.permutations as f64;
        let checks = registers * CHECKS as f64;
        let register_chance = 1.0 / f64::from(1 << REGISTER_BITS);
        let check_chance = 0.5;
        // At a threshold of 1 both variances vanish; their ratio just below it is as good.
        let jaccard = settings.threshold.min(0.99);
        let precision = |count: f64, chance: f64| {
            let agree = jaccard + (1.0 - jaccard) * chance;
            count * (1.0 - chance) * (1.0 - chance) / (agree * (1.0 - agree))
        };
        let register_precision = precision(registers, register_chance);
        let check_precision = precision(checks, check_chance);
        let total = register_precision + check_precision;
        Self {
            register_words: register_words(settings.permutations),
            register_cost: register_precision / total / registers / (1.0 - register_chance),
            check_cost: check_precision / total / checks / (1.0 - check_chance),
            deviation: total.sqrt().recip(),
        }
    }

    /// Standard deviation of the estimate for a pair at the threshold.
    pub fn deviation(&self) -> f64 {
        self.deviation
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

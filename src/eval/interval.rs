//! An estimate with its interval, and the interval of a share (Wilson's score interval).

use serde::{Deserialize, Serialize};

/// The normal quantile of a two-sided interval of 95 %.
pub const Z95: f64 = 1.959_963_984_540_054;

/// A measured value with the bounds of its 95 % interval of confidence.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Estimate {
    /// What was measured, such as `accuracy`.
    pub metric: String,
    /// The value.
    pub value: f64,
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
    /// Over how many pairs.
    pub n: u64,
}

/// Wilson's score interval of a share of `successes` in `n` (Wilson 1927, JASA 22), clamped to 0..1. Unlike the normal
/// one it stays sensible for few samples and shares near 0 and 1. Nothing measured gives the whole range.
pub fn wilson(successes: f64, n: u64, z: f64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let n = n as f64;
    let share = successes / n;
    let scale = 1.0 + z * z / n;
    let centre = (share + z * z / (2.0 * n)) / scale;
    let half = z / scale * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).max(0.0).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_agrees_with_published_values() {
        // Newcombe 1998, Statistics in Medicine 17, table I, method 3.
        for (successes, n, low, high) in [
            (81.0, 263, 0.2553, 0.3662),
            (15.0, 148, 0.0624, 0.1605),
            (0.0, 20, 0.0, 0.1611),
            (1.0, 29, 0.0061, 0.1718),
        ] {
            let (l, h) = wilson(successes, n, Z95);
            assert!((l - low).abs() < 5e-5 && (h - high).abs() < 5e-5, "{successes}/{n}: {l} {h}");
        }
    }

    #[test]
    fn the_interval_holds_the_share_and_narrows_with_more_samples() {
        let (l, h) = wilson(8.0, 10, Z95);
        let (narrow_l, narrow_h) = wilson(800.0, 1000, Z95);
        assert!(l < narrow_l && narrow_l < 0.8 && 0.8 < narrow_h && narrow_h < h);
        assert_eq!(wilson(0.0, 0, Z95), (0.0, 1.0));
        assert!((wilson(10.0, 10, Z95).1 - 1.0).abs() < 1e-12);
    }
}

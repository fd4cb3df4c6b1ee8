//! An estimate with its interval, the interval of a share (Wilson's score interval), and Student's quantiles.

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

/// Student's quantile of a two-sided interval of 95 % for so many degrees of freedom; beyond nine by the first terms of its
/// expansion in their inverse (Cornish and Fisher 1938), within 0.2 % of it. None for no freedom.
pub fn student(degrees: usize) -> Option<f64> {
    const FIRST: [f64; 9] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];
    let inverse = 1.0 / degrees as f64;
    let expanded = Z95 + 2.3723 * inverse + 2.8225 * inverse.powi(2);
    (degrees > 0).then(|| FIRST.get(degrees - 1).copied().unwrap_or(expanded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn students_quantiles_agree_with_published_values() {
        for (degrees, quantile) in [(1, 12.706), (2, 4.303), (10, 2.228), (30, 2.042), (120, 1.980)] {
            let found = student(degrees).unwrap_or_default();
            assert!((found / quantile - 1.0).abs() < 2e-3, "{degrees}: {found}");
        }
        assert_eq!(student(0), None);
    }

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

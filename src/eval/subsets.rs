//! Expectations over all subsets of a given size, exactly: what would be measured with infinitely many random subsets.
//!
//! Ratios of binomial coefficients come from sums of logarithms: C(256, 128) has 76 digits, and a ratio of two such is
//! wanted to twelve of them.

/// Logarithms of factorials up to the number of samples.
#[derive(Clone, Debug)]
pub struct Binomials(Vec<f64>);

impl Binomials {
    /// Serves up to `most` things.
    pub fn new(most: usize) -> Self {
        let mut logs = Vec::with_capacity(most + 1);
        logs.push(0.0);
        for n in 1..=most {
            logs.push(logs[n - 1] + (n as f64).ln());
        }
        Self(logs)
    }

    /// `ln C(n, k)`; minus infinity where there is no such choice.
    pub fn ln(&self, n: usize, k: usize) -> f64 {
        if k > n { f64::NEG_INFINITY } else { self.0[n] - self.0[k] - self.0[n - k] }
    }

    /// `C(inner, k) / C(outer, k)`: the probability that `k` of `outer` things all lie among `inner` of them.
    pub fn all_within(&self, inner: usize, outer: usize, k: usize) -> f64 {
        if k == 0 { 1.0 } else { (self.ln(inner, k) - self.ln(outer, k)).exp() }
    }
}

/// One sample of a question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Its reward; none where it could not be scored, which ranks below all that could.
    pub reward: Option<f32>,
    /// Whether its answer is right.
    pub correct: bool,
}

/// The probability that the sample with the highest reward among `n` random ones is right, for each `n` of `sizes`. Equal
/// rewards are decided by chance.
///
/// With samples in groups of equal reward, the best first, the winner is in group `j` if the subset misses all groups
/// before it and not this one, and within the group every sample is as likely as any other.
///
/// # Panics
/// When a size is 0 or larger than the number of samples: that is a bug.
pub fn best_of(samples: &[Sample], sizes: &[usize], binomials: &Binomials) -> Vec<f64> {
    let m = samples.len();
    assert!(sizes.iter().all(|n| (1..=m).contains(n)), "a subset is not of 1 to {m}: {sizes:?}");
    let mut ranked: Vec<(f32, bool)> = samples.iter().map(|sample| (rank(sample.reward), sample.correct)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let expect = |&n: &usize| {
        let (mut before, mut sum) = (0, 0.0);
        for group in ranked.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
            let after = before + group.len();
            let wins = binomials.all_within(m - before, m, n) - binomials.all_within(m - after, m, n);
            let right = group.iter().filter(|(_, correct)| *correct).count();
            sum += wins * right as f64 / group.len() as f64;
            before = after;
        }
        sum.clamp(0.0, 1.0)
    };
    sizes.iter().map(expect).collect()
}

/// A reward as a number to sort by: none, and what is no number, below all others; both zeros the same.
pub fn rank(reward: Option<f32>) -> f32 {
    match reward {
        Some(reward) if !reward.is_nan() => reward + 0.0,
        _ => f32::NEG_INFINITY,
    }
}

/// The probability that at least one of `n` random samples is right (pass@n, Chen et al. 2021).
pub fn any_of(samples: &[Sample], sizes: &[usize], binomials: &Binomials) -> Vec<f64> {
    let wrong = samples.iter().filter(|sample| !sample.correct).count();
    sizes.iter().map(|&n| 1.0 - binomials.all_within(wrong, samples.len(), n)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All subsets of `n` of `m`, as places.
    pub fn all_subsets(m: usize, n: usize) -> Vec<Vec<usize>> {
        (0..1_u32 << m)
            .filter(|mask| mask.count_ones() as usize == n)
            .map(|mask| (0..m).filter(|at| mask >> at & 1 == 1).collect())
            .collect()
    }

    fn by_force(samples: &[Sample], n: usize) -> f64 {
        let subsets = all_subsets(samples.len(), n);
        let value = |subset: &Vec<usize>| {
            let best = subset.iter().map(|&at| rank(samples[at].reward)).fold(f32::NEG_INFINITY, f32::max);
            let tied: Vec<_> = subset.iter().filter(|&&at| rank(samples[at].reward).total_cmp(&best).is_eq()).collect();
            tied.iter().filter(|&&&at| samples[at].correct).count() as f64 / tied.len() as f64
        };
        subsets.iter().map(value).sum::<f64>() / subsets.len() as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]

        #[test]
        fn the_expectation_is_the_mean_over_all_subsets(
            drawn in prop::collection::vec((0..5_u8, any::<bool>(), 0..8_u8), 1..10),
        ) {
            // Few rewards, so that there are ties; every eighth sample has none.
            let samples: Vec<Sample> = drawn
                .iter()
                .map(|&(reward, correct, none)| Sample { reward: (none > 0).then_some(f32::from(reward) - 2.0), correct })
                .collect();
            let sizes: Vec<usize> = (1..=samples.len()).collect();
            let binomials = Binomials::new(samples.len());
            let (best, any) = (best_of(&samples, &sizes, &binomials), any_of(&samples, &sizes, &binomials));
            for (&n, (&best, &any)) in sizes.iter().zip(best.iter().zip(&any)) {
                prop_assert!((best - by_force(&samples, n)).abs() < 1e-9, "{n}: {best}");
                let subsets = all_subsets(samples.len(), n);
                let hit = subsets.iter().filter(|subset| subset.iter().any(|&at| samples[at].correct)).count();
                prop_assert!((any - hit as f64 / subsets.len() as f64).abs() < 1e-9, "{n}: {any}");
            }
        }
    }

    #[test]
    fn large_sets_stay_exact_at_both_ends() {
        let samples: Vec<Sample> =
            (0..256).map(|at| Sample { reward: Some(at as f32), correct: at % 2 == 1 }).collect();
        let binomials = Binomials::new(256);
        let found = best_of(&samples, &[1, 256], &binomials);
        assert!((found[0] - 0.5).abs() < 1e-10 && (found[1] - 1.0).abs() < 1e-12, "{found:?}");
        // Walking down from the highest: it is drawn with chance 128/256, else the next one with 128/255, ...
        let (mut expected, mut left) = (0.0, 1.0);
        for place in 0..=128 {
            let taken = left * 128.0 / f64::from(256 - place);
            expected += if place % 2 == 0 { taken } else { 0.0 };
            left -= taken;
        }
        let half = best_of(&samples, &[128], &binomials)[0];
        assert!((half - expected).abs() < 1e-10, "{half} {expected}");
    }

    #[test]
    fn a_model_that_knows_nothing_is_as_good_as_chance() {
        let samples: Vec<Sample> = (0..10).map(|at| Sample { reward: Some(1.0), correct: at < 3 }).collect();
        for found in best_of(&samples, &[1, 4, 10], &Binomials::new(10)) {
            assert!((found - 0.3).abs() < 1e-12);
        }
    }
}

//! Votes among a question's samples: the answer that most of them give, or whose samples have the most reward.
//!
//! Samples without an answer do not vote, but take up places: a subset of them alone has no winner, and is wrong. Votes
//! that end equal are decided by chance.

use std::collections::BTreeMap;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::index::sample;

use super::subsets::{Binomials, rank};

/// Subsets drawn of a weighted vote where there are more than that.
pub const DRAWN: usize = 1000;

/// The expectation, over subsets of each size, that the answer with the most votes is the right one. `answers` are what the
/// samples came to, none where nothing could be read; `right` is the right one.
///
/// Exact: for every number of votes of the right answer, the ways that no other answer gets more, and how many get as many,
/// are counted by a product of polynomials.
pub fn majority(answers: &[Option<&str>], right: &str, sizes: &[usize], binomials: &Binomials) -> Vec<f64> {
    let m = answers.len();
    let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
    for answer in answers.iter().flatten() {
        *votes.entry(answer).or_default() += 1;
    }
    let own = votes.remove(right).unwrap_or(0);
    let mut others: Vec<usize> = votes.into_values().collect();
    others.sort_unstable();
    let most = sizes.iter().copied().max().unwrap_or(0);
    let mut expected = vec![0.0; sizes.len()];
    for x in 1..=own.min(most) {
        // Answers with fewer votes than x in all can neither win nor come equal: they are one heap with those that do not
        // vote.
        let small = others.partition_point(|&count| count < x);
        let heap = m - own - others[small..].iter().sum::<usize>();
        let ways = ways(&others[small..], heap, x, most - x, binomials);
        for (sum, &n) in expected.iter_mut().zip(sizes) {
            if n < x {
                continue;
            }
            let scale = binomials.ln(own, x) - binomials.ln(m, n);
            for (ties, row) in ways.iter().enumerate() {
                *sum += (scale + row[n - x].ln()).exp() / (ties + 1) as f64;
            }
        }
    }
    expected.into_iter().map(|value| value.min(1.0)).collect()
}

/// `[ties][taken]`: in how many ways `taken` samples can be chosen among rivals and heap so that no rival has more than `x`
/// and `ties` of them have `x`. There are at most C(m, m/2) of them, which a double holds up to a thousand samples.
fn ways(rivals: &[usize], heap: usize, x: usize, most: usize, binomials: &Binomials) -> Vec<Vec<f64>> {
    let choose = |n: usize, k: usize| binomials.ln(n, k).exp();
    let most_ties = most / x;
    let mut table = vec![vec![0.0; most + 1]; rivals.len().min(most_ties) + 1];
    for (taken, ways) in table[0].iter_mut().enumerate().take(heap.min(most) + 1) {
        *ways = choose(heap, taken);
    }
    for &count in rivals {
        let mut next = vec![vec![0.0; most + 1]; table.len()];
        for (ties, row) in table.iter().enumerate() {
            for (taken, &ways) in row.iter().enumerate().filter(|(_, ways)| **ways > 0.0) {
                for votes in 0..=x.min(count).min(most - taken) {
                    next[ties + usize::from(votes == x)][taken + votes] += ways * choose(count, votes);
                }
            }
        }
        table = next;
    }
    table
}

/// The expectation, over subsets of each size, that the answer whose samples have the most reward is the right one. A
/// sample's weight is the exponential of its reward, its strength in the model of Bradley and Terry, so that adding a number
/// to all rewards changes nothing.
///
/// Exact where there are at most [`DRAWN`] subsets of a size, else the mean over that many, drawn with `seed`.
pub fn weighted(
    answers: &[Option<&str>],
    rewards: &[Option<f32>],
    right: &str,
    sizes: &[usize],
    binomials: &Binomials,
    seed: u64,
) -> Vec<f64> {
    let m = answers.len();
    let highest = rewards.iter().map(|reward| rank(*reward)).fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = (rewards.iter())
        .map(|reward| match rank(*reward) {
            f32::NEG_INFINITY => 0.0,
            reward => f64::from(reward - highest).exp(),
        })
        .collect();
    // Answers as numbers, the right one 0.
    let mut names: BTreeMap<&str, usize> = BTreeMap::from([(right, 0)]);
    let numbers: Vec<Option<usize>> = (answers.iter())
        .map(|answer| {
            answer.map(|answer| {
                let next = names.len();
                *names.entry(answer).or_insert(next)
            })
        })
        .collect();
    let mut heaps = vec![0.0; names.len()];
    let mut wins = |subset: &mut dyn Iterator<Item = usize>| {
        heaps.fill(0.0);
        for at in subset {
            if let Some(number) = numbers[at] {
                heaps[number] += weights[at];
            }
        }
        let best = heaps.iter().copied().fold(0.0, f64::max);
        // Sums of the same weights in another order differ in their last digits.
        let near = |heap: f64| best > 0.0 && heap >= best * (1.0 - 1e-12);
        if near(heaps[0]) { 1.0 / heaps.iter().filter(|heap| near(**heap)).count() as f64 } else { 0.0 }
    };
    let mut random = StdRng::seed_from_u64(seed);
    let mut expect = |&n: &usize| {
        if binomials.ln(m, n) <= (DRAWN as f64).ln() + 1e-9 {
            let (mut sum, mut count) = (0.0, 0_u32);
            let mut subset: Vec<usize> = (0..n).collect();
            loop {
                sum += wins(&mut subset.iter().copied());
                count += 1;
                if !advance(&mut subset, m) {
                    return sum / f64::from(count);
                }
            }
        }
        let drawn = (0..DRAWN).map(|_| wins(&mut sample(&mut random, m, n).into_iter()));
        drawn.sum::<f64>() / DRAWN as f64
    };
    sizes.iter().map(&mut expect).collect()
}

/// The next subset in the order of the dictionary; false after the last.
fn advance(subset: &mut [usize], m: usize) -> bool {
    let n = subset.len();
    let Some(at) = (0..n).rev().find(|&at| subset[at] < m - n + at) else { return false };
    subset[at] += 1;
    for next in at + 1..n {
        subset[next] = subset[next - 1] + 1;
    }
    true
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::subsets::tests::all_subsets;
    use super::*;

    fn by_force(answers: &[Option<&str>], weights: &[f64], n: usize) -> f64 {
        let subsets = all_subsets(answers.len(), n);
        let value = |subset: &Vec<usize>| {
            let mut heaps: BTreeMap<&str, f64> = BTreeMap::new();
            for &at in subset {
                if let Some(answer) = answers[at] {
                    *heaps.entry(answer).or_default() += weights[at];
                }
            }
            let best = heaps.values().copied().fold(0.0, f64::max);
            let winners: Vec<_> = heaps.iter().filter(|(_, heap)| **heap >= best - 1e-12 && best > 0.0).collect();
            if winners.iter().any(|(answer, _)| **answer == "r") { 1.0 / winners.len() as f64 } else { 0.0 }
        };
        subsets.iter().map(value).sum::<f64>() / subsets.len() as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]

        #[test]
        fn votes_are_the_mean_over_all_subsets(drawn in prop::collection::vec((0..6_usize, 0..4_u8), 1..10)) {
            let names = [Some("r"), Some("r"), Some("a"), Some("b"), Some("c"), None];
            let answers: Vec<_> = drawn.iter().map(|&(name, _)| names[name]).collect();
            let rewards: Vec<_> = drawn.iter().map(|&(_, reward)| Some(f32::from(reward))).collect();
            let sizes: Vec<usize> = (1..=answers.len()).collect();
            let binomials = Binomials::new(answers.len());
            let majority = majority(&answers, "r", &sizes, &binomials);
            let weighted = weighted(&answers, &rewards, "r", &sizes, &binomials, 0);
            let strengths: Vec<f64> = rewards.iter().map(|reward| f64::from(reward.unwrap()).exp()).collect();
            for (at, &n) in sizes.iter().enumerate() {
                prop_assert!((majority[at] - by_force(&answers, &vec![1.0; answers.len()], n)).abs() < 1e-9, "{n}");
                prop_assert!((weighted[at] - by_force(&answers, &strengths, n)).abs() < 1e-9, "{n}");
            }
        }
    }

    #[test]
    fn drawn_subsets_come_near_the_exact_vote_when_all_weigh_the_same() {
        let names = ["r", "r", "r", "a", "a", "b", "c", "d"];
        let answers: Vec<_> = (0..64).map(|at| Some(names[at % 8])).collect();
        let sizes = [1, 2, 4, 8, 16, 32, 64];
        let binomials = Binomials::new(64);
        let exact = majority(&answers, "r", &sizes, &binomials);
        let drawn = weighted(&answers, &[Some(0.5); 64], "r", &sizes, &binomials, 3);
        for (exact, drawn) in exact.iter().zip(&drawn) {
            assert!((exact - drawn).abs() < 0.06, "{exact} {drawn}");
        }
        assert!((exact[0] - 0.375).abs() < 1e-12 && (exact[6] - 1.0).abs() < 1e-9);
        assert_eq!(drawn, weighted(&answers, &[Some(0.5); 64], "r", &sizes, &binomials, 3));
    }

    #[test]
    fn a_full_set_of_samples_is_counted_within_reason() {
        let names: Vec<String> =
            (0..256).map(|at| if at % 4 == 0 { "r".into() } else { format!("{}", at % 20) }).collect();
        let answers: Vec<_> = names.iter().map(|name| Some(name.as_str())).collect();
        let sizes = [1, 2, 4, 8, 16, 32, 64, 128, 256];
        let found = majority(&answers, "r", &sizes, &Binomials::new(256));
        let rises = found.windows(2).all(|two| two[0] <= two[1] + 1e-9);
        assert!(rises && (found[0] - 0.25).abs() < 1e-9 && (found[8] - 1.0).abs() < 1e-9, "{found:?}");
    }
}

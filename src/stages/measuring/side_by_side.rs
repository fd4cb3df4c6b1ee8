//! Two models on the same items, and several seeds of one training.

use super::Metric;
use super::figures::item_values;
use crate::eval::compare::{Paired, Seeds, paired, seeds};
use crate::store::evaluation::ItemRow;

/// How the first model differs from the second, for each figure of the metric; over the items that all have a value of. Each
/// comes with one or more seeds, whose values of an item are averaged.
///
/// # Errors
/// When the rows are not of the same items, as a sentence.
pub fn compared(
    metric: Metric,
    first: &[Vec<ItemRow>],
    second: &[Vec<ItemRow>],
    seed: u64,
) -> Result<Vec<Paired>, String> {
    let (first, second) = (averages(metric, first, seed)?, averages(metric, second, seed)?);
    if first.0 != second.0 {
        return Err(DIFFERENT.to_owned());
    }
    let both = first.1.into_iter().zip(second.1).filter_map(|((name, first), (_, second))| {
        let values = first.into_iter().zip(second).filter_map(|(a, b)| Some((a?, b?)));
        let (first, second): (Vec<f64>, Vec<f64>) = values.unzip();
        paired(&name, &first, &second, seed)
    });
    Ok(both.collect())
}

const DIFFERENT: &str = "the models were measured on different items";

/// What tells items apart, and each figure's values of them.
type Values = (Vec<(String, usize)>, Vec<(String, Vec<Option<f64>>)>);

/// Means over seeds of each item's values; none where one of them has none.
fn averages(metric: Metric, seeds: &[Vec<ItemRow>], seed: u64) -> Result<Values, String> {
    let Some((first, others)) = seeds.split_first() else { return Ok((Vec::new(), Vec::new())) };
    others.iter().try_for_each(|other| same_items(first, other))?;
    let mut sums = item_values(metric, first, seed);
    for other in others {
        for ((_, sums), (_, values)) in sums.iter_mut().zip(item_values(metric, other, seed)) {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = sum.zip(value).map(|(sum, value)| sum + value);
            }
        }
    }
    let mean = |sum: Option<f64>| sum.map(|sum| sum / seeds.len() as f64);
    let means = sums.into_iter().map(|(name, sums)| (name, sums.into_iter().map(mean).collect()));
    Ok((keys(first), means.collect()))
}

/// What several seeds come to together, for each figure of the metric; over the items that all have a value of.
///
/// # Errors
/// When the rows are not of the same items, as a sentence.
pub fn over_seeds(metric: Metric, all: &[Vec<ItemRow>], seed: u64) -> Result<Vec<Seeds>, String> {
    let Some((first, others)) = all.split_first() else { return Ok(Vec::new()) };
    others.iter().try_for_each(|other| same_items(first, other))?;
    let values: Vec<_> = all.iter().map(|rows| item_values(metric, rows, seed)).collect();
    let figure = |at: usize| {
        let name = &values[0][at].0;
        let whole: Vec<usize> =
            (0..first.len()).filter(|&item| values.iter().all(|own| own[at].1[item].is_some())).collect();
        let of = |own: &Vec<(String, Vec<Option<f64>>)>| whole.iter().filter_map(|&item| own[at].1[item]).collect();
        seeds(name, &values.iter().map(of).collect::<Vec<Vec<f64>>>(), seed)
    };
    Ok((0..values[0].len()).filter_map(figure).collect())
}

fn keys(rows: &[ItemRow]) -> Vec<(String, usize)> {
    rows.iter().map(|row| (row.key.clone(), row.rewards.len())).collect()
}

fn same_items(first: &[ItemRow], second: &[ItemRow]) -> Result<(), String> {
    if keys(first) == keys(second) { Ok(()) } else { Err(DIFFERENT.to_owned()) }
}

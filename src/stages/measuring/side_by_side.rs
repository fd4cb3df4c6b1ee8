//! Two models on the same items, and several seeds of one training.

use super::Metric;
use super::figures::item_values;
use crate::eval::compare::{Paired, Seeds, paired, seeds};
use crate::store::evaluation::ItemRow;

/// How the first model differs from the second, for each figure of the metric; over the items that both have a value of.
///
/// # Errors
/// When the rows are not of the same items, as a sentence.
pub fn compared(metric: Metric, first: &[ItemRow], second: &[ItemRow], seed: u64) -> Result<Vec<Paired>, String> {
    same_items(first, second)?;
    let (first, second) = (item_values(metric, first, seed), item_values(metric, second, seed));
    let both = first.into_iter().zip(second).filter_map(|((name, first), (_, second))| {
        let values: Vec<(f64, f64)> = first.into_iter().zip(second).filter_map(|(a, b)| Some((a?, b?))).collect();
        let (first, second): (Vec<f64>, Vec<f64>) = values.into_iter().unzip();
        paired(&name, &first, &second, seed)
    });
    Ok(both.collect())
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

fn same_items(first: &[ItemRow], second: &[ItemRow]) -> Result<(), String> {
    let keys = |rows: &[ItemRow]| rows.iter().map(|row| (row.key.clone(), row.rewards.len())).collect::<Vec<_>>();
    if keys(first) == keys(second) { Ok(()) } else { Err("the two were measured on different items".to_owned()) }
}

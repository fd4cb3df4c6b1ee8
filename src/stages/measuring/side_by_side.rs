//! Two models on the same items, and several seeds of one training.

use super::Metric;
use super::figures::{ItemValues, item_values};
use crate::eval::compare::{Paired, Seeds, paired, seeds};
use crate::store::evaluation::ItemRow;

/// How the first model differs from the second, for each figure of the metric; over the items that all have a value of. Each
/// comes with one or more seeds.
///
/// # Errors
/// When the rows are not of the same items, as a sentence.
pub fn compared(
    metric: Metric,
    first: &[Vec<ItemRow>],
    second: &[Vec<ItemRow>],
    seed: u64,
) -> Result<Vec<Paired>, String> {
    same_items(first.iter().chain(second))?;
    let of = |all: &[Vec<ItemRow>]| all.iter().map(|rows| item_values(metric, rows, seed)).collect::<Vec<_>>();
    Ok(differences(&of(first), &of(second), seed))
}

/// What several seeds come to together, for each figure of the metric; over the items that all have a value of.
///
/// # Errors
/// When the rows are not of the same items, as a sentence.
pub fn over_seeds(metric: Metric, all: &[Vec<ItemRow>], seed: u64) -> Result<Vec<Seeds>, String> {
    same_items(all.iter())?;
    Ok(means(&all.iter().map(|rows| item_values(metric, rows, seed)).collect::<Vec<_>>(), seed))
}

/// As [`compared`], from values `[seed]` of the same items.
pub fn differences(first: &[ItemValues], second: &[ItemValues], seed: u64) -> Vec<Paired> {
    let figure = |at: usize| {
        let whole = whole(&[first, second], at);
        let name = &first[0][at].0;
        paired(name, &picked(first, at, &whole), &picked(second, at, &whole), seed)
    };
    let figures = first.iter().chain(second).map(Vec::len).min().unwrap_or(0);
    (0..figures).filter_map(figure).collect()
}

/// As [`over_seeds`], from values `[seed]` of the same items.
pub fn means(all: &[ItemValues], seed: u64) -> Vec<Seeds> {
    let figures = all.iter().map(Vec::len).min().unwrap_or(0);
    (0..figures).filter_map(|at| seeds(&all[0][at].0, &picked(all, at, &whole(&[all], at)), seed)).collect()
}

/// The items that have a value of the figure in all.
fn whole(all: &[&[ItemValues]], at: usize) -> Vec<usize> {
    let columns = || all.iter().copied().flatten().map(|own| &own[at].1);
    let items = columns().map(Vec::len).min().unwrap_or(0);
    (0..items).filter(|&item| columns().all(|values| values[item].is_some())).collect()
}

fn picked(all: &[ItemValues], at: usize, items: &[usize]) -> Vec<Vec<f64>> {
    all.iter().map(|own| items.iter().filter_map(|&item| own[at].1[item]).collect()).collect()
}

fn same_items<'r>(mut all: impl Iterator<Item = &'r Vec<ItemRow>>) -> Result<(), String> {
    fn keys(rows: &[ItemRow]) -> impl Iterator<Item = (&str, usize)> {
        rows.iter().map(|row| (row.key.as_str(), row.rewards.len()))
    }
    let Some(first) = all.next() else { return Ok(()) };
    if all.all(|other| keys(first).eq(keys(other))) {
        Ok(())
    } else {
        Err("the models were measured on different items".to_owned())
    }
}

//! Pairs to train on: those that a benchmark's items are, or stand for.

use std::collections::VecDeque;
use std::path::Path;

use super::error::{BenchmarkError, BenchmarkResult};
use super::items::{Items, LeftOut, Made, items};
use super::{Format, Item};

/// A prompt with a better and a worse answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The item's key; with a number behind it where an item stands for several pairs.
    pub key: String,
    /// The part of the benchmark that it belongs to; empty if there are none.
    pub subset: String,
    /// What both answer.
    pub prompt: String,
    /// The better answer.
    pub chosen: String,
    /// The worse answer.
    pub rejected: String,
}

/// The pairs of a file or folder, read one at a time. After an error there is nothing more.
pub struct Pairs {
    items: Items,
    path: std::path::PathBuf,
    /// Pairs of the item that was read last.
    waiting: VecDeque<Made<Pair>>,
}

/// The pairs that the rows of a file or folder stand for, as [`items`] reads them: a right option or answer with each wrong
/// one.
///
/// # Errors
/// As [`items`]; a format whose rows are questions.
pub fn pairs(path: &Path, format: Option<Format>) -> BenchmarkResult<Pairs> {
    Ok(Pairs { items: items(path, format)?, path: path.to_owned(), waiting: VecDeque::new() })
}

impl Pairs {
    /// The format; none before the first row where none was named.
    pub fn format(&self) -> Option<Format> {
        self.items.format()
    }

    fn refuse(&self) -> BenchmarkResult<()> {
        match self.format().filter(|format| !format.has_pairs()) {
            None => Ok(()),
            Some(format) => Err(BenchmarkError::NoPairs {
                path: self.path.clone(),
                format: format.name(),
                known: Format::names_with_pairs(),
            }),
        }
    }
}

impl Iterator for Pairs {
    type Item = BenchmarkResult<Made<Pair>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(pair) = self.waiting.pop_front() {
            return Some(Ok(pair));
        }
        let made = match self.items.next()? {
            Ok(made) => made,
            Err(error) => return Some(Err(error)),
        };
        if let Err(error) = self.refuse() {
            self.items.end();
            return Some(Err(error));
        }
        let (item, origin) = match made {
            Made::Whole(item, origin) => (item, origin),
            Made::LeftOut(row) => return Some(Ok(Made::LeftOut(row))),
        };
        let all = of_item(&item);
        if all.is_empty() {
            let reason = "no wrong answer to compare with";
            return Some(Ok(Made::LeftOut(LeftOut { place: origin.place, reason })));
        }
        self.waiting = all.into_iter().map(|pair| Made::Whole(pair, origin.clone())).collect();
        self.waiting.pop_front().map(Ok)
    }
}

fn of_item(item: &Item) -> Vec<Pair> {
    let sides = item.pairs();
    let several = sides.len() > 1;
    let pair = |(number, (chosen, rejected)): (usize, (&str, &str))| Pair {
        key: if several { format!("{}.{number}", item.key) } else { item.key.clone() },
        subset: item.subset.clone(),
        prompt: item.prompt.clone(),
        chosen: chosen.to_owned(),
        rejected: rejected.to_owned(),
    };
    sides.into_iter().enumerate().map(pair).collect()
}

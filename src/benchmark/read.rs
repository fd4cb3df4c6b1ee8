//! Reading a whole benchmark.

use std::path::{Path, PathBuf};

use super::error::BenchmarkResult;
use super::items::{LeftOut, Made, items};
use super::{Format, Item, Task};

/// A benchmark that was read.
#[derive(Clone, Debug)]
pub struct Benchmark {
    /// The file or folder.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// In the order of the file.
    pub items: Vec<Item>,
    /// Rows that made no item.
    pub left_out: Vec<LeftOut>,
}

impl Benchmark {
    /// Tells these items, with their samples, from others: 32 hex digits.
    pub fn mark(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut add = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        };
        for item in &self.items {
            add(&item.key);
            add(&item.prompt);
            item.texts().into_iter().for_each(&mut add);
            match &item.task {
                Task::Pair { .. } => {}
                Task::Choice { answer, .. } => add(&answer.to_string()),
                Task::Ranking { correct, .. } => add(&correct.len().to_string()),
                Task::Answer { gold, .. } => add(gold),
                Task::Code(test) => add(&test.text()),
            }
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }
}

/// Reads a file, or all files below a folder, as [`items`] does.
///
/// # Errors
/// The first row that is broken or has a field that is not as its format says.
pub fn read(path: &Path, format: Option<Format>) -> BenchmarkResult<Benchmark> {
    let mut all = items(path, format)?;
    let mut found = Benchmark { path: path.to_owned(), format: Format::Pairs, items: Vec::new(), left_out: Vec::new() };
    for made in all.by_ref() {
        match made? {
            Made::Whole(item, _) => found.items.push(item),
            Made::LeftOut(row) => found.left_out.push(row),
        }
    }
    // Without a row, and so without a format, reading fails.
    found.format = all.format().unwrap_or(found.format);
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "tests.rs"]
mod tests;

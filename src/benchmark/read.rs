//! Reading a whole benchmark.

use std::path::{Path, PathBuf};

use super::error::{BenchmarkError, BenchmarkResult, Place};
use super::files::{files, rows};
use super::row::Row;
use super::{Format, Item, Task, choices, feedback, plain, questions, reward_bench, shepherd};

/// A row that made no item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Where it stands.
    pub place: Place,
    /// Why it makes no item.
    pub reason: &'static str,
}

/// A benchmark that was read.
#[derive(Clone, Debug)]
pub struct Benchmark {
    /// The file or folder.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// In the order of the file.
    pub items: Vec<Item>,
    /// Where each item stands; empty for Math-Shepherd, whose items are made of several rows.
    pub places: Vec<Place>,
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

/// Reads a file, or all files below a folder, in the order of their names. Without `format`, the first row's fields tell
/// it.
///
/// # Errors
/// The first row that is broken or has a field that is not as its format says.
pub fn read(path: &Path, format: Option<Format>) -> BenchmarkResult<Benchmark> {
    let mut told = format;
    let mut found = Benchmark {
        path: path.to_owned(),
        format: Format::Pairs,
        items: Vec::new(),
        places: Vec::new(),
        left_out: Vec::new(),
    };
    let mut solutions = shepherd::Solutions::default();
    let mut number = 0;
    for file in files(path)? {
        for row in rows(&file)? {
            let row = row?;
            let format = match told {
                Some(format) => format,
                None => *told.insert(Format::of(&row).ok_or_else(|| unknown(&row))?),
            };
            match format {
                Format::MathShepherd => solutions.add(&row)?,
                Format::CodeUltraFeedback => match feedback::item(&row, number)? {
                    Ok(item) => {
                        found.items.push(item);
                        found.places.push(row.place);
                    }
                    Err(reason) => found.left_out.push(LeftOut { place: row.place, reason }),
                },
                other => {
                    found.items.push(item(other, &row, number)?);
                    found.places.push(row.place);
                }
            }
            number += 1;
        }
    }
    let Some(format) = told.filter(|_| number > 0) else {
        return Err(BenchmarkError::Empty { path: path.to_owned() });
    };
    found.format = format;
    if format == Format::MathShepherd {
        (found.items, found.left_out) = solutions.pairs();
    }
    Ok(found)
}

/// The format of a file or folder, as its first row tells it; none if it is of no format known.
///
/// # Errors
/// When it cannot be read.
pub fn detect(path: &Path) -> BenchmarkResult<Option<Format>> {
    for file in files(path)? {
        if let Some(row) = rows(&file)?.next() {
            return Ok(Format::of(&row?));
        }
    }
    Err(BenchmarkError::Empty { path: path.to_owned() })
}

fn item(format: Format, row: &Row, number: usize) -> BenchmarkResult<Item> {
    match format {
        Format::Pairs => plain::pair(row, number),
        Format::Options => plain::options(row, number),
        Format::Samples => plain::samples(row, number),
        Format::Questions => plain::question(row, number),
        Format::Gsm8k => questions::gsm8k(row, number),
        Format::Math => questions::math(row, number),
        Format::HumanEval => questions::humaneval(row),
        Format::Mbpp => questions::mbpp(row),
        Format::Reclor => choices::reclor(row, number),
        Format::Logiqa2 => choices::logiqa2(row, number),
        Format::RewardBench2 => reward_bench::item(row),
        Format::MathShepherd | Format::CodeUltraFeedback => unreachable!("read row by row above"),
    }
}

fn unknown(row: &Row) -> BenchmarkError {
    let fields = row.fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    BenchmarkError::Unknown { place: row.place.clone(), fields, known: Format::names() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "tests.rs"]
mod tests;

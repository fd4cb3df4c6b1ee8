//! Items one at a time, as the rows of a benchmark make them.

use std::path::{Path, PathBuf};

use super::error::{BenchmarkError, BenchmarkResult};
use super::{Format, Item, choices, feedback, plain, questions, reward_bench, shepherd};
use crate::records::{Place, RecordError, RecordResult, Row, Rows, files, rows};

/// What a row came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Made<T> {
    /// Something, and the rows that it was made of.
    Whole(T, Origin),
    /// Nothing, and why.
    LeftOut(LeftOut),
}

/// The rows that something was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its row; of a pair whose sides are rows of their own, that of the better side.
    pub place: Place,
    /// The row of the worse side, where it is another.
    pub rejected: Option<Place>,
}

/// A row that made no item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Where it stands.
    pub place: Place,
    /// Why it makes no item.
    pub reason: &'static str,
}

/// The items of a file or folder, read one at a time. After an error there is nothing more.
pub struct Items {
    path: PathBuf,
    format: Option<Format>,
    files: std::vec::IntoIter<PathBuf>,
    open: Option<Rows>,
    /// Rows that were read.
    number: usize,
    solutions: shepherd::Solutions,
    /// What is left over when all rows are read.
    rest: Option<std::vec::IntoIter<LeftOut>>,
}

/// The items of a file, or of all files below a folder, in the order of their names. Without `format`, the first row's
/// fields tell it. Of Math-Shepherd, the solutions that wait for their counterpart are held in memory, all else goes by.
///
/// # Errors
/// When there is no such file; later the first row that is broken or has a field that is not as its format says.
pub fn items(path: &Path, format: Option<Format>) -> BenchmarkResult<Items> {
    Ok(Items {
        path: path.to_owned(),
        format,
        files: files(path)?.into_iter(),
        open: None,
        number: 0,
        solutions: shepherd::Solutions::default(),
        rest: None,
    })
}

impl Items {
    /// The format; none before the first row where none was named.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// Nothing more is read.
    pub(super) fn end(&mut self) {
        self.rest = Some(Vec::new().into_iter());
    }

    fn step(&mut self) -> BenchmarkResult<Option<Made<Item>>> {
        loop {
            if let Some(rest) = &mut self.rest {
                return Ok(rest.next().map(Made::LeftOut));
            }
            let Some(row) = self.open.as_mut().and_then(Iterator::next) else {
                match self.files.next() {
                    Some(file) => self.open = Some(rows(&file, None)?),
                    None if self.number == 0 => return Err(RecordError::Empty { path: self.path.clone() }.into()),
                    None => self.rest = Some(std::mem::take(&mut self.solutions).left_over().into_iter()),
                }
                continue;
            };
            let row = row?;
            let format = match self.format {
                Some(format) => format,
                None => *self.format.insert(Format::of(&row).ok_or_else(|| unknown(&row))?),
            };
            let number = self.number;
            self.number += 1;
            if format == Format::MathShepherd {
                match self.solutions.add(&row, number)? {
                    Some(made) => return Ok(Some(made)),
                    None => continue,
                }
            }
            return Ok(Some(match item(format, &row, number)? {
                Ok(item) => Made::Whole(item, Origin { place: row.place, rejected: None }),
                Err(reason) => Made::LeftOut(LeftOut { place: row.place, reason }),
            }));
        }
    }
}

impl Iterator for Items {
    type Item = BenchmarkResult<Made<Item>>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.step().transpose();
        if matches!(next, Some(Err(_))) {
            self.end();
        }
        next
    }
}

/// The format of a file or folder, as its first row tells it; none if it is of no format known.
///
/// # Errors
/// When it cannot be read.
pub fn detect(path: &Path) -> BenchmarkResult<Option<Format>> {
    for file in files(path)? {
        if let Some(row) = rows(&file, None)?.next() {
            return Ok(Format::of(&row?));
        }
    }
    Err(RecordError::Empty { path: path.to_owned() }.into())
}

/// The item of a row, or the reason why there is none. Rows of Math-Shepherd are solutions; two of them make an item.
pub(super) fn item(format: Format, row: &Row, number: usize) -> RecordResult<Result<Item, &'static str>> {
    Ok(Ok(match format {
        Format::Pairs => plain::pair(row, number)?,
        Format::Options => plain::options(row, number)?,
        Format::Samples => plain::samples(row, number)?,
        Format::Questions => plain::question(row, number)?,
        Format::Gsm8k => questions::gsm8k(row, number)?,
        Format::Math => questions::math(row, number)?,
        Format::HumanEval => questions::humaneval(row)?,
        Format::Mbpp => questions::mbpp(row)?,
        Format::Reclor => choices::reclor(row, number)?,
        Format::Logiqa2 => choices::logiqa2(row, number)?,
        Format::RewardBench2 => reward_bench::item(row)?,
        Format::CodeUltraFeedback => return feedback::item(row, number),
        Format::MathShepherd => return Ok(Err("a solution alone makes no item")),
    }))
}

fn unknown(row: &Row) -> BenchmarkError {
    let fields = row.fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    BenchmarkError::Unknown { place: row.place.clone(), fields, known: Format::names() }
}

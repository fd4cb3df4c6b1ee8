//! What can be wrong with a benchmark's file.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Result of reading a benchmark.
pub type BenchmarkResult<T> = Result<T, BenchmarkError>;

/// Where a row stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line that the row begins on; in Parquet files, the number of the row. From 1.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// Why a benchmark could not be read.
#[derive(Debug, Error)]
pub enum BenchmarkError {
    /// A file or folder that is not there, or cannot be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A name with an ending that tells no format.
    #[error("{} is not one of {allowed}", path.display())]
    Ending {
        /// The file.
        path: PathBuf,
        /// Endings that are read.
        allowed: &'static str,
    },
    /// A file or folder without rows.
    #[error("{} holds no rows", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
    },
    /// Rows that look like no format known.
    #[error("{place}: fields {fields} are of no format known: name one with `format`; formats are: {known}")]
    Unknown {
        /// Where.
        place: Place,
        /// The row's fields.
        fields: String,
        /// Names of formats.
        known: String,
    },
    /// A row that is no JSON object, or a damaged file.
    #[error("{place}: {problem}")]
    Row {
        /// Where.
        place: Place,
        /// What is wrong with it.
        problem: String,
    },
    /// A field that is missing, or other than it must be.
    #[error("{place}: field `{field}` {problem}")]
    Field {
        /// Where.
        place: Place,
        /// The field, with the way to it.
        field: String,
        /// What is wrong with it, and what it must be.
        problem: String,
    },
}

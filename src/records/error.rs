//! What can be wrong with a file of records.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Result of reading records.
pub type RecordResult<T> = Result<T, RecordError>;

/// Where a record stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line that it begins on; in Parquet files, the number of the row. From 1.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// Why records could not be read.
#[derive(Debug, Error)]
pub enum RecordError {
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
    /// A file or folder without records.
    #[error("{} holds no rows", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
    },
    /// A record that is no JSON object, or a damaged file.
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

//! What can be wrong with a benchmark's file, beside its records.

use std::path::PathBuf;

use thiserror::Error;

use crate::records::{Place, RecordError};

/// Result of reading a benchmark.
pub type BenchmarkResult<T> = Result<T, BenchmarkError>;

/// Why a benchmark could not be read.
#[derive(Debug, Error)]
pub enum BenchmarkError {
    /// A file that cannot be read, a damaged record, or a field that is not as its format says.
    #[error(transparent)]
    Record(#[from] RecordError),
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
    /// A question that a file of samples has none for.
    #[error("{}: there is no sample for the question `{key}` of {}", path.display(), questions.display())]
    Unanswered {
        /// The file of samples.
        path: PathBuf,
        /// The question.
        key: String,
        /// The file of questions.
        questions: PathBuf,
    },
    /// Rows that were to be pairs, and are questions.
    #[error("{} ({format}) has questions, which stand for no pairs; formats that do: {known}", path.display())]
    NoPairs {
        /// The file or folder.
        path: PathBuf,
        /// Its format.
        format: &'static str,
        /// Names of formats with pairs.
        known: String,
    },
}

//! What can be wrong with data.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::store::StoreError;

/// Result of reading or encoding data.
pub type DataResult<T> = Result<T, DataError>;

/// A row of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Line of a JSON lines file or row of a Parquet file, from 1.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// Why data could not be read, encoded or laid out.
#[derive(Debug, Error)]
pub enum DataError {
    /// A file or folder that is not there, or cannot be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A name with an ending that tells no format.
    #[error("{} is not one of .jsonl, .jsonl.gz, .jsonl.zst, .parquet", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// A folder without a file to read.
    #[error("{} holds no .jsonl, .jsonl.gz, .jsonl.zst or .parquet file: export pairs into it, or name a file", path.display())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that holds the same split in several formats, so that pairs would count twice.
    #[error("{} and {} look like the same pairs in two formats: name one of the files", first.display(), second.display())]
    Twice {
        /// One of the files.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A row that is no JSON object, or a damaged file.
    #[error("{place}: {problem}")]
    Row {
        /// Where.
        place: Place,
        /// What is wrong with it.
        problem: String,
    },
    /// A field that is missing, or of another type than it must be.
    #[error("{place}: field `{field}` {problem}")]
    Field {
        /// Where.
        place: Place,
        /// The field's name.
        field: &'static str,
        /// What is wrong with it, and what it must be.
        problem: String,
    },
    /// A tokenizer that cannot be read or fails on a text.
    #[error("the tokenizer {place}: {message}")]
    Tokenizer {
        /// Its file, or what it was at.
        place: String,
        /// What its library says.
        message: String,
    },
    /// A tokenizer with more tokens than the model has embeddings.
    #[error(
        "the tokenizer knows tokens up to id {highest}, but the model's embedding has {rows} rows: the two are not of one model"
    )]
    Vocabulary {
        /// The highest token id.
        highest: u32,
        /// Rows of the embedding.
        rows: usize,
    },
    /// No token to end answers with.
    #[error(
        "answers are to be ended with a token, but the model's config.json names no eos_token_id: name one, or turn the setting off"
    )]
    NoEnd,
    /// A length that leaves no room.
    #[error(
        "max_length {max_length} is too small: a token of prompt and one of answer must fit, and the end token where one is added"
    )]
    MaxLength {
        /// The setting.
        max_length: usize,
    },
    /// The database.
    #[error("reading pairs: {0}")]
    Store(#[from] StoreError),
}

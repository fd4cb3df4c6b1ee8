//! What can be wrong with data.

use std::path::PathBuf;

use thiserror::Error;

use crate::records::RecordError;
use crate::store::StoreError;

/// Result of reading or encoding data.
pub type DataResult<T> = Result<T, DataError>;

/// Why data could not be read, encoded or laid out.
#[derive(Debug, Error)]
pub enum DataError {
    /// A file that cannot be read, a damaged row, or a field that is not as it must be.
    #[error(transparent)]
    Record(#[from] RecordError),
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

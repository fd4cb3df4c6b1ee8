//! What stops reading before it starts. Faults of single entries are [`super::Rejected`] instead.

use std::path::PathBuf;

use thiserror::Error;

/// Why a source cannot be listed or read at all.
#[derive(Debug, Error)]
pub enum CorpusError {
    /// A setting has a value that makes no sense.
    #[error("`{setting}` {message}")]
    Setting {
        /// Name of the setting within the source.
        setting: &'static str,
        /// What is wrong with it and what is allowed.
        message: String,
    },
    /// No file or folder is there.
    #[error("nothing matches `{pattern}` in {}: {hint}", base.display())]
    NothingMatches {
        /// The path or pattern as written.
        pattern: String,
        /// The folder it was looked up in.
        base: PathBuf,
        /// What to do about it.
        hint: &'static str,
    },
    /// A matched file has a name that tells no format that the source's kind can read.
    #[error("{} is not one of {allowed}: pack it anew as one of them, or narrow `path`", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Endings that are read.
        allowed: &'static str,
    },
    /// A folder that the pattern leads through cannot be listed.
    #[error("cannot list {}: {error}", path.display())]
    Listing {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

//! What a reader hands on: documents with their provenance, and entries that could not be read.

use serde::Serialize;

/// Where a shard's files come from and under what terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// Repository or package, e.g. `pallets/click` or `click`.
    pub repository: String,
    /// Commit or version where the archive tells.
    pub revision: Option<String>,
    /// SPDX identifier where one could be told from the licence text or the metadata.
    pub licence: Option<String>,
    /// Path of the licence file that was found.
    pub licence_path: Option<String>,
}

/// One source file as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Position in its shard, from 0; every entry counts, rejected ones too.
    pub entry: u64,
    /// Path inside the repository, with `/`.
    pub path: String,
    /// The text, with `\n` line ends.
    pub content: String,
    /// Set where the entry itself tells more than its shard (JSONL rows).
    pub provenance: Option<Provenance>,
}

/// Why an entry was not read. The text forms are what `rejections.class` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Larger than `max_file_bytes`.
    TooLarge,
    /// Not UTF-8.
    InvalidUtf8,
    /// Contains a NUL byte, which Postgres text cannot hold.
    NulByte,
    /// No bytes, or white space only.
    Empty,
    /// A path that leaves the archive: absolute, `..`, or a drive letter.
    UnsafePath,
    /// A symbolic or hard link.
    Link,
    /// The archive promises far more bytes than it holds.
    Bomb,
    /// A JSONL line that is not JSON or lacks a field.
    BrokenLine,
    /// A notebook that is not valid JSON or has no code.
    BrokenNotebook,
    /// A file or folder that could not be opened, or that is none: a device, a pipe, an encrypted member.
    Unreadable,
    /// The archive or compressed stream ends early or is damaged; what follows is lost.
    Corrupt,
}

impl Fault {
    /// The form that `rejections.class` holds.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::NulByte => "nul_byte",
            Self::Empty => "empty",
            Self::UnsafePath => "unsafe_path",
            Self::Link => "link",
            Self::Bomb => "bomb",
            Self::BrokenLine => "broken_line",
            Self::BrokenNotebook => "broken_notebook",
            Self::Unreadable => "unreadable",
            Self::Corrupt => "corrupt",
        }
    }
}

/// An entry that could not be read, kept as a rejection row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Position in its shard, from 0.
    pub entry: u64,
    /// Path of the entry, or of the shard when the shard itself is at fault.
    pub path: String,
    /// What kind of fault.
    pub fault: Fault,
    /// What was wrong, and where (line, byte).
    pub message: String,
}

/// One step through a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A document.
    Document(Document),
    /// Something that was passed over, with its reason.
    Rejected(Rejected),
}

impl Entry {
    /// Position in the shard.
    pub fn position(&self) -> u64 {
        match self {
            Self::Document(document) => document.entry,
            Self::Rejected(rejected) => rejected.entry,
        }
    }
}

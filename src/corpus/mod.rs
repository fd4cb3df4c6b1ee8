//! Reading source: folders, archives and JSONL files become a stream of documents.
//!
//! ```text
//! Source ── shards() ──> Shard ── survey() ──> Survey      what it is: repository, revision, licence, top folder
//!                          └───── read() ────> Entries     Document | Rejected, one at a time
//! ```
//!
//! Invariants:
//! - A shard's entries come in the same order, with the same positions, at every reading: a position is a cursor.
//! - An archive is never unpacked to disk nor held whole; memory is bounded by `max_file_bytes`, not by the input.
//! - Whatever was asked for and cannot be read becomes an [`Entry::Rejected`], never a silent gap, and never ends the run.
//!
//! Which texts are worth keeping is decided elsewhere: [`signals`] only measures them.

pub mod document;
mod error;
#[cfg(test)]
mod fixture;
mod folder;
mod format;
mod git;
mod jsonl;
mod licence;
mod metadata;
mod notebook;
mod reader;
mod row;
mod select;
mod shard;
mod signals;
mod source;
mod stream;
mod survey;
mod tarball;
mod text;
mod walker;
mod zipped;

pub use document::{Document, Entry, Fault, Provenance, Rejected};
pub use error::CorpusError;
pub use format::{Compression, Format};
pub use reader::Entries;
pub use shard::{Shard, shards};
pub use signals::{Signals, signals};
pub use source::{JsonlFields, Source, SourceKind};
pub use survey::Survey;

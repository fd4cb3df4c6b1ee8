//! Reading source: folders, archives and JSONL files become a stream of documents.
//!
//! Invariants: a shard's entries come in the same order at every reading; an archive is never unpacked to disk nor held
//! whole; whatever cannot be read becomes an [`Entry::Rejected`], never a silent gap. What to keep is decided elsewhere.

pub mod document;
pub use document::{Document, Entry, Fault, Provenance, Rejected};

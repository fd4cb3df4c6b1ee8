//! Exact and near-duplicate detection: streaming, greedy, deterministic.
//!
//! Documents are offered to an [`Index`] in input order. A document is dropped when its content equals, or is
//! near, that of a document *kept earlier*; near means an estimated Jaccard similarity of word n-grams of at least
//! the threshold. What is kept depends on the order of the input and on the [`Settings`], never on threads or time.
//!
//! ```text
//! text ── words ── shingles ── Sketcher ── Sketch ┐
//!   └──── ContentHash ────────────────────────────┴── Index ── Verdict
//! ```
//!
//! - The [`Sketcher`] is immutable and shared by threads; the [`Index`] has one owner, who offers in order.
//! - A [`Sketch`] has a versioned byte form. The sketches of kept documents, inserted again in the order in which
//!   they were kept, rebuild an index that answers as the first one would have.
//! - The whole state takes at most 400 bytes a kept document at up to 256 permutations (see [`Index`]).
//!
//! Reading, storing and the choice of what to do with a dropped document are left to the callers.

mod banding;
mod content;
mod estimate;
mod index;
mod mix;
mod overlap;
mod records;
mod settings;
mod shingles;
mod sketch;
mod sketcher;
mod slots;
mod verdict;
mod words;

pub use banding::Banding;
pub use content::ContentHash;
pub use index::Index;
pub use overlap::{Overlap, OverlapClass, References};
pub use settings::{Settings, SettingsError};
pub use sketch::{Sketch, SketchError};
pub use sketcher::Sketcher;
pub use verdict::Verdict;

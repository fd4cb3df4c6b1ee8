//! Benchmarks as data: the files that others publish, read as items to be scored, or as pairs to train on.
//!
//! ```text
//! file ── records ──> Row ── format ──> Item      a pair, a choice, a ranking, or a question with its answer
//!                                       Item ──> Pair      as many as it stands for
//! samples file ── attach ──> the items' samples
//! ```
//!
//! Invariants: nothing is downloaded; a field that is not as its format says is an error with file, line and field; a row
//! that makes no item (a solution without a counterpart) is counted with its reason; the order of the file decides the
//! order of the items. What an answer means is left to `eval`, what a model thinks of it to `stages`.

mod boxed;
mod code;
mod error;
mod format;
mod item;
mod items;
mod pairs;
mod read;
mod reasons;
mod samples;
mod texts;

mod choices;
mod feedback;
mod plain;
mod questions;
mod reward_bench;
mod shepherd;

pub use boxed::last_boxed;
pub use code::CodeTest;
pub use error::{BenchmarkError, BenchmarkResult};
pub use format::Format;
pub use item::{Answering, Item, Task};
pub use items::{Items, LeftOut, Made, Origin, detect, items};
pub use pairs::{Pair, Pairs, pairs};
pub use read::{Benchmark, read};
pub use reasons::{Reason, Reasons};
pub use samples::attach;
pub use texts::{Texts, gather, texts};

//! Benchmarks as data: the files that others publish, read as items to be scored.
//!
//! ```text
//! file ── rows ──> Row ── format ──> Item      a pair, a choice, a ranking, or a question with its answer
//! samples file ── attach ──> the items' samples
//! ```
//!
//! Invariants: nothing is downloaded; a field that is not as its format says is an error with file, line and field; a row
//! that makes no item (a solution without a counterpart) is counted with its reason; the order of the file decides the
//! order of the items. What an answer means is left to `eval`, what a model thinks of it to `stages`.

mod boxed;
mod code;
mod error;
mod files;
mod format;
mod item;
mod json;
mod parquet;
mod read;
mod row;
mod samples;

mod choices;
mod feedback;
mod plain;
mod questions;
mod reward_bench;
mod shepherd;

pub use boxed::last_boxed;
pub use code::CodeTest;
pub use error::{BenchmarkError, BenchmarkResult, Place};
pub use format::Format;
pub use item::{Answering, Item, Task};
pub use read::{Benchmark, LeftOut, detect, read};
pub use samples::attach;

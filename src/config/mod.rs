//! The pipeline file: its shape, positions and checks.
//!
//! This layer knows that a file has endpoints, simulators and stages, and where each stands; what a kind of stage may be
//! told is known to that kind alone, which parses its own [`Section`]. Every problem carries its line and column, and all
//! of them are reported at once.

pub mod pipeline;
pub mod problem;
mod string;

pub use pipeline::{Pipeline, Section, StageEntry};
pub use problem::{ConfigError, Position, Problem};

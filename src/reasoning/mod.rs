//! A reasoning set that is made, not collected: arithmetic word problems with right and flawed step-by-step solutions.
//!
//! It stands in for GSM8K and Math-Shepherd where nothing may be downloaded: pairs for finetuning a reward model, and
//! samples for best-of-N, with final answers that compare as GSM8K's do. What a model learns from it says that the
//! machinery works, and nothing about reasoning.
//!
//! Invariants: the same settings give the same bytes; no problem is in two parts; a right solution ends in the answer, a
//! flawed one in another number; right and flawed solutions have the same wording, so that only their reasoning differs.

mod find;
mod problem;
mod set;
mod solution;

pub use problem::{Problem, Step};
pub use set::{Counts, SetError, SetSettings, write};
pub use solution::{Flaw, flawed, right};

//! Postgres: the only layer that holds SQL.
//!
//! Invariants: what a stage makes and how far it has come are committed in one transaction; every write may be sent
//! twice (a commit whose reply was lost) and counts once; a key or password never reaches a row or an error.

pub mod accounts;
pub mod answers;
pub mod batch;
pub mod budget;
pub mod chain;
mod connect;
pub mod contamination;
mod copy;
pub mod curves;
mod error;
pub mod evaluation;
pub mod export;
pub mod judgements;
pub mod local;
pub mod lock;
pub mod migrate;
pub mod pairs;
pub mod pool;
pub mod preflights;
pub mod progress;
pub mod quality;
pub mod query;
pub mod questions;
pub mod report;
pub mod runs;
pub mod sample;
pub mod stages;
pub mod tasks;
#[doc(hidden)]
pub mod testing;
pub mod training;
pub mod training_pairs;
pub mod under_way;

pub use connect::{Store, external_url};
pub use error::{StoreError, StoreResult};

//! `codepmp` turns Python source into code-preference pairs and keeps them in Postgres.
//!
//! Imports go down only (`tests/it/tidy.rs` holds the list):
//!
//! ```text
//! cli
//! stages                           one file per stage kind
//! simulate  engine                 a simulated model server; runs a plan
//! reasoning  report                makes a reasoning set; a run as one page
//! train                            pairs into batches, checkpoints, model folders
//! eval                             measures with their uncertainty
//! llm  store  corpus  runtime      models; SQL; archives and files; ONNX Runtime
//! sandbox  benchmark  records      answers' code in a cage; what others publish, as items and pairs; files of records
//! dedupe  python  graph  nn        pure code: no I/O, no clock, no async
//! config  env  ids  shutdown  telemetry  progress
//! ```

pub mod benchmark;
pub mod cli;
pub mod config;
pub mod corpus;
pub mod dedupe;
pub mod engine;
pub mod env;
pub mod eval;
pub mod graph;
pub mod ids;
pub mod llm;
pub mod nn;
pub mod progress;
pub mod python;
pub mod reasoning;
pub mod records;
pub mod report;
pub mod runtime;
pub mod sandbox;
pub mod shutdown;
pub mod simulate;
pub mod stages;
pub mod store;
pub mod telemetry;
pub mod train;

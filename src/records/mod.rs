//! Files of records, as benchmarks and data sets are published: JSON lines, JSON lists, single JSON objects, Parquet;
//! plain or compressed.
//!
//! Invariants: a file is read one record at a time and never held whole; every record knows its file and line; a field is
//! asked for with the type that it must have, and is an error with file, line and field if it has another. What the fields
//! mean is left to those who read them.

mod error;
mod files;
mod json;
mod parquet;
mod row;

pub use error::{Place, RecordError, RecordResult};
pub use files::{Rows, files, rows};
pub use row::{Row, kind};

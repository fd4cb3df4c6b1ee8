//! Training preference models.

pub mod data;

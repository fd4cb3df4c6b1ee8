//! Training preference models.

pub mod fresh;

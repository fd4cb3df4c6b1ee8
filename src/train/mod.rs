//! Training preference models.

pub mod data;
pub mod fresh;
pub mod schedule;
pub mod settings;
pub mod spacing;

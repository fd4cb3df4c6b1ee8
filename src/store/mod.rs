//! store

pub mod local;

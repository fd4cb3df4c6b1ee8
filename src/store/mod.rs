//! store

pub mod local;
pub mod migrate;
pub mod pool;
#[doc(hidden)]
pub mod testing;

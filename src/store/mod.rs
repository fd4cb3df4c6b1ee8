//! store

pub mod local;
pub mod migrate;
pub mod pool;
mod reconnect;
#[doc(hidden)]
pub mod testing;

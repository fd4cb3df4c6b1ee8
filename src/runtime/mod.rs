//! Running graphs on an unmodified ONNX Runtime.
//!
//! ```text
//! Library (found, checked) ──> Runtime (a device, a thread pool) ──> Session (one graph)
//!                                         └──> Tensor (memory, and views into it) ──┘
//! ```
//!
//! Invariants:
//! - A library that cannot be used is an error that says which and why; nothing hangs and nothing falls back silently.
//! - A session reads and writes tensors where they lie. One memory under an input and an output is refused unless the
//!   graph was checked for it; so are outputs that overlap.
//! - Tensors stay on the thread that made them, so views of one memory are never used by two threads.
//!
//! `raw` holds all unsafe code. What graphs mean is left to `graph` and `nn`.

mod device;
mod environment;
mod error;
mod library;
pub mod memory;
mod raw;
mod session;
mod tensor;
#[cfg(test)]
pub mod testing;

pub use device::Device;
pub use environment::{Runtime, RuntimeSettings};
pub use error::RuntimeError;
pub use library::{Library, MINIMUM_MINOR, find_library};
pub use session::Session;
pub use tensor::Tensor;

#[cfg(test)]
mod tests;

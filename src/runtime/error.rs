//! What can go wrong between a graph and its results.

use std::path::PathBuf;

use thiserror::Error;

use crate::graph::GraphError;

/// A failure of finding, opening or using ONNX Runtime.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// There is no library.
    #[error(
        "no ONNX Runtime was found (looked at {}): fetch one with `make onnxruntime`, or name one in ORT_DYLIB_PATH",
        listed(places)
    )]
    NoLibrary {
        /// Where it was looked for.
        places: Vec<PathBuf>,
    },
    /// A file is not a usable ONNX Runtime.
    #[error("{} is not a usable ONNX Runtime: {message}; fetch one with `make onnxruntime`, or name another in ORT_DYLIB_PATH", path.display())]
    BadLibrary {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A file is not a usable plugin.
    #[error("{} is not a usable plugin of this ONNX Runtime: {message}; see CODEPMP_ORT_PLUGINS", path.display())]
    BadPlugin {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The process computes with other settings already.
    #[error("this process uses {} with {threads} threads already; it cannot be changed while it runs", path.display())]
    OpenOtherwise {
        /// The library in use.
        path: PathBuf,
        /// The threads in use.
        threads: usize,
    },
    /// A device that is not there.
    #[error("there is no device {wanted} here: {reason}; this library has {}", available.join(", "))]
    NoDevice {
        /// The device.
        wanted: String,
        /// Why it is not there.
        reason: String,
        /// Devices that the library could drive.
        available: Vec<String>,
    },
    /// A graph that cannot be built.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A session was given something else than it wants.
    #[error("session {session:?}: {message}")]
    Misused {
        /// The session.
        session: String,
        /// What does not fit.
        message: String,
    },
    /// The device's memory does not suffice.
    #[error("out of memory in {place}: {message}")]
    OutOfMemory {
        /// Which session or tensor.
        place: String,
        /// What ONNX Runtime said.
        message: String,
    },
    /// Anything else that ONNX Runtime says.
    #[error("ONNX Runtime failed in {place}: {message}")]
    Failed {
        /// Which session or tensor.
        place: String,
        /// What it said.
        message: String,
    },
}

impl RuntimeError {
    /// What ONNX Runtime said, told apart by what a user can do about it. There is no code of its own for a lack of
    /// memory, so its messages are read.
    pub(super) fn told(place: &str, message: &str) -> Self {
        const MEMORY: [&str; 5] =
            ["Failed to allocate memory", "bad_alloc", "out of memory", "Available memory of", "ALLOC_FAILED"];
        let (place, text) = (place.to_owned(), message.trim().to_owned());
        if MEMORY.iter().any(|sign| message.contains(sign)) {
            Self::OutOfMemory { place, message: text }
        } else {
            Self::Failed { place, message: text }
        }
    }
}

fn listed(places: &[PathBuf]) -> String {
    places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ")
}

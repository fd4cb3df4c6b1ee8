//! The runtime of tests: two threads of the processor, with the library that `make onnxruntime` fetched.

use super::{Device, Library, Runtime, RuntimeSettings, find_library};

/// The library, found as the program does with the data folder at its default place.
#[allow(clippy::panic)]
pub fn library() -> Library {
    let data_dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".codepmp");
    find_library(&data_dir).unwrap_or_else(|error| panic!("{error}"))
}

/// A runtime on the processor.
#[allow(clippy::panic)]
pub fn runtime() -> Runtime {
    let settings = RuntimeSettings { device: Device::Cpu, threads: Some(2), library: library() };
    Runtime::open(&settings).unwrap_or_else(|error| panic!("{error}"))
}

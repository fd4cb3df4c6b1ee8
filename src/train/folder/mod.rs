//! A model's folder, as Hugging Face lays it out: read strictly, written whole.
//!
//! Invariants: every tensor that the configuration asks for is there, in its shape, before any is read; whatever a file
//! claims about itself is checked against its length before memory is taken; what is written appears under its name only
//! after it is on disk. Numbers are f32 in memory, whatever they were in the file.

pub mod disk;
pub mod error;
pub mod model;
pub mod onnx;
pub mod publish;
pub mod tensors;
pub mod weights;
pub mod write;

pub use disk::{Disk, LocalDisk};
pub use error::FolderError;
pub use model::ModelFolder;
pub use tensors::{TensorFile, TensorInfo, write_tensors};
pub use weights::Weights;
pub use write::{ModelParts, write_model};

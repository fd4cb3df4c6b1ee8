//! Graphs as ONNX protobuf: opset 21 and `com.microsoft` 1.
//!
//! What no output needs is not written. Attributes that ONNX takes as inputs become initialisers, equal ones once.

mod form;
mod message;
mod write;

pub use write::{OnnxPieces, OnnxWeight};

//! Graphs of tensor operations, with gradients, written as ONNX.
//!
//! A [`Graph`] is built by calling one method per operation. Every value has a type and a shape the moment it is made,
//! so a mistake is found where it is written and not in a session. [`gradients`] walks the graph once in reverse over a
//! table with one rule per operation; [`Graph::extract`] cuts the result into a forward and a backward graph;
//! [`Graph::to_onnx`] writes what the outputs need.
//!
//! Invariants:
//! - Nodes stand in the order of their creation, and that order is topological.
//! - A value is written by exactly one node, or is an input, or is a constant.
//! - The first mistake is remembered and told by whatever ends the building; until then every method returns a value,
//!   so formulas need no `?` on every line.
//!
//! Running graphs is left to `runtime`, models are left to `nn`.

mod build;
#[cfg(test)]
mod checks;
mod dim;
mod element;
mod emulate;
mod error;
mod extract;
mod gradients;
mod in_place;
mod nodes;
mod onnx;
mod op;
mod rules;
mod shape;

pub use dim::{Dim, dims};
pub use element::Type;
pub use error::GraphError;
pub use gradients::gradients;
pub use nodes::{Graph, Node, Value};
pub use onnx::{OnnxPieces, OnnxWeight};
pub use op::Op;

//! How exact the arithmetic is, and what a backward pass finds saved.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::graph::{Graph, GraphError, Type};

/// The type that matrix products are computed in. Weights, the residual stream, norms, softmax, losses, gradient sums and
/// the optimizer are f32 always, as under PyTorch's autocast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats throughout.
    #[default]
    F32,
    /// bfloat16: 8 bits of exponent, 8 of mantissa. The CPU has no kernels for it.
    Bf16,
    /// As bfloat16, on kernels for 32-bit floats: operands and results of products are rounded between them. What
    /// bfloat16 does to a run, where no device has it; not faster.
    Bf16Emulated,
}

impl Precision {
    /// The type of matrix products.
    pub(super) fn compute(self) -> Type {
        match self {
            Self::F32 => Type::F32,
            Self::Bf16 | Self::Bf16Emulated => Type::BF16,
        }
    }

    /// The graph as it is run.
    pub(super) fn kernels(self, graph: Graph) -> Result<Graph, GraphError> {
        if self == Self::Bf16Emulated { graph.emulate_bf16() } else { Ok(graph) }
    }
}

/// How graphs compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compute {
    /// The type of matrix products.
    pub precision: Precision,
    /// Whether norms are one operation, whose second result the backward pass reads, or several that any device has.
    pub fused_norms: bool,
}

/// What a layer's backward pass starts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Saving {
    /// The layer's input alone; the backward pass computes the activations again (activation checkpointing, Chen and
    /// others, arXiv 1604.06174). The least memory.
    Recompute,
    /// The activations that are dear to compute again. Faster, for more memory.
    #[default]
    Save,
}

//! How exact the arithmetic is, and what a backward pass finds saved.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// IEEE half precision: gradients are computed scaled up, because its range is small.
    F16,
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

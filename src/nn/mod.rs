//! The decoder that preference models are made of, as graphs: forward, backward, losses, optimizer.
//!
//! One family: RMSNorm before attention and MLP, rotary positions, grouped-query attention, SwiGLU (Qwen2, Llama,
//! Mistral: they differ by configuration alone), with a language-model head and a scalar reward head.
//!
//! Invariants: pure code, without I/O; graphs are of static shapes ([`BatchShape`]) save the exported scorer; all decoder
//! layers but the last share one forward and one backward graph; a graph's inputs and outputs have the names that its builder's docs
//! list. Running them is for `train::model`.

pub mod config;
mod decoder;
pub mod embed;
pub mod head;
pub mod layer;
pub mod losses;
pub mod mask;
pub mod optimizer;
pub mod parameters;
pub mod precision;
pub mod presets;
pub mod scorer;
pub mod shape;

pub use config::{Architecture, ConfigError, ModelConfig};
pub use embed::{embed, embed_backward};
pub use head::{HEAD_IN_PLACE, head, score_head};
pub use layer::{Depth, LayerGraphs, Saved, layer};
pub use losses::LossSettings;
pub use mask::mask;
pub use optimizer::{ADAMW_IN_PLACE, adamw, sum_of_squares};
pub use parameters::{LayerWeight, Parameter, Place};
pub use precision::{Compute, Precision, Saving};
pub use presets::Preset;
#[cfg(test)]
pub(crate) use scorer::language_model;
pub use scorer::{rotary_tables, score_model, scored_parameters};
pub use shape::BatchShape;

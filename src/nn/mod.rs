//! The decoder that preference models are made of, as graphs: forward, backward, losses, optimizer.
//!
//! One family: RMSNorm before attention and MLP, rotary positions, grouped-query attention, SwiGLU (Qwen2, Llama,
//! Mistral: they differ by configuration alone), with a language-model head and a scalar reward head.
//!
//! Invariants: pure code, without I/O; graphs are of static shapes ([`BatchShape`]) save the exported scorer; all decoder
//! layers share one forward and one backward graph; a graph's inputs and outputs have the names that its builder's docs
//! list. Running them is for `train::model`.

pub mod config;
pub mod losses;
pub mod parameters;
pub mod precision;
pub mod presets;
pub mod shape;

pub use config::{Architecture, ConfigError, ModelConfig};
pub use losses::LossSettings;
pub use parameters::{LayerWeight, Parameter, Place};
pub use precision::{Precision, Saving};
pub use presets::Preset;
pub use shape::BatchShape;

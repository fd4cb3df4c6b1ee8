//! Sizes of fresh models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::{Architecture, ModelConfig};

/// A size of a fresh model. The vocabulary's size comes from its tokenizer; [`Preset::vocab_size`] is what to train one to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// About 1.3 million parameters: trains in minutes on two cores.
    Tiny,
    /// About 31 million parameters.
    Small,
    /// About 100 million parameters.
    Base,
}

impl Preset {
    /// How many tokens a tokenizer for this size should have.
    pub fn vocab_size(self) -> usize {
        match self {
            Self::Tiny => 4096,
            Self::Small => 16_384,
            Self::Base => 32_768,
        }
    }

    /// The configuration for a vocabulary of `vocab_size` tokens. The embedding is tied to the head; special tokens are
    /// unset.
    pub fn config(self, vocab_size: usize) -> ModelConfig {
        let (hidden_size, intermediate_size, num_layers, num_heads, num_kv_heads) = match self {
            Self::Tiny => (128, 352, 4, 4, 2),
            Self::Small => (512, 1408, 8, 8, 2),
            Self::Base => (768, 2048, 12, 12, 4),
        };
        ModelConfig {
            architecture: Architecture::Qwen2,
            vocab_size,
            hidden_size,
            intermediate_size,
            num_layers,
            num_heads,
            num_kv_heads,
            head_dim: hidden_size / num_heads,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            max_positions: 4096,
            tie_embeddings: true,
            qkv_bias: true,
            sliding_window: None,
            bos_token_id: None,
            eos_token_id: None,
            pad_token_id: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_have_about_the_parameters_that_they_promise() {
        let millions = |preset: Preset| {
            let parameters = preset.config(preset.vocab_size()).parameters();
            parameters.iter().map(crate::nn::Parameter::elements).sum::<usize>() as f64 / 1e6
        };
        assert!((1.2..1.4).contains(&millions(Preset::Tiny)), "{}", millions(Preset::Tiny));
        assert!((30.0..32.0).contains(&millions(Preset::Small)), "{}", millions(Preset::Small));
        assert!((95.0..105.0).contains(&millions(Preset::Base)), "{}", millions(Preset::Base));
    }
}

//! A model's parameters: names as in Hugging Face folders, shapes, decay, and where each is used.

use super::config::ModelConfig;

/// One weight of a decoder layer; its text is the name of the graph input that it is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LayerWeight {
    /// Scale of the norm before attention, `[hidden]`.
    InputNorm,
    /// Query projection, `[heads * head_dim, hidden]`.
    Query,
    /// Bias of the query projection.
    QueryBias,
    /// Key projection, `[kv_heads * head_dim, hidden]`.
    Key,
    /// Bias of the key projection.
    KeyBias,
    /// Value projection, `[kv_heads * head_dim, hidden]`.
    Value,
    /// Bias of the value projection.
    ValueBias,
    /// Attention's output projection, `[hidden, heads * head_dim]`.
    Output,
    /// Scale of the norm before the MLP, `[hidden]`.
    MlpNorm,
    /// Gate projection, `[intermediate, hidden]`.
    Gate,
    /// Up projection, `[intermediate, hidden]`.
    Up,
    /// Down projection, `[hidden, intermediate]`.
    Down,
}

impl LayerWeight {
    /// The weights of a layer of this configuration, in order.
    pub fn all(config: &ModelConfig) -> Vec<Self> {
        let mut all = vec![Self::InputNorm, Self::Query, Self::QueryBias, Self::Key, Self::KeyBias, Self::Value];
        all.extend([Self::ValueBias, Self::Output, Self::MlpNorm, Self::Gate, Self::Up, Self::Down]);
        all.retain(|weight| config.qkv_bias || !weight.is_bias());
        all
    }

    /// The name within `model.layers.N.`, as in Hugging Face folders.
    pub fn name(self) -> &'static str {
        match self {
            Self::InputNorm => "input_layernorm.weight",
            Self::Query => "self_attn.q_proj.weight",
            Self::QueryBias => "self_attn.q_proj.bias",
            Self::Key => "self_attn.k_proj.weight",
            Self::KeyBias => "self_attn.k_proj.bias",
            Self::Value => "self_attn.v_proj.weight",
            Self::ValueBias => "self_attn.v_proj.bias",
            Self::Output => "self_attn.o_proj.weight",
            Self::MlpNorm => "post_attention_layernorm.weight",
            Self::Gate => "mlp.gate_proj.weight",
            Self::Up => "mlp.up_proj.weight",
            Self::Down => "mlp.down_proj.weight",
        }
    }

    /// Its shape in a layer of this configuration.
    pub fn shape(self, config: &ModelConfig) -> Vec<usize> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let (query, key) = (config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim);
        match self {
            Self::InputNorm | Self::MlpNorm => vec![hidden],
            Self::Query => vec![query, hidden],
            Self::QueryBias => vec![query],
            Self::Key | Self::Value => vec![key, hidden],
            Self::KeyBias | Self::ValueBias => vec![key],
            Self::Output => vec![hidden, query],
            Self::Gate | Self::Up => vec![inner, hidden],
            Self::Down => vec![hidden, inner],
        }
    }

    fn is_bias(self) -> bool {
        matches!(self, Self::QueryBias | Self::KeyBias | Self::ValueBias)
    }

    fn is_norm(self) -> bool {
        matches!(self, Self::InputNorm | Self::MlpNorm)
    }
}

/// Where a parameter is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// The token embedding; the language-model head too where tied.
    Embedding,
    /// In a decoder layer, counted from 0.
    Layer(usize, LayerWeight),
    /// Scale of the norm after the last layer.
    FinalNorm,
    /// The language-model head, where not tied.
    LmHead,
    /// The reward head.
    Score,
}

/// One tensor of a model's weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in Hugging Face folders.
    pub name: String,
    /// Its shape; matrices are `[out, in]`.
    pub shape: Vec<usize>,
    /// Whether weight decay applies: not to norms and biases.
    pub decay: bool,
    /// Where it is used.
    pub place: Place,
}

impl Parameter {
    /// How many numbers it holds.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

impl ModelConfig {
    /// Every parameter, in the order of the forward pass. The reward head is always there, the language-model head
    /// where it is not tied to the embedding.
    pub fn parameters(&self) -> Vec<Parameter> {
        let place = |name: &str, shape: Vec<usize>, decay: bool, place: Place| Parameter {
            name: name.to_owned(),
            shape,
            decay,
            place,
        };
        let table = vec![self.vocab_size, self.hidden_size];
        let mut all = vec![place("model.embed_tokens.weight", table.clone(), true, Place::Embedding)];
        for layer in 0..self.num_layers {
            for weight in LayerWeight::all(self) {
                let name = format!("model.layers.{layer}.{}", weight.name());
                let decay = !weight.is_bias() && !weight.is_norm();
                all.push(place(&name, weight.shape(self), decay, Place::Layer(layer, weight)));
            }
        }
        all.push(place("model.norm.weight", vec![self.hidden_size], false, Place::FinalNorm));
        if !self.tie_embeddings {
            all.push(place("lm_head.weight", table, true, Place::LmHead));
        }
        all.push(place("score.weight", vec![1, self.hidden_size], true, Place::Score));
        all
    }
}

#[cfg(test)]
mod tests {
    use crate::nn::{Architecture, Preset};

    #[test]
    fn norms_and_biases_do_not_decay_and_all_else_does() {
        for parameter in Preset::Tiny.config(100).parameters() {
            assert_eq!(parameter.decay, parameter.shape.len() == 2, "{}", parameter.name);
        }
    }

    #[test]
    fn an_untied_model_without_biases_has_a_head_and_no_bias() {
        let mut config = Preset::Tiny.config(100);
        (config.architecture, config.tie_embeddings, config.qkv_bias) = (Architecture::Llama, false, false);
        let names: Vec<_> = config.parameters().into_iter().map(|parameter| parameter.name).collect();
        assert!(names.contains(&"lm_head.weight".to_owned()));
        assert!(!names.iter().any(|name| name.ends_with("bias")));
        assert_eq!(names.len(), 4 + 4 * 9);
    }
}

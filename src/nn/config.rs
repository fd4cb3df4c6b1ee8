//! What a model looks like: Hugging Face's `config.json`, read strictly.
//!
//! Everything that would change the arithmetic and is not supported is an error that names its key: a model is never
//! computed as something that it is not.

use serde_json::{Map, Value, json};
use thiserror::Error;

/// Model families that share the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// Biases on q, k, v.
    Qwen2,
    /// No biases.
    Llama,
    /// No biases; a sliding window where the configuration sets one.
    Mistral,
}

impl Architecture {
    /// `model_type` in `config.json`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Qwen2 => "qwen2",
            Self::Llama => "llama",
            Self::Mistral => "mistral",
        }
    }

    /// The name that classes of `transformers` start with, as in `Qwen2ForSequenceClassification`.
    pub fn class_prefix(self) -> &'static str {
        match self {
            Self::Qwen2 => "Qwen2",
            Self::Llama => "Llama",
            Self::Mistral => "Mistral",
        }
    }
}

/// The dimensions and constants of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Its family.
    pub architecture: Architecture,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_layers: usize,
    /// Query heads.
    pub num_heads: usize,
    /// Key and value heads; divides `num_heads`.
    pub num_kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Added to the mean square in norms.
    pub rms_norm_eps: f64,
    /// Base of the rotary angles.
    pub rope_theta: f64,
    /// Positions that the model was made for.
    pub max_positions: usize,
    /// Whether the language-model head is the embedding.
    pub tie_embeddings: bool,
    /// Whether q, k and v have biases.
    pub qkv_bias: bool,
    /// How many tokens, itself included, a token sees at most; `None` is all.
    pub sliding_window: Option<usize>,
    /// The token that texts begin with.
    pub bos_token_id: Option<u32>,
    /// The token that texts end with (the first one, where there are several).
    pub eos_token_id: Option<u32>,
    /// The token that fills rows.
    pub pad_token_id: Option<u32>,
}

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// A key that must be there is not, or is of another type.
    #[error("config.json: `{key}` must be {expected}, but is {found}")]
    Key {
        /// The key.
        key: String,
        /// What it should be.
        expected: &'static str,
        /// What it is, as JSON; `missing` if absent.
        found: String,
    },
    /// A setting that would change the arithmetic in a way that is not supported.
    #[error("config.json: `{key}` = {found} is not supported: {supported}")]
    Unsupported {
        /// The key.
        key: String,
        /// Its value, as JSON.
        found: String,
        /// What is supported.
        supported: &'static str,
    },
}

/// Reads keys of one JSON object.
struct Keys<'a>(&'a Map<String, Value>);

impl<'a> Keys<'a> {
    /// The value, `null` taken as absent.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, expected: &'static str) -> ConfigError {
        let found = self.get(key).map_or_else(|| "missing".to_owned(), Value::to_string);
        ConfigError::Key { key: key.to_owned(), expected, found }
    }

    fn unsupported(&self, key: &str, supported: &'static str) -> ConfigError {
        let found = self.get(key).map_or_else(|| "missing".to_owned(), Value::to_string);
        ConfigError::Unsupported { key: key.to_owned(), found, supported }
    }

    fn size(&self, key: &str, default: Option<usize>) -> Result<usize, ConfigError> {
        let value = match self.get(key) {
            Some(value) => value.as_u64().map(|value| value as usize),
            None => default,
        };
        value.filter(|&value| value > 0).ok_or_else(|| self.wrong(key, "a whole number above zero"))
    }

    fn number(&self, key: &str, default: f64) -> Result<f64, ConfigError> {
        let value = self.get(key).map_or(Some(default), Value::as_f64);
        value.filter(|value| value.is_finite() && *value > 0.0).ok_or_else(|| self.wrong(key, "a number above zero"))
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, ConfigError> {
        self.get(key).map_or(Some(default), Value::as_bool).ok_or_else(|| self.wrong(key, "true or false"))
    }

    fn token(&self, key: &str) -> Result<Option<u32>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let first = value.as_array().map_or(Some(value), |list| list.first());
        let token = first.and_then(Value::as_u64).and_then(|token| u32::try_from(token).ok());
        token.map(Some).ok_or_else(|| self.wrong(key, "a token id or a list of them"))
    }
}

impl ModelConfig {
    /// Reads a `config.json` of `transformers`, of version 4 or 5.
    pub fn from_json(config: &Value) -> Result<Self, ConfigError> {
        let empty = Map::new();
        let keys = Keys(config.as_object().unwrap_or(&empty));
        let architecture = match keys.get("model_type").and_then(Value::as_str) {
            Some("qwen2") => Architecture::Qwen2,
            Some("llama") => Architecture::Llama,
            Some("mistral") => Architecture::Mistral,
            Some(_) => return Err(keys.unsupported("model_type", "qwen2, llama and mistral are")),
            None => return Err(keys.wrong("model_type", "qwen2, llama or mistral")),
        };
        if keys.get("hidden_act").is_some_and(|act| act != "silu" && act != "swish") {
            return Err(keys.unsupported("hidden_act", "silu is"));
        }
        for key in ["attention_bias", "mlp_bias"] {
            if keys.flag(key, false)? {
                return Err(keys.unsupported(key, "of the families here only qwen2 has biases, on q, k and v"));
            }
        }
        if keys.get("attention_dropout").is_some_and(|rate| rate.as_f64() != Some(0.0)) {
            return Err(keys.unsupported("attention_dropout", "only 0 is"));
        }
        if keys.get("quantization_config").is_some() {
            return Err(keys.unsupported("quantization_config", "weights must be f32, f16 or bf16"));
        }
        let num_layers = keys.size("num_hidden_layers", None)?;
        let hidden_size = keys.size("hidden_size", None)?;
        let num_heads = keys.size("num_attention_heads", None)?;
        let num_kv_heads = keys.size("num_key_value_heads", Some(num_heads))?;
        if num_heads % num_kv_heads != 0 {
            return Err(keys.wrong("num_key_value_heads", "a divisor of num_attention_heads"));
        }
        let head_dim = keys.size("head_dim", Some(hidden_size / num_heads))?;
        if head_dim % 2 != 0 {
            return Err(keys.wrong("head_dim", "an even number"));
        }
        Ok(Self {
            architecture,
            vocab_size: keys.size("vocab_size", None)?,
            hidden_size,
            intermediate_size: keys.size("intermediate_size", None)?,
            num_layers,
            num_heads,
            num_kv_heads,
            head_dim,
            rms_norm_eps: keys.number("rms_norm_eps", 1e-6)?,
            rope_theta: rope_theta(&keys)?,
            max_positions: keys.size("max_position_embeddings", Some(32_768))?,
            tie_embeddings: keys.flag("tie_word_embeddings", false)?,
            qkv_bias: architecture == Architecture::Qwen2,
            sliding_window: sliding_window(&keys, architecture, num_layers)?,
            bos_token_id: keys.token("bos_token_id")?,
            eos_token_id: keys.token("eos_token_id")?,
            pad_token_id: keys.token("pad_token_id")?,
        })
    }

    /// The `config.json` of a reward model of this configuration, as `transformers` 4 and 5 read it.
    pub fn to_json(&self) -> Value {
        let mut config = json!({
            "architectures": [format!("{}ForSequenceClassification", self.architecture.class_prefix())],
            "model_type": self.architecture.model_type(),
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_layers,
            "num_attention_heads": self.num_heads,
            "num_key_value_heads": self.num_kv_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "rope_parameters": {"rope_type": "default", "rope_theta": self.rope_theta},
            "max_position_embeddings": self.max_positions,
            "tie_word_embeddings": self.tie_embeddings,
            "attention_dropout": 0.0,
            "sliding_window": self.sliding_window,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": self.eos_token_id,
            "pad_token_id": self.pad_token_id,
            "num_labels": 1,
            "id2label": {"0": "reward"},
            "label2id": {"reward": 0},
            "initializer_range": 0.02,
            "use_cache": true,
            "torch_dtype": "float32",
        });
        match self.architecture {
            Architecture::Qwen2 => {
                config["use_sliding_window"] = json!(self.sliding_window.is_some());
                config["max_window_layers"] = json!(if self.sliding_window.is_some() { 0 } else { self.num_layers });
            }
            Architecture::Llama => {
                config["attention_bias"] = json!(false);
                config["mlp_bias"] = json!(false);
            }
            Architecture::Mistral => {}
        }
        config
    }

    /// Query heads that share one key and value head.
    pub fn group(&self) -> usize {
        self.num_heads / self.num_kv_heads
    }
}

/// The base of the rotary angles: at the top in version 4, under `rope_parameters` in version 5.
fn rope_theta(keys: &Keys) -> Result<f64, ConfigError> {
    for key in ["rope_parameters", "rope_scaling"] {
        let Some(rope) = keys.get(key) else { continue };
        let rope = Keys(rope.as_object().ok_or_else(|| keys.wrong(key, "an object"))?);
        let kind = rope.get("rope_type").or_else(|| rope.get("type"));
        if kind.is_some_and(|kind| kind != "default") {
            return Err(keys.unsupported(key, "rope_type must be default"));
        }
        if rope.get("rope_theta").is_some() {
            return rope.number("rope_theta", 10_000.0);
        }
    }
    keys.number("rope_theta", 10_000.0)
}

/// The window that all layers have. Qwen2 sets one and then says apart whether, and from which layer on, it holds.
fn sliding_window(keys: &Keys, architecture: Architecture, layers: usize) -> Result<Option<usize>, ConfigError> {
    if let Some(types) = keys.get("layer_types").and_then(Value::as_array) {
        if types.iter().all(|kind| kind == "full_attention") {
            return Ok(None);
        }
        if !types.iter().all(|kind| kind == "sliding_attention") {
            return Err(keys.unsupported("layer_types", "all layers must be of one type, full or sliding"));
        }
    }
    if keys.get("sliding_window").is_none() || architecture == Architecture::Llama {
        return Ok(None);
    }
    let window = keys.size("sliding_window", None)?;
    if architecture == Architecture::Qwen2 {
        let first = keys.get("max_window_layers").and_then(Value::as_u64).map_or(layers, |first| first as usize);
        if !keys.flag("use_sliding_window", false)? || first >= layers {
            return Ok(None);
        }
        if first > 0 {
            return Err(keys.unsupported("max_window_layers", "the window must hold for all layers or for none"));
        }
    }
    Ok(Some(window))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::nn::Preset;

    fn qwen() -> Value {
        json!({
            "model_type": "qwen2", "vocab_size": 151_936, "hidden_size": 896, "intermediate_size": 4864,
            "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "hidden_act": "silu",
            "rms_norm_eps": 1e-6, "rope_theta": 1_000_000.0, "max_position_embeddings": 32_768, "bos_token_id": 151_643,
            "tie_word_embeddings": true, "use_sliding_window": false, "sliding_window": 32_768, "max_window_layers": 21,
            "attention_dropout": 0.0, "eos_token_id": [151_645, 151_643], "rope_scaling": null
        })
    }

    #[test]
    fn a_config_of_qwen2_5_is_read() {
        let config = ModelConfig::from_json(&qwen()).unwrap();
        assert_eq!((config.head_dim, config.group(), config.sliding_window), (64, 7, None));
        assert_eq!((config.eos_token_id, config.pad_token_id), (Some(151_645), None));
        assert!(config.tie_embeddings && config.qkv_bias);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut config = Preset::Small.config(1234);
        config.pad_token_id = Some(3);
        assert_eq!(ModelConfig::from_json(&config.to_json()).unwrap(), config);
        (config.architecture, config.qkv_bias, config.tie_embeddings) = (Architecture::Mistral, false, false);
        config.sliding_window = Some(16);
        assert_eq!(ModelConfig::from_json(&config.to_json()).unwrap(), config);
        (config.architecture, config.qkv_bias) = (Architecture::Qwen2, true);
        assert_eq!(ModelConfig::from_json(&config.to_json()).unwrap(), config);
    }

    #[test]
    fn the_rotary_base_of_version_5_is_found() {
        let mut config = qwen();
        config.as_object_mut().unwrap().remove("rope_theta");
        config["rope_parameters"] = json!({"rope_type": "default", "rope_theta": 5e5});
        assert!((ModelConfig::from_json(&config).unwrap().rope_theta - 5e5).abs() < 1e-9);
    }

    #[test]
    fn what_would_change_the_arithmetic_is_refused_by_its_key() {
        let cases = [
            ("model_type", json!("gpt2")),
            ("hidden_act", json!("gelu")),
            ("rope_scaling", json!({"rope_type": "yarn", "factor": 4.0})),
            ("attention_bias", json!(true)),
            ("attention_dropout", json!(0.1)),
            ("layer_types", json!(["full_attention", "sliding_attention"])),
            ("num_key_value_heads", json!(3)),
            ("hidden_size", json!("wide")),
            ("vocab_size", json!(0)),
        ];
        for (key, value) in cases {
            let mut config = qwen();
            config[key] = value;
            let error = ModelConfig::from_json(&config).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}

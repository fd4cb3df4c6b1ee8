//! Fresh models: a byte-level BPE learned from a corpus, random weights, one Hugging Face folder.
//!
//! Invariants: the same texts, preset and seed give the same bytes; the folder appears whole or not at all. The reward
//! head is left to the training that needs one.

mod tokenizer;
pub(super) mod weights;

pub use tokenizer::{END_OF_TEXT, PADDING, learn};

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use thiserror::Error;
use tokenizers::Tokenizer;

use crate::nn::{ModelConfig, Preset};

/// Why there is no fresh model.
#[derive(Debug, Error)]
pub enum FreshError {
    /// The vocabulary has no room for all bytes.
    #[error("a vocabulary of {asked} tokens is too small: a byte-level one has at least {least}")]
    SmallVocabulary {
        /// What was asked for.
        asked: usize,
        /// The least possible.
        least: usize,
    },
    /// No text.
    #[error("the corpus holds no text to learn a vocabulary from: name folders, archives or files with Python source")]
    NoText,
    /// The tokenizer's library refused.
    #[error("the tokenizer {place}: {message}")]
    Tokenizer {
        /// What it was asked to do, or its file.
        place: String,
        /// Why not.
        message: String,
    },
    /// The tokenizer lacks a token that texts end with.
    #[error("the tokenizer has no token `{END_OF_TEXT}` to end an answer with: take another tokenizer")]
    NoEnd,
    /// Something is there already.
    #[error("{} is there already and not empty: name another folder, or remove it", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// Files.
    #[error("writing {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The weights' format.
    #[error("writing {}: {source}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: safetensors::SafeTensorError,
    },
}

/// Reads a `tokenizer.json`.
///
/// # Errors
/// When it is not there or no tokenizer.
pub fn load_tokenizer(file: &Path) -> Result<Tokenizer, FreshError> {
    Tokenizer::from_file(file)
        .map_err(|error| FreshError::Tokenizer { place: file.display().to_string(), message: error.to_string() })
}

/// Writes a fresh model of size `preset` for `tokenizer` into the folder `out`; its configuration.
///
/// # Errors
/// When `out` holds something already, or cannot be written.
pub fn create(preset: Preset, tokenizer: &Tokenizer, seed: u64, out: &Path) -> Result<ModelConfig, FreshError> {
    let end = tokenizer.token_to_id(END_OF_TEXT).ok_or(FreshError::NoEnd)?;
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(FreshError::Occupied { path: out.to_owned() });
    }
    let mut config = preset.config(tokenizer.get_vocab_size(true));
    (config.eos_token_id, config.pad_token_id) = (Some(end), tokenizer.token_to_id(PADDING));

    let mut partial = out.as_os_str().to_owned();
    partial.push(format!(".partial-{}", std::process::id()));
    let partial = PathBuf::from(partial);
    let written = write(&config, tokenizer, seed, &partial).and_then(|()| {
        // An empty folder in the way is one that the user made for this.
        let _ = fs::remove_dir(out);
        fs::rename(&partial, out).map_err(|source| FreshError::Write { path: out.to_owned(), source })
    });
    if written.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    written.map(|()| config)
}

fn write(config: &ModelConfig, tokenizer: &Tokenizer, seed: u64, folder: &Path) -> Result<(), FreshError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| FreshError::Write { path, source }
    };
    fs::create_dir_all(folder).map_err(at(folder))?;
    let json = |name: &str, value: &serde_json::Value| {
        let path = folder.join(name);
        fs::write(&path, format!("{value:#}\n")).map_err(at(&path))
    };
    let mut of_folder = config.to_json();
    if let Some(of_folder) = of_folder.as_object_mut() {
        // Without a reward head it is a language model yet.
        let class = format!("{}ForCausalLM", config.architecture.class_prefix());
        of_folder.insert("architectures".into(), json!([class]));
        for key in ["num_labels", "id2label", "label2id"] {
            of_folder.remove(key);
        }
    }
    json("config.json", &of_folder)?;
    let padding = config.pad_token_id.map(|_| PADDING);
    json(
        "tokenizer_config.json",
        &json!({ "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END_OF_TEXT, "pad_token": padding,
                 "model_max_length": config.max_positions, "clean_up_tokenization_spaces": false }),
    )?;
    let path = folder.join("tokenizer.json");
    tokenizer
        .save(&path, false)
        .map_err(|error| FreshError::Tokenizer { place: path.display().to_string(), message: error.to_string() })?;
    weights::write(config, seed, &folder.join("model.safetensors"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn texts() -> impl Iterator<Item = String> + Send {
        (0..40).map(|n| format!("def add_{n}(left, right):\n    return left + right * {n}\n"))
    }

    #[test]
    fn the_same_texts_and_seed_give_the_same_folder_and_another_seed_other_weights() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str, seed| {
            let out = folder.path().join(name);
            create(Preset::Tiny, &learn(texts(), 300).unwrap(), seed, &out).unwrap();
            ["config.json", "tokenizer.json", "model.safetensors"].map(|file| fs::read(out.join(file)).unwrap())
        };
        let (one, same, other) = (make("one", 1), make("same", 1), make("other", 2));
        assert!(one == same, "the same twice");
        assert!(one[..2] == other[..2] && one[2] != other[2]);
    }

    #[test]
    fn a_fresh_folder_reads_back_as_its_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("model");
        let config = create(Preset::Tiny, &learn(texts(), 300).unwrap(), 1, &out).unwrap();
        let json = serde_json::from_slice(&fs::read(out.join("config.json")).unwrap()).unwrap();
        assert_eq!(ModelConfig::from_json(&json).unwrap(), config);
        let bytes = fs::read(out.join("model.safetensors")).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        for parameter in config.parameters().iter().filter(|parameter| parameter.name != "score.weight") {
            assert_eq!(tensors.tensor(&parameter.name).unwrap().shape(), parameter.shape, "{}", parameter.name);
        }
        assert_eq!(load_tokenizer(&out.join("tokenizer.json")).unwrap().get_vocab_size(true), config.vocab_size);
    }

    #[test]
    fn a_folder_that_holds_something_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "mine").unwrap();
        let error = create(Preset::Tiny, &learn(texts(), 300).unwrap(), 1, folder.path()).unwrap_err();
        assert!(matches!(error, FreshError::Occupied { .. }), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

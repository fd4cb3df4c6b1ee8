//! Writing a model's folder that `transformers` loads: configuration, weights, tokenizer.
//!
//! The configuration names the sequence classification class with one label, which is the reward; the language-model
//! head is among the weights, so that the same folder loads as a causal language model. `pad_token_id` is left out where it is
//! the end token: `transformers` would read rewards before an answer's end token, without an error; so it refuses batches
//! instead.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use super::disk::Disk;
use super::error::FolderError;
use super::tensors::{TensorInfo, write_tensors};
use super::weights::{INDEX, SINGLE};
use crate::nn::{ModelConfig, Parameter};

/// Bytes of a shard, as in `transformers`; a single tensor may be larger.
pub const SHARD_BYTES: u64 = 5_000_000_000;

/// Files that make a tokenizer; those that are there are copied.
const TOKENIZER_FILES: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
];

/// What a model's folder is made of.
pub struct ModelParts<'a> {
    /// The configuration.
    pub config: &'a ModelConfig,
    /// Folder of the model that the tokenizer is copied from.
    pub tokenizer: &'a Path,
    /// Largest shard in bytes, see [`SHARD_BYTES`].
    pub shard_bytes: u64,
}

/// Where a parameter's numbers come from.
pub type Numbers<'a> = dyn FnMut(&Parameter) -> Result<Vec<f32>, Box<dyn std::error::Error + Send + Sync>> + 'a;

/// A failure inside the writing of a tensor file.
enum Failure {
    Disk(io::Error),
    Source(String, Box<dyn std::error::Error + Send + Sync>),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// Writes the model into an existing empty folder; every file is on disk when this returns.
///
/// # Errors
/// When a file cannot be written or read, or `numbers` fails.
pub fn write_model(
    disk: &dyn Disk,
    folder: &Path,
    parts: &ModelParts<'_>,
    numbers: &mut Numbers<'_>,
) -> Result<(), FolderError> {
    let parameters = parts.config.parameters();
    write_json(disk, &folder.join("config.json"), &config_json(parts.config))?;
    for name in TOKENIZER_FILES {
        copy(disk, &parts.tokenizer.join(name), &folder.join(name))?;
    }
    let shards = shards(&parameters, parts.shard_bytes);
    if let [only] = &shards[..] {
        return write_numbers(disk, &folder.join(SINGLE), &named(only), numbers);
    }
    let mut map = serde_json::Map::new();
    for (number, shard) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
        write_numbers(disk, &folder.join(&name), &named(shard), numbers)?;
        map.extend(shard.iter().map(|parameter| (parameter.name.clone(), json!(name))));
    }
    let bytes: u64 = parameters.iter().map(|parameter| 4 * parameter.elements() as u64).sum();
    write_json(disk, &folder.join(INDEX), &json!({ "metadata": { "total_size": bytes }, "weight_map": map }))
}

/// Parameters under their own names.
fn named<'a>(shard: &[&'a Parameter]) -> Vec<(String, &'a Parameter)> {
    shard.iter().map(|parameter| (parameter.name.clone(), *parameter)).collect()
}

/// Writes one file of tensors, each with the shape of a parameter and under a name of its own; `numbers` is asked for each
/// in turn.
///
/// # Errors
/// When the file cannot be written, or `numbers` fails.
pub fn write_numbers(
    disk: &dyn Disk,
    path: &Path,
    named: &[(String, &Parameter)],
    numbers: &mut Numbers<'_>,
) -> Result<(), FolderError> {
    let tensors: Vec<_> = (named.iter())
        .map(|(name, parameter)| TensorInfo { name: name.clone(), shape: parameter.shape.clone() })
        .collect();
    let mut write = || {
        let mut out = disk.create(path)?;
        write_tensors(&mut *out, &tensors, |index| {
            numbers(named[index].1).map_err(|source| Failure::Source(tensors[index].name.clone(), source))
        })?;
        Ok(out.sync()?)
    };
    write().map_err(|failure| match failure {
        Failure::Disk(source) => FolderError::Write { path: path.to_owned(), source },
        Failure::Source(name, source) => FolderError::Source { name, source },
    })
}

/// Writes JSON that a person can read.
///
/// # Errors
/// When the file cannot be written.
pub fn write_json(disk: &dyn Disk, path: &Path, value: &Value) -> Result<(), FolderError> {
    let write = || {
        let mut out = disk.create(path)?;
        writeln!(out, "{value:#}")?;
        out.sync()
    };
    write().map_err(|source| FolderError::Write { path: path.to_owned(), source })
}

fn copy(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), FolderError> {
    let bytes = match fs::read(from) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(FolderError::Read { path: from.to_owned(), source }),
    };
    let write = || {
        let mut out = disk.create(to)?;
        out.write_all(&bytes)?;
        out.sync()
    };
    write().map_err(|source| FolderError::Write { path: to.to_owned(), source })
}

fn config_json(config: &ModelConfig) -> Value {
    let pad_token_id = config.pad_token_id.filter(|pad| config.eos_token_id != Some(*pad));
    ModelConfig { pad_token_id, ..config.clone() }.to_json()
}

/// Parameters in order, cut where a shard would grow over `most` bytes.
fn shards(parameters: &[Parameter], most: u64) -> Vec<Vec<&Parameter>> {
    let mut shards: Vec<Vec<&Parameter>> = vec![Vec::new()];
    let mut size = 0;
    for parameter in parameters {
        let bytes = 4 * parameter.elements() as u64;
        if size > 0 && size + bytes > most {
            shards.push(Vec::new());
            size = 0;
        }
        size += bytes;
        if let Some(last) = shards.last_mut() {
            last.push(parameter);
        }
    }
    shards
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::disk::{FullAfter, LocalDisk};
    use super::super::model::ModelFolder;
    use super::*;
    use crate::nn::{Architecture, Preset};

    fn numbers(parameter: &Parameter) -> Vec<f32> {
        (0..parameter.elements()).map(|n| n as f32 + parameter.name.len() as f32 / 64.0).collect()
    }

    fn write(config: &ModelConfig, shard_bytes: u64) -> tempfile::TempDir {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("tokenizer.json"), "{}").unwrap();
        fs::write(from.path().join("secrets.txt"), "none").unwrap();
        let parts = ModelParts { config, tokenizer: from.path(), shard_bytes };
        write_model(&LocalDisk, to.path(), &parts, &mut |parameter| Ok(numbers(parameter))).unwrap();
        to
    }

    #[test]
    fn a_written_model_is_read_back_whole_in_one_file_or_in_shards() {
        let mut config = Preset::Tiny.config(64);
        (config.architecture, config.qkv_bias, config.tie_embeddings) = (Architecture::Llama, false, false);
        config.pad_token_id = Some(3);
        for (shard_bytes, sharded) in [(SHARD_BYTES, false), (200_000, true)] {
            let folder = write(&config, shard_bytes);
            assert_eq!(folder.path().join(INDEX).exists(), sharded);
            assert_eq!(folder.path().join(SINGLE).exists(), !sharded);
            assert!(folder.path().join("tokenizer.json").exists());
            assert!(!folder.path().join("secrets.txt").exists());
            let mut model = ModelFolder::open(folder.path()).unwrap();
            assert_eq!(*model.config(), config);
            assert!(model.has_reward_head());
            for parameter in config.parameters() {
                assert_eq!(model.read(&parameter, 0).unwrap(), numbers(&parameter), "{}", parameter.name);
            }
        }
    }

    #[test]
    fn the_configuration_is_a_reward_model_whose_padding_token_ends_no_text() {
        let mut config = Preset::Tiny.config(64);
        config.eos_token_id = Some(7);
        for (pad, written) in [(Some(3), json!(3)), (Some(7), Value::Null), (None, Value::Null)] {
            config.pad_token_id = pad;
            let folder = write(&config, SHARD_BYTES);
            let json: Value = serde_json::from_slice(&fs::read(folder.path().join("config.json")).unwrap()).unwrap();
            assert_eq!(json["architectures"], json!(["Qwen2ForSequenceClassification"]));
            assert_eq!((&json["num_labels"], &json["pad_token_id"]), (&json!(1), &written));
        }
    }

    #[test]
    fn a_full_disk_and_a_failing_device_are_told_apart() {
        let config = Preset::Tiny.config(64);
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let parts = ModelParts { config: &config, tokenizer: from.path(), shard_bytes: SHARD_BYTES };
        let disk = FullAfter::new(100_000);
        let error = write_model(&disk, to.path(), &parts, &mut |parameter| Ok(numbers(parameter))).unwrap_err();
        assert!(matches!(&error, FolderError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull));
        let error = write_model(&LocalDisk, to.path(), &parts, &mut |_| Err("gone".into())).unwrap_err();
        assert_eq!(error.to_string(), "reading tensor model.embed_tokens.weight from the device: gone");
    }
}

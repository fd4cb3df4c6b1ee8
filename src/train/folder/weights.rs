//! The weights of a folder: one safetensors file, or shards with an index, as one set of tensors.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::{FolderError, Mismatch, Misshapen};
use super::tensors::TensorFile;
use crate::nn::{ModelConfig, Place};

/// The file of weights that are not sharded.
pub const SINGLE: &str = "model.safetensors";
/// The file that tells which shard holds which tensor.
pub const INDEX: &str = "model.safetensors.index.json";

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The tensors of a folder.
#[derive(Debug)]
pub struct Weights {
    folder: PathBuf,
    files: Vec<TensorFile>,
    /// Name to shape and file.
    tensors: BTreeMap<String, (Vec<usize>, usize)>,
}

impl Weights {
    /// Opens the weights of a folder. A single file goes before an index, as in `transformers`.
    ///
    /// # Errors
    /// When there are none, a file is damaged, or the index and its shards disagree.
    pub fn open(folder: &Path) -> Result<Self, FolderError> {
        let single = folder.join(SINGLE);
        if single.is_file() {
            return Self::collect(folder, vec![TensorFile::open(&single)?]);
        }
        let index_path = folder.join(INDEX);
        if !index_path.is_file() {
            let hint = if folder.join("pytorch_model.bin").exists()
                || folder.join("pytorch_model.bin.index.json").exists()
            {
                ", only PyTorch's pickled format, which is not read: save the model again with `safe_serialization=True`"
            } else {
                ": name a folder with a model, such as one that `codepmp init` made"
            };
            return Err(FolderError::NoWeights { path: folder.to_owned(), hint });
        }
        let wrong = |problem: String| FolderError::Json { path: index_path.clone(), problem };
        let text = fs::read(&index_path).map_err(|source| FolderError::Read { path: index_path.clone(), source })?;
        let index: Index = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        let names: BTreeSet<&String> = index.weight_map.values().collect();
        let mut files = Vec::new();
        for name in names {
            // A shard is a plain name: an index never leads out of its folder.
            if Path::new(name).file_name().is_none_or(|file| file != name.as_str()) {
                return Err(wrong(format!("shard {name:?} is not the plain name of a file beside it")));
            }
            files.push(TensorFile::open(&folder.join(name))?);
        }
        let weights = Self::collect(folder, files)?;
        for (tensor, shard) in &index.weight_map {
            let found = weights.tensors.get(tensor).map(|(_, file)| weights.files[*file].path());
            if found.and_then(Path::file_name).is_none_or(|file| file != shard.as_str()) {
                return Err(wrong(format!("tensor {tensor} is not in {shard}, where the index says it is")));
            }
        }
        Ok(weights)
    }

    fn collect(folder: &Path, files: Vec<TensorFile>) -> Result<Self, FolderError> {
        let mut tensors = BTreeMap::new();
        for (number, file) in files.iter().enumerate() {
            for tensor in file.tensors() {
                if let Some((_, before)) = tensors.insert(tensor.name.clone(), (tensor.shape, number)) {
                    let other = files[before].path().display();
                    let problem = format!("tensor {} is in {other} too", tensor.name);
                    return Err(FolderError::Damaged { path: file.path().to_owned(), problem });
                }
            }
        }
        Ok(Self { folder: folder.to_owned(), files, tensors })
    }

    /// Whether there is such a tensor.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Checks that every parameter of `config` is there in its shape, and nothing else; all that does not fit is told at
    /// once. The reward head may be missing: a base model has none. A tied head that is stored beside the embedding, and
    /// the rotary tables that old files hold, say nothing new and are passed over.
    ///
    /// # Errors
    /// All that does not fit.
    pub fn check(&self, config: &ModelConfig) -> Result<(), FolderError> {
        let mut mismatch = Mismatch::default();
        let parameters = config.parameters();
        for parameter in &parameters {
            match self.tensors.get(&parameter.name) {
                None if parameter.place == Place::Score => {}
                None => mismatch.missing.push(parameter.name.clone()),
                Some((shape, _)) if *shape != parameter.shape => mismatch.misshapen.push(Misshapen {
                    name: parameter.name.clone(),
                    found: shape.clone(),
                    expected: parameter.shape.clone(),
                }),
                Some(_) => {}
            }
        }
        let known: BTreeSet<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        let idle =
            |name: &str| name.ends_with("rotary_emb.inv_freq") || name == "lm_head.weight" && config.tie_embeddings;
        mismatch.extra =
            self.tensors.keys().filter(|name| !known.contains(name.as_str()) && !idle(name)).cloned().collect();
        if mismatch.is_empty() { Ok(()) } else { Err(FolderError::Mismatch { path: self.folder.clone(), mismatch }) }
    }

    /// A tensor's numbers as f32.
    ///
    /// # Errors
    /// When it is not there, cannot be read, or is of another format than F32, F16 or BF16.
    pub fn read(&mut self, name: &str) -> Result<Vec<f32>, FolderError> {
        let numbers = match self.tensors.get(name) {
            Some(&(_, file)) => self.files[file].read(name)?,
            None => None,
        };
        numbers.ok_or_else(|| FolderError::Mismatch {
            path: self.folder.clone(),
            mismatch: Mismatch { missing: vec![name.to_owned()], ..Mismatch::default() },
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;

    use serde_json::json;

    use super::super::tensors::{TensorInfo, write_tensors};
    use super::*;
    use crate::nn::Preset;

    fn put(path: &Path, tensors: &[TensorInfo]) {
        let mut bytes = Vec::new();
        write_tensors::<io::Error>(&mut bytes, tensors, |index| {
            Ok(vec![index as f32; tensors[index].shape.iter().product()])
        })
        .unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn all(config: &ModelConfig) -> Vec<TensorInfo> {
        config.parameters().into_iter().map(|p| TensorInfo { name: p.name, shape: p.shape }).collect()
    }

    #[test]
    fn missing_extra_and_misshapen_tensors_are_told_by_name_all_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let config = Preset::Tiny.config(64);
        let mut tensors = all(&config);
        tensors.retain(|tensor| tensor.name != "model.norm.weight" && tensor.name != "score.weight");
        tensors[0].shape = vec![63, 128];
        tensors.push(TensorInfo { name: "model.layers.9.mlp.up_proj.weight".to_owned(), shape: vec![1] });
        tensors.push(TensorInfo { name: "lm_head.weight".to_owned(), shape: vec![1] });
        put(&folder.path().join(SINGLE), &tensors);
        let error = Weights::open(folder.path()).unwrap().check(&config).unwrap_err();
        let FolderError::Mismatch { mismatch, .. } = &error else { panic!("{error}") };
        assert_eq!(mismatch.missing, ["model.norm.weight"]);
        assert_eq!(mismatch.extra, ["model.layers.9.mlp.up_proj.weight"]);
        assert_eq!(mismatch.misshapen[0].found, [63, 128]);
        let text = error.to_string();
        assert!(text.contains("model.embed_tokens.weight is [63, 128] and must be [64, 128]"), "{text}");
    }

    #[test]
    fn a_base_model_without_a_reward_head_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        let config = Preset::Tiny.config(64);
        let mut tensors = all(&config);
        tensors.retain(|tensor| tensor.name != "score.weight");
        put(&folder.path().join(SINGLE), &tensors);
        let weights = Weights::open(folder.path()).unwrap();
        weights.check(&config).unwrap();
        assert!(!weights.has("score.weight"));
    }

    fn sharded(map: &serde_json::Value) -> (tempfile::TempDir, Result<Weights, FolderError>) {
        let folder = tempfile::tempdir().unwrap();
        let tensor = |name: &str| TensorInfo { name: name.to_owned(), shape: vec![2] };
        put(&folder.path().join("one.safetensors"), &[tensor("a"), tensor("b")]);
        put(&folder.path().join("two.safetensors"), &[tensor("c")]);
        fs::write(folder.path().join(INDEX), json!({ "metadata": {}, "weight_map": map }).to_string()).unwrap();
        let weights = Weights::open(folder.path());
        (folder, weights)
    }

    #[test]
    fn shards_are_read_as_one() {
        let map = json!({ "a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors" });
        let (_folder, weights) = sharded(&map);
        let mut weights = weights.unwrap();
        assert_eq!(weights.read("b").unwrap(), [1.0, 1.0]);
        assert_eq!(weights.read("c").unwrap(), [0.0, 0.0]);
        assert!(weights.read("d").unwrap_err().to_string().contains("missing: d"));
    }

    #[test]
    fn an_index_that_lies_or_leads_away_is_refused() {
        let cases = [
            (json!({ "a": "two.safetensors", "c": "two.safetensors" }), "tensor a is not in two.safetensors"),
            (json!({ "a": "../one.safetensors" }), "not the plain name"),
            (json!({ "a": "/etc/passwd" }), "not the plain name"),
            (json!({ "a": ".." }), "not the plain name"),
            (json!({ "a": "three.safetensors" }), "reading"),
            (json!(["a"]), "invalid type"),
        ];
        for (map, expected) in cases {
            let error = sharded(&map).1.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_folder_without_weights_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = Weights::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("codepmp init"), "{error}");
        fs::write(folder.path().join("pytorch_model.bin"), "x").unwrap();
        let error = Weights::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("safe_serialization=True"), "{error}");
    }
}

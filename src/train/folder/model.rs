//! A model's folder as it is read: its configuration, its weights, and a fresh reward head where it has none.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::FolderError;
use super::weights::Weights;
use crate::nn::{ModelConfig, Parameter, Place};
use crate::train::fresh::weights::draw;

/// A folder whose configuration is read and whose weights fit it.
#[derive(Debug)]
pub struct ModelFolder {
    path: PathBuf,
    config: ModelConfig,
    weights: Weights,
}

impl ModelFolder {
    /// Opens a folder and checks it; no weights are read yet.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the weights do not fit the configuration.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let config = read_config(path)?;
        let weights = Weights::open(path)?;
        weights.check(&config)?;
        Ok(Self { path: path.to_owned(), config, weights })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Whether it has a reward head; a base model has none.
    pub fn has_reward_head(&self) -> bool {
        self.weights.has("score.weight")
    }

    /// A parameter's numbers as f32. A reward head that is not there is drawn from `seed`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&mut self, parameter: &Parameter, seed: u64) -> Result<Vec<f32>, FolderError> {
        if parameter.place == Place::Score && !self.has_reward_head() {
            return Ok(draw(&self.config, parameter, seed));
        }
        self.weights.read(&parameter.name)
    }
}

/// Reads and checks a folder's `config.json`.
///
/// # Errors
/// When it is not there, no JSON, or asks for what is not supported.
pub fn read_config(folder: &Path) -> Result<ModelConfig, FolderError> {
    let path = folder.join("config.json");
    let text = fs::read(&path).map_err(|source| FolderError::Read { path: path.clone(), source })?;
    let json: Value = serde_json::from_slice(&text)
        .map_err(|error| FolderError::Json { path: path.clone(), problem: error.to_string() })?;
    ModelConfig::from_json(&json).map_err(|source| FolderError::Config { path: folder.to_owned(), source })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::nn::Preset;
    use crate::train::fresh;

    #[test]
    fn a_fresh_model_opens_and_gets_a_reward_head_by_seed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let tokenizer = fresh::learn(["def f(x):\n    return x\n".to_owned()].into_iter(), 300).unwrap();
        let config = fresh::create(Preset::Tiny, &tokenizer, 1, &path).unwrap();
        let mut model = ModelFolder::open(&path).unwrap();
        assert_eq!(*model.config(), config);
        assert!(!model.has_reward_head());
        let head = config.parameters().pop().unwrap();
        let one = model.read(&head, 1).unwrap();
        assert_eq!(one.len(), config.hidden_size);
        assert_eq!(one, model.read(&head, 1).unwrap());
        assert_ne!(one, model.read(&head, 2).unwrap());
    }

    #[test]
    fn a_folder_without_a_configuration_or_with_a_broken_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(ModelFolder::open(folder.path()), Err(FolderError::Read { .. })));
        fs::write(folder.path().join("config.json"), "{").unwrap();
        assert!(matches!(ModelFolder::open(folder.path()), Err(FolderError::Json { .. })));
        fs::write(folder.path().join("config.json"), r#"{"model_type":"mamba"}"#).unwrap();
        let error = ModelFolder::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("`model_type` = \"mamba\" is not supported"), "{error}");
    }
}

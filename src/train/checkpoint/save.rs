//! Writing a checkpoint.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::error::CheckpointError;
use super::state::RunState;
use super::{OPTIMIZER, STATE, folder, moments};
use crate::nn::{ModelConfig, Parameter};
use crate::train::folder::publish::publish_folder;
use crate::train::folder::write::{SHARD_BYTES, write_json, write_numbers};
use crate::train::folder::{Disk, ModelParts, write_model};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What a checkpoint is made of.
pub trait Saving {
    /// A parameter's weights.
    ///
    /// # Errors
    /// When they cannot be had.
    fn weights(&mut self, parameter: &Parameter) -> Result<Vec<f32>, AnyError>;
    /// A parameter's first and second moment.
    ///
    /// # Errors
    /// When they cannot be had.
    fn moments(&mut self, parameter: &Parameter) -> Result<[Vec<f32>; 2], AnyError>;
}

/// Writes the checkpoint of `state.step` below `out`; `tokenizer` is the folder that the tokenizer is copied from.
///
/// # Errors
/// When a file cannot be written; checkpoints that were there are as they were.
pub fn save(
    disk: &dyn Disk,
    out: &Path,
    config: &ModelConfig,
    tokenizer: &Path,
    state: &RunState,
    source: &mut dyn Saving,
) -> Result<PathBuf, CheckpointError> {
    let target = folder(out, state.step);
    publish_folder(&target, |partial| {
        let parts = ModelParts { config, tokenizer, shard_bytes: SHARD_BYTES };
        write_model(disk, partial, &parts, &mut |parameter| source.weights(parameter))?;
        let parameters = config.parameters();
        let named: Vec<(String, &Parameter)> =
            (parameters.iter()).flat_map(|parameter| moments(&parameter.name).map(|name| (name, parameter))).collect();
        // Both moments of a parameter are read from the device at once; the second waits for its turn.
        let mut waiting = None;
        write_numbers(disk, &partial.join(OPTIMIZER), &named, &mut |parameter| match waiting.take() {
            Some(second) => Ok(second),
            None => {
                let [first, second] = source.moments(parameter)?;
                waiting = Some(second);
                Ok(first)
            }
        })?;
        write_json(disk, &partial.join(STATE), &json!(state))?;
        Ok::<(), CheckpointError>(())
    })?;
    Ok(target)
}

//! What is left of a run: checkpoints on the way, and the finished model's folder.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::nn::Parameter;
use crate::train::checkpoint::{CheckpointError, RunState, Saving, save};
use crate::train::folder::onnx::{ONNX, write_scorer};
use crate::train::folder::publish::publish_files;
use crate::train::folder::write::{SHARD_BYTES, write_json};
use crate::train::folder::{Disk, ModelParts, write_model};
use crate::train::model::Model;
use crate::train::{RunPlan, TrainError, TrainJob, Trained};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The file of a model folder that is written last: with it a folder is whole.
pub const FINISHED: &str = "training.json";

/// Tells the training that made the model in `folder` from any other; empty for a model that was not trained here.
pub fn training_mark(folder: &Path) -> String {
    let record = std::fs::read(folder.join(FINISHED));
    record.map_or_else(|_| String::new(), |record| blake3::hash(&record).to_hex()[..32].to_owned())
}

struct Live<'m>(&'m Model);

impl Saving for Live<'_> {
    fn weights(&mut self, parameter: &Parameter) -> Result<Vec<f32>, AnyError> {
        Ok(self.0.read(parameter)?)
    }

    fn moments(&mut self, parameter: &Parameter) -> Result<[Vec<f32>; 2], AnyError> {
        Ok(self.0.read_moments(parameter)?)
    }
}

pub(super) fn checkpoint(
    disk: &dyn Disk,
    job: &TrainJob<'_>,
    model: &Model,
    state: &RunState,
) -> Result<PathBuf, CheckpointError> {
    save(disk, job.out, model.config(), job.model, state, &mut Live(model))
}

/// Writes the finished model beside its checkpoints.
pub(super) fn folder(
    disk: &dyn Disk,
    job: &TrainJob<'_>,
    model: &Model,
    plan: &RunPlan,
    trained: &Trained,
) -> Result<(), TrainError> {
    let config = model.config();
    let stale = |name: &str| name.ends_with(".safetensors") || name.ends_with(".index.json") || name.starts_with(ONNX);
    publish_files(job.out, FINISHED, stale, |partial| {
        let parts = ModelParts { config, tokenizer: job.model, shard_bytes: SHARD_BYTES };
        write_model(disk, partial, &parts, &mut |parameter| Ok(model.read(parameter)?))?;
        if job.settings.export_onnx {
            let most = job.settings.onnx_single_file_bytes;
            write_scorer(disk, partial, config, most, &mut |parameter| Ok(model.read(parameter)?))?;
        }
        let record = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "model": job.model,
            "source": job.source,
            "settings": job.settings,
            "plan": plan,
            "trained": trained,
        });
        Ok(write_json(disk, &partial.join(FINISHED), &record)?)
    })
}

//! The training loop.
//!
//! ```text
//! prepare (pairs to tokens, where to begin) ──> run (steps, checkpoints, measurements) ──> finish (the model's folder)
//! ```

mod finish;
pub(in crate::train) mod measure;
pub(in crate::train) mod prepare;
mod run;
#[cfg(test)]
mod tests;

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::device;
use super::folder::{Disk, LocalDisk};
use super::{RunPlan, TrainError, TrainEvent, TrainJob, Trained};
pub use finish::{FINISHED, training_mark};
use prepare::Prepared;
use run::Run;

/// What a job would do: pairs are read and encoded, nothing is computed or written.
///
/// # Errors
/// As [`train`], as far as it is found before computing.
pub fn plan(job: &TrainJob<'_>) -> Result<RunPlan, TrainError> {
    Ok(Prepared::new(job)?.plan())
}

/// Trains a model; `library_dir` is the data folder, where ONNX Runtime may lie. Blocks until all steps are done, or
/// until `stop` is cancelled and a checkpoint is written.
///
/// # Errors
/// When a setting, the model, the pairs or a checkpoint cannot be used; when the device fails; when a loss is not a
/// number; when the disk is full. Checkpoints that were written stay.
pub fn train(
    job: &TrainJob<'_>,
    library_dir: &Path,
    told: &mut dyn FnMut(TrainEvent),
    stop: &CancellationToken,
) -> Result<Trained, TrainError> {
    train_on(&LocalDisk, job, library_dir, told, stop)
}

fn train_on(
    disk: &dyn Disk,
    job: &TrainJob<'_>,
    library_dir: &Path,
    told: &mut dyn FnMut(TrainEvent),
    stop: &CancellationToken,
) -> Result<Trained, TrainError> {
    let mut prepared = Prepared::new(job)?;
    let runtime = prepare::runtime(&job.settings.device, job.settings.threads, library_dir)?;
    device::check(&runtime, prepared.precision(&runtime)?)?;
    let model = prepared.load(&runtime)?;
    prepared.clear(job)?;
    Run::new(disk, job, prepared, model, told).all(stop)
}

//! Checkpoints: everything that a run needs to go on as if it had never stopped.
//!
//! A checkpoint is a folder `step-N` that is a model's folder too (so that it can be scored, and decayed from), with the
//! optimizer's moments and the run's state beside the weights. It appears by one rename after every file is on disk; what
//! was there before stays until then. There is no other random state than the seed and the position: the order of
//! pairs is a function of both, and a model without dropout draws nothing.

pub mod error;
pub mod keep;
pub mod read;
pub mod save;
pub mod state;

pub use error::CheckpointError;
pub use read::{Checkpoint, checkpoints, newest, read_state};
pub use save::{Saving, save};
pub use state::RunState;

use std::path::{Path, PathBuf};

/// Folder of a run's checkpoints below its output folder.
pub const FOLDER: &str = "checkpoints";
/// The file with the optimizer's moments.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// The file with the run's state; without it a folder is no checkpoint.
pub const STATE: &str = "state.json";

/// The folder of a step's checkpoint below a run's output folder.
pub fn folder(out: &Path, step: u64) -> PathBuf {
    out.join(FOLDER).join(format!("step-{step:08}"))
}

/// The names of a parameter's first and second moment in [`OPTIMIZER`].
fn moments(parameter: &str) -> [String; 2] {
    [format!("first.{parameter}"), format!("second.{parameter}")]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

//! What can be wrong with a checkpoint, or with going on from it.

use std::path::PathBuf;

use thiserror::Error;

use crate::train::folder::FolderError;

/// Why a checkpoint could not be written, read, or gone on from.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// Files.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The state of a newer or broken program.
    #[error("{}: {problem}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// There is none to go on from.
    #[error("{} holds no checkpoint to go on from: start without --resume", path.display())]
    None {
        /// The output folder.
        path: PathBuf,
    },
    /// There are some, and the run was to start anew.
    #[error(
        "{} holds checkpoints of a former run, up to step {step}: go on with --resume, or name another folder",
        path.display()
    )]
    Occupied {
        /// The output folder.
        path: PathBuf,
        /// The newest one.
        step: u64,
    },
    /// The run is not the one that the checkpoint is of.
    #[error("{} is of another run: {difference}", path.display())]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// What differs, and what to do.
        difference: String,
    },
    /// A decay that would not start from the peak.
    #[error(
        "{}: no decay can start at step {step} of a {kind} schedule, which is in its {phase} phase there; \
         take a checkpoint of a wsd or constant run from its stable phase", path.display()
    )]
    NotStable {
        /// The checkpoint.
        path: PathBuf,
        /// Its step.
        step: u64,
        /// The schedule.
        kind: String,
        /// The phase of the step.
        phase: &'static str,
    },
}

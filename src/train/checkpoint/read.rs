//! Reading a checkpoint, and finding the newest one.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::CheckpointError;
use super::state::{FORM, RunState};
use super::{FOLDER, OPTIMIZER, STATE, moments};
use crate::nn::Parameter;
use crate::train::folder::error::{Mismatch, Misshapen};
use crate::train::folder::{FolderError, ModelFolder, TensorFile};

/// A checkpoint that is open for reading.
#[derive(Debug)]
pub struct Checkpoint {
    /// Where the run stood.
    pub state: RunState,
    /// The model.
    pub model: ModelFolder,
    optimizer: TensorFile,
}

impl Checkpoint {
    /// Opens a checkpoint and checks that it is whole.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let state = read_state(path)?;
        let model = ModelFolder::open(path)?;
        let optimizer = TensorFile::open(&path.join(OPTIMIZER))?;
        let checkpoint = Self { state, model, optimizer };
        checkpoint.check()?;
        Ok(checkpoint)
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.model.path()
    }

    /// A parameter's first and second moment.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn moments(&mut self, parameter: &Parameter) -> Result<[Vec<f32>; 2], CheckpointError> {
        let [first, second] = moments(&parameter.name);
        let mut read = |name: String| {
            self.optimizer.read(&name)?.ok_or_else(|| FolderError::Mismatch {
                path: self.model.path().to_owned(),
                mismatch: Mismatch { missing: vec![name], ..Mismatch::default() },
            })
        };
        Ok([read(first)?, read(second)?])
    }

    fn check(&self) -> Result<(), FolderError> {
        let mut mismatch = Mismatch::default();
        let found: std::collections::BTreeMap<_, _> =
            self.optimizer.tensors().into_iter().map(|tensor| (tensor.name, tensor.shape)).collect();
        for parameter in self.model.config().parameters() {
            for name in moments(&parameter.name) {
                match found.get(&name) {
                    None => mismatch.missing.push(name),
                    Some(shape) if *shape != parameter.shape => mismatch.misshapen.push(Misshapen {
                        name,
                        found: shape.clone(),
                        expected: parameter.shape.clone(),
                    }),
                    Some(_) => {}
                }
            }
        }
        if mismatch.is_empty() {
            return Ok(());
        }
        Err(FolderError::Mismatch { path: self.optimizer.path().to_owned(), mismatch })
    }
}

/// Reads the state of the run that a checkpoint is of, without its weights.
///
/// # Errors
/// When it is not there or of another form.
pub fn read_state(path: &Path) -> Result<RunState, CheckpointError> {
    let file = path.join(STATE);
    let text = fs::read(&file).map_err(|source| FolderError::Read { path: file.clone(), source })?;
    let state: RunState = serde_json::from_slice(&text).map_err(|error| CheckpointError::State {
        path: file.clone(),
        problem: format!("this is no state of a run that this version reads: {error}"),
    })?;
    if state.form != FORM {
        let problem =
            format!("its form is {}, and this version reads {FORM}: use the version that wrote it", state.form);
        return Err(CheckpointError::State { path: file, problem });
    }
    Ok(state)
}

/// The checkpoints below a run's output folder, oldest first: steps and folders. Unfinished ones do not count.
///
/// # Errors
/// When the folder cannot be read; that it is not there is fine.
pub fn checkpoints(out: &Path) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
    let folder = out.join(FOLDER);
    let failed = |source| FolderError::Read { path: folder.clone(), source };
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error).into()),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let step = name.strip_prefix("step-").and_then(|digits| digits.parse().ok());
        if let Some(step) = step.filter(|_| path.join(STATE).is_file()) {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The newest checkpoint below a run's output folder.
///
/// # Errors
/// When the folder cannot be read.
pub fn newest(out: &Path) -> Result<Option<(u64, PathBuf)>, CheckpointError> {
    Ok(checkpoints(out)?.pop())
}

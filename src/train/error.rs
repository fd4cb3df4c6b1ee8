//! Why a training run could not start, or stopped.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use super::checkpoint::CheckpointError;
use super::data::DataError;
use super::folder::FolderError;
use super::settings::SettingError;
use crate::graph::GraphError;
use crate::runtime::RuntimeError;

/// What was not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// The loss of a micro-batch.
    Loss,
    /// The gradient of a step.
    Gradient,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loss => "the loss",
            Self::Gradient => "the gradient's norm",
        })
    }
}

/// Why a run could not start, or stopped.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A setting that cannot be.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The model's folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The pairs.
    #[error(transparent)]
    Data(#[from] DataError),
    /// ONNX Runtime or the device cannot be opened.
    #[error(transparent)]
    Device(RuntimeError),
    /// A base model cannot score.
    #[error("{} has no reward head (score.weight): train it with `codepmp train` first", path.display())]
    NoRewardHead {
        /// The model's folder.
        path: PathBuf,
    },
    /// No pair is left.
    #[error(
        "there is no pair to train on: of {read} read, {too_long} are longer than max_length and {empty} have an empty answer: raise max_length or set truncation"
    )]
    NoPairs {
        /// Pairs read.
        read: u64,
        /// Pairs that do not fit.
        too_long: u64,
        /// Pairs without an answer.
        empty: u64,
    },
    /// A loss or gradient that is not finite.
    #[error(
        "{what} is {value} at step {step}, on the pairs {}; {}", Listed(pairs), last_good(checkpoint.as_ref())
    )]
    NotFinite {
        /// What is not finite.
        what: Quantity,
        /// Its value: NaN or an infinity.
        value: f64,
        /// The step, from 1.
        step: u64,
        /// Ids of the pairs that it was computed on.
        pairs: Vec<i64>,
        /// The newest checkpoint, which is from before the step.
        checkpoint: Option<PathBuf>,
    },
    /// The device's memory does not suffice.
    #[error("out of memory {at}: {advice} ({message})")]
    OutOfMemory {
        /// Where: loading, or the step and its batch.
        at: String,
        /// Which setting to change.
        advice: String,
        /// What the runtime said.
        message: String,
    },
    /// A device that gives other numbers than the processor.
    #[error(
        "{device} computes {what} wrongly: off by {apart} of the greatest number, where {allowed} is allowed; train on another device, or with another version of its provider or driver"
    )]
    WrongDevice {
        /// The device.
        device: String,
        /// What it computed.
        what: String,
        /// How far it is off.
        apart: f32,
        /// How far it may be off.
        allowed: f32,
    },
    /// What computes has failed.
    #[error("{at}: {source}")]
    Learner {
        /// Where: loading, or the step.
        at: String,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl TrainError {
    /// A failure of what computes, with where it was and what would help against a lack of memory.
    pub(super) fn computing(at: impl Into<String>, advice: impl FnOnce() -> String, error: RuntimeError) -> Self {
        let at = at.into();
        match error {
            RuntimeError::OutOfMemory { place, message } => {
                Self::OutOfMemory { at, advice: advice(), message: format!("{place}: {message}") }
            }
            other => Self::Learner { at, source: Box::new(other) },
        }
    }
}

impl From<RuntimeError> for TrainError {
    /// A failure before the first step.
    fn from(error: RuntimeError) -> Self {
        Self::computing("loading the model", || "the model is too large for this device".to_owned(), error)
    }
}

impl From<GraphError> for TrainError {
    fn from(error: GraphError) -> Self {
        RuntimeError::from(error).into()
    }
}

/// The most ids that a message lists.
const LISTED: usize = 32;

/// Ids with commas, cut where there are many.
struct Listed<'a>(&'a [i64]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.0.iter().take(LISTED).map(i64::to_string).collect();
        f.write_str(&shown.join(", "))?;
        match self.0.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

fn last_good(checkpoint: Option<&PathBuf>) -> String {
    match checkpoint {
        Some(path) => format!(
            "the last good checkpoint is {}: look at these pairs, lower learning_rate, or leave them out",
            path.display()
        ),
        None => {
            "there is no checkpoint yet: look at these pairs and the model's weights, or lower learning_rate".into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_is_no_number_tells_the_pairs_and_the_last_good_checkpoint() {
        let error = TrainError::NotFinite {
            what: Quantity::Loss,
            value: f64::NAN,
            step: 12,
            pairs: (0..40).collect(),
            checkpoint: Some("out/checkpoints/step-00000010".into()),
        };
        let text = error.to_string();
        assert!(text.starts_with("the loss is NaN at step 12, on the pairs 0, 1, 2, "), "{text}");
        assert!(text.contains("31 and 8 more; the last good checkpoint is out/checkpoints/step-00000010"), "{text}");
    }
}

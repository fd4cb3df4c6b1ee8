//! Why a training run could not start, or stopped.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use super::checkpoint::CheckpointError;
use super::data::DataError;
use super::folder::FolderError;
use super::settings::SettingError;

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

/// A failure of what computes.
#[derive(Debug, Error)]
pub enum LearnerError {
    /// The device has not enough memory.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// Anything else.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
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
    /// No pair is left.
    #[error(
        "there is no pair to train on: of {read} read, {too_long} are longer than max_length and {empty} have an empty answer"
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
    /// What computes has failed.
    #[error("{at}: {source}")]
    Learner {
        /// Where: loading, or the step.
        at: String,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
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

//! What a training run is given, what it tells on the way, and what it ends with.

use std::path::PathBuf;

use serde::Serialize;

use super::data::{Counts, Pair};
use super::schedule::Schedule;
use super::settings::TrainSettings;
use crate::eval::Accuracy;

/// What a run starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The model's folder; checkpoints in the output folder are an error.
    #[default]
    Fresh,
    /// The newest checkpoint of the output folder; there must be one, of this very run.
    Resume,
    /// The newest checkpoint of the output folder if there is one of this very run, else the model's folder; checkpoints
    /// of another run are removed.
    ResumeIfPossible,
    /// A stable checkpoint of a WSD or constant run: weights, optimizer and data position go on from there, and the rate
    /// falls at once.
    DecayFrom(PathBuf),
}

/// One training run.
#[derive(Clone, Copy, Debug)]
pub struct TrainJob<'a> {
    /// How to train.
    pub settings: &'a TrainSettings,
    /// Folder of the model to start from; with [`Start::DecayFrom`] its tokenizer alone is used.
    pub model: &'a std::path::Path,
    /// Folder of the trained model; its checkpoints lie in `checkpoints` below.
    pub out: &'a std::path::Path,
    /// Where to begin.
    pub start: &'a Start,
    /// Pairs to train on.
    pub pairs: &'a [Pair],
    /// Pairs to measure on; may be none.
    pub held_out: &'a [Pair],
    /// Where the pairs come from, in words; goes into `training.json`.
    pub source: &'a str,
}

/// What a run is going to do, told before its first step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunPlan {
    /// Numbers in the model's weights.
    pub parameters: u64,
    /// Pairs that are trained on, after those that were left out.
    pub pairs: u64,
    /// Pairs that are measured on.
    pub held_out: u64,
    /// Optimizer steps of an epoch.
    pub epoch_steps: u64,
    /// Optimizer steps of the whole run.
    pub total_steps: u64,
    /// Steps that were done before, where the run goes on from a checkpoint.
    pub done_steps: u64,
    /// The learning rates.
    pub schedule: Schedule,
    /// What became of the training pairs on the way to tokens.
    pub counts: Counts,
    /// What became of the held-out pairs.
    pub held_out_counts: Counts,
}

/// What an optimizer step gave.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepMetrics {
    /// The step, from 1.
    pub step: u64,
    /// Steps of the run.
    pub total_steps: u64,
    /// The epoch, with the share of it that is done: 1.5 is halfway through the second.
    pub epoch: f64,
    /// warmup, stable or decay.
    pub phase: &'static str,
    /// Pairs of the step.
    pub pairs: u64,
    /// The whole loss, as it was minimised.
    pub loss: f64,
    /// The reward loss, before its coefficient.
    pub rm_loss: f64,
    /// The language model's loss, before its coefficient; 0 where its coefficient is 0.
    pub lm_loss: f64,
    /// The centring term, before its coefficient.
    pub centre: f64,
    /// Share of the step's pairs in the right order, ties half.
    pub accuracy: f64,
    /// Mean of chosen minus rejected reward.
    pub margin: f64,
    /// Mean of the step's rewards.
    pub reward_mean: f64,
    /// Standard deviation of the step's rewards.
    pub reward_std: f64,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Real tokens of the step.
    pub tokens: u64,
    /// Share of the step's places that were padding.
    pub padding: f64,
    /// Seconds that the step took.
    pub seconds: f64,
    /// Real tokens a second.
    pub tokens_per_second: f64,
    /// Pairs a second.
    pub pairs_per_second: f64,
    /// The process's peak of resident memory in bytes; 0 where it is not known.
    pub memory_bytes: u64,
}

/// A measurement on held-out pairs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeldOut {
    /// After how many optimizer steps.
    pub step: u64,
    /// The reward loss: mean of `-log sigmoid(chosen - rejected)`.
    pub rm_loss: f64,
    /// Accuracy, margin and spread, with intervals.
    pub accuracy: Accuracy,
}

/// What a run tells on the way.
#[derive(Clone, Debug, PartialEq)]
pub enum TrainEvent {
    /// Everything is loaded and checked; the first step follows.
    Started(Box<RunPlan>),
    /// An optimizer step was done.
    Step(Box<StepMetrics>),
    /// Held-out pairs were measured.
    Measured(Box<HeldOut>),
    /// A checkpoint lies on disk.
    Saved {
        /// Its step.
        step: u64,
        /// Its folder.
        path: PathBuf,
    },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trained {
    /// Whether all steps were done and the model's folder is whole; false after an interruption.
    pub finished: bool,
    /// Optimizer steps done, earlier parts of a resumed run included.
    pub steps: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Pairs trained on, repeated ones counted again.
    pub pairs: u64,
    /// Real tokens trained on.
    pub tokens: u64,
    /// Seconds of this call.
    pub seconds: f64,
    /// The newest checkpoint.
    pub checkpoint: Option<PathBuf>,
    /// The metrics of the last step of this call.
    pub last: Option<StepMetrics>,
    /// The measurement before the first step; none where the run went on from a checkpoint or has no held-out pairs.
    pub before: Option<HeldOut>,
    /// The newest measurement.
    pub after: Option<HeldOut>,
}

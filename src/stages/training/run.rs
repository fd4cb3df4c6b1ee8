//! One training from start to end: model, pairs, rows in the database, progress.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::record::Note;
use super::{Job, Recorder, base};
use crate::eval::Estimate;
use crate::progress::{Meter, State};
use crate::store::training::MetricRow;
use crate::telemetry::one_line;

/// What a dry run finds out.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Parameters of the model, the reward head included.
    pub parameters: u64,
    /// Pairs that are trained on, once an epoch.
    pub pairs: u64,
    /// Their tokens, prompts counted once.
    pub tokens: u64,
    /// Tokens of the longest prompt with its longer answer.
    pub longest: u64,
    /// Pairs that are left out, being empty or too long.
    pub left_out: u64,
    /// Pairs that are measured on.
    pub held_out: u64,
    /// Optimizer steps.
    pub total_steps: u64,
}

/// Something that a training tells while it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Told<'t> {
    /// A step was done, of so many.
    Step(&'t MetricRow, u64),
    /// The model was measured on held-out pairs after this step.
    Measured(u64, &'t Estimate),
    /// A checkpoint was written after this step.
    Checkpoint(u64, &'t std::path::Path),
}

impl Told<'_> {
    /// The event as a JSON line.
    pub fn event(self) -> Value {
        match self {
            Self::Step(row, total) => {
                let mut event = json!({ "event": "step", "total_steps": total });
                if let (Some(event), Value::Object(row)) = (event.as_object_mut(), json!(row)) {
                    event.extend(row);
                }
                event
            }
            Self::Measured(step, estimate) => json!({ "event": "held_out", "step": step, "estimate": estimate }),
            Self::Checkpoint(step, path) => json!({ "event": "checkpoint", "step": step, "path": path }),
        }
    }
}

/// How a training ended.
#[derive(Clone, Debug, Serialize)]
pub struct Trained {
    /// Optimizer steps of the whole training.
    pub steps: u64,
    /// Loss of the last step.
    pub loss: f64,
    /// Accuracy on held-out pairs, where there are any.
    pub held_out: Option<Estimate>,
    /// Wall time of this process.
    pub seconds: f64,
    /// Peak resident memory of this process.
    pub memory_bytes: u64,
}

impl Trained {
    /// In a line.
    pub fn brief(&self) -> String {
        let held_out = match &self.held_out {
            Some(found) => {
                let Estimate { value, low, high, n, .. } = found;
                format!(", held-out accuracy {value:.4} ({low:.4} to {high:.4}, {n} pairs)")
            }
            None => String::new(),
        };
        let (steps, loss, seconds) = (self.steps, self.loss, self.seconds);
        format!("{steps} steps in {seconds:.1} s, loss {loss:.4}{held_out}")
    }
}

/// Means over the latest steps, for a line that does not jump.
#[derive(Default)]
struct Smooth {
    weight: f64,
    loss: f64,
    accuracy: f64,
    tokens_per_second: f64,
}

impl Smooth {
    fn add(&mut self, row: &MetricRow) -> String {
        const KEEP: f64 = 0.95;
        let fold = |mean: &mut f64, value: f64| *mean = KEEP * *mean + (1.0 - KEEP) * value;
        fold(&mut self.weight, 1.0);
        fold(&mut self.loss, row.loss);
        fold(&mut self.accuracy, row.accuracy);
        fold(&mut self.tokens_per_second, row.tokens_per_second);
        format!(
            "loss {:.3}, accuracy {:.3}, {:.0} tokens/s",
            self.loss / self.weight,
            self.accuracy / self.weight,
            self.tokens_per_second / self.weight
        )
    }
}

//! One training from start to end: model, pairs, rows in the database, progress.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::record::Note;
use super::{Job, Recorder, WrongInput, base, measure};
use crate::eval::Estimate;
use crate::progress::{Meter, State};
use crate::store::training::MetricRow;
use crate::telemetry::one_line;
use crate::train::checkpoint::CheckpointError;
use crate::train::{RunPlan, StepMetrics, TrainError, TrainEvent, TrainJob, Trained};

/// What a training tells on the way.
pub type Told<'t> = &'t TrainEvent;

/// An event as a JSON line.
pub fn line(told: Told<'_>) -> Value {
    let (name, body) = match told {
        TrainEvent::Started(plan) => ("started", json!(plan)),
        TrainEvent::Step(step) => ("step", json!(step)),
        TrainEvent::Measured(found) => ("held_out", json!(found)),
        TrainEvent::Saved { step, path } => ("checkpoint", json!({ "step": step, "path": path })),
    };
    let mut event = json!({ "event": name });
    if let (Some(event), Value::Object(body)) = (event.as_object_mut(), body) {
        event.extend(body);
    }
    event
}

/// How a training ended, in a line.
pub fn brief(trained: &Trained) -> String {
    let mut text = format!("{} of {} steps in {:.1} s", trained.steps, trained.total_steps, trained.seconds);
    if let Some(last) = &trained.last {
        let _ = write!(text, ", loss {:.4}", last.loss);
    }
    if let Some(found) = &trained.after {
        let Estimate { value, low, high, n, .. } = &found.accuracy.accuracy;
        let _ = write!(text, ", held-out accuracy {value:.4} ({low:.4} to {high:.4}, {n} pairs)");
    }
    match &trained.checkpoint {
        Some(path) if !trained.finished => {
            let _ =
                write!(text, "; interrupted, {} is what the same command with --resume goes on from", path.display());
        }
        None if !trained.finished => text.push_str("; interrupted before the first step"),
        _ => {}
    }
    text
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
    fn add(&mut self, step: &StepMetrics) -> String {
        const KEEP: f64 = 0.95;
        let fold = |mean: &mut f64, value: f64| *mean = KEEP * *mean + (1.0 - KEEP) * value;
        fold(&mut self.weight, 1.0);
        fold(&mut self.loss, step.loss);
        fold(&mut self.accuracy, step.accuracy);
        fold(&mut self.tokens_per_second, step.tokens_per_second);
        format!(
            "loss {:.3}, accuracy {:.3}, {:.0} tokens/s",
            self.loss / self.weight,
            self.accuracy / self.weight,
            self.tokens_per_second / self.weight
        )
    }
}

/// Trains to the end, or until `shutdown` has drained it to a checkpoint. `each` is told everything as it happens.
///
/// # Errors
/// [`WrongInput`] for what was refused before it began; whatever stopped it otherwise.
pub async fn run(
    job: Job,
    recorder: Recorder,
    meter: Arc<Meter>,
    each: impl Fn(Told<'_>) + Send + 'static,
    shutdown: CancellationToken,
) -> anyhow::Result<Trained> {
    let (notes, written) = recorder.start();
    let worked = spawn_blocking(move || train(&job, &notes, &meter, &each, &shutdown)).await;
    // The blocking task has dropped its sender: what is left is written, then the task ends.
    let _ = written.await;
    let trained = worked.context("a bug: the training ended early")?;
    let (state, message) = match &trained {
        Ok(trained) if trained.finished => (State::Done, None),
        Ok(_) => (State::Interrupted, None),
        Err(error) => (State::Failed, Some(one_line(error))),
    };
    let noted = recorder.end(state, message.as_deref()).await;
    let trained = trained?;
    noted?;
    Ok(trained)
}

fn train(
    job: &Job,
    notes: &Sender<Note>,
    meter: &Meter,
    each: &dyn Fn(Told<'_>),
    shutdown: &CancellationToken,
) -> anyhow::Result<Trained> {
    let model = base::prepare(job)?;
    let mut smooth = Smooth::default();
    let mut watch = |event: TrainEvent| {
        // A channel that is closed has told why already.
        match &event {
            TrainEvent::Started(plan) => {
                let left = (plan.total_steps - plan.done_steps) * job.settings.batch_pairs as u64;
                meter.set_total(meter.done() + left.min(plan.pairs * u64::from(job.settings.epochs)));
                let size = Note::Size { parameters: plan.parameters, total_steps: plan.total_steps };
                let _ = notes.blocking_send(size);
            }
            TrainEvent::Step(step) => {
                meter.add_done(step.pairs);
                meter.set_note(smooth.add(step));
                let _ = notes.blocking_send(Note::Step(row(step)));
            }
            TrainEvent::Measured(found) => {
                let mut evaluation = measure::evaluation(&found.accuracy);
                evaluation.step = Some(found.step);
                evaluation.model = job.out.to_string_lossy().into_owned();
                (evaluation.data, evaluation.data_mark) = (job.source.clone(), job.held_out.mark.clone());
                let _ = notes.blocking_send(Note::Measured(Box::new(evaluation)));
            }
            TrainEvent::Saved { .. } => {}
        }
        each(&event);
    };
    let start = job.start.clone();
    let of_job = TrainJob {
        settings: &job.settings,
        model: &model,
        out: &job.out,
        start: &start,
        pairs: &job.pairs.pairs,
        held_out: &job.held_out.pairs,
        source: &job.source,
    };
    crate::train::train(&of_job, &job.library_dir, &mut watch, shutdown).map_err(refused)
}

/// What a training would do, without doing it.
///
/// # Errors
/// As [`run`].
pub async fn plan(job: &Job) -> anyhow::Result<RunPlan> {
    let job = job.clone();
    spawn_blocking(move || {
        let model = base::prepare(&job)?;
        let of_job = TrainJob {
            settings: &job.settings,
            model: &model,
            out: &job.out,
            start: &job.start,
            pairs: &job.pairs.pairs,
            held_out: &job.held_out.pairs,
            source: &job.source,
        };
        crate::train::plan(&of_job).map_err(refused)
    })
    .await
    .context("a bug: planning ended early")?
}

/// Tells what was wrong from the start from what went wrong on the way.
pub fn refused(error: TrainError) -> anyhow::Error {
    match error {
        TrainError::Setting(_)
        | TrainError::Folder(_)
        | TrainError::Data(_)
        | TrainError::Device(_)
        | TrainError::WrongDevice { .. }
        | TrainError::NoPairs { .. }
        | TrainError::NoRewardHead { .. }
        | TrainError::Checkpoint(
            CheckpointError::None { .. }
            | CheckpointError::Occupied { .. }
            | CheckpointError::OtherRun { .. }
            | CheckpointError::NotStable { .. }
            | CheckpointError::State { .. },
        ) => WrongInput(error.to_string()).into(),
        other => other.into(),
    }
}

fn row(step: &StepMetrics) -> MetricRow {
    MetricRow {
        step: step.step as i64,
        epoch: step.epoch,
        loss: step.loss,
        rm_loss: step.rm_loss,
        lm_loss: step.lm_loss,
        centre_loss: step.centre,
        accuracy: step.accuracy,
        margin: step.margin,
        reward_mean: step.reward_mean,
        reward_std: step.reward_std,
        gradient_norm: step.gradient_norm,
        learning_rate: step.learning_rate,
        tokens: step.tokens as i64,
        tokens_per_second: step.tokens_per_second,
        pairs_per_second: step.pairs_per_second,
        memory_bytes: step.memory_bytes as i64,
    }
}

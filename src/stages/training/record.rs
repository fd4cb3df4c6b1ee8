//! A training's rows in the database, written beside it: a slow or absent database never holds a training up for long.

use anyhow::Context as _;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Base, Job};
use crate::ids::{RunId, StageId, TrainingRunId};
use crate::progress::State;
use crate::store::Store;
use crate::store::training::{MetricRow, NewEvaluation, NewTraining};
use crate::train::Start;

/// What a training tells as it goes.
pub enum Note {
    /// The model is there.
    Size {
        /// Parameters, the reward head included.
        parameters: u64,
        /// Optimizer steps of the whole training.
        total_steps: u64,
    },
    /// A step was done.
    Step(MetricRow),
    /// The model was measured on held-out pairs.
    Measured(Box<NewEvaluation>),
}

/// Steps that may wait for the database before the training does.
const WAITING: usize = 4096;
/// Steps in one statement.
const PAGE: usize = 256;

/// Where a training is recorded; nowhere, without a database.
#[derive(Clone)]
pub struct Recorder(Option<(Store, TrainingRunId)>);

impl Recorder {
    /// Records nothing.
    pub fn none() -> Self {
        Self(None)
    }

    /// Enters the training, or takes up its row.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enter(store: &Store, job: &Job, stage: Option<(RunId, StageId)>) -> anyhow::Result<Self> {
        let new = NewTraining {
            run: stage.map(|(run, _)| run),
            stage: stage.map(|(_, stage)| stage),
            name: job.name.clone(),
            objective: job.settings.objective.as_str(),
            seed: job.settings.seed,
            model: match &job.base {
                Base::Folder(path) => absolute(path),
                Base::Fresh { preset, .. } => json!(preset).as_str().unwrap_or_default().to_owned(),
            },
            data: job.source.clone(),
            data_mark: job.mark(),
            out: absolute(&job.out),
            settings: json!(job.settings),
            pairs_train: job.pairs.len() as u64,
            pairs_held_out: job.held_out.len() as u64,
            device: job.settings.device.clone(),
        };
        let id = store
            .enter_training(&new, matches!(job.start, Start::Resume | Start::ResumeIfPossible))
            .await
            .context("entering the training")?;
        Ok(Self(Some((store.clone(), id))))
    }

    /// Starts writing what is sent; the task ends when the sender is gone.
    pub(super) fn start(&self) -> (mpsc::Sender<Note>, JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (sender, tokio::spawn(write(self.clone(), receiver)))
    }

    /// Ends the training's row.
    pub(super) async fn end(&self, state: State, message: Option<&str>) -> anyhow::Result<()> {
        if let Some((store, id)) = &self.0 {
            store.end_training(*id, state, message).await.context("noting the end of the training")?;
        }
        Ok(())
    }
}

fn absolute(path: &std::path::Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

/// Metrics that cannot be written are told once and let go: they are not worth a training.
async fn write(recorder: Recorder, mut notes: mpsc::Receiver<Note>) {
    let mut told = false;
    let mut waiting = Vec::new();
    while notes.recv_many(&mut waiting, PAGE).await > 0 {
        let Some((store, id)) = &recorder.0 else {
            waiting.clear();
            continue;
        };
        let mut steps = Vec::new();
        let mut failed = None;
        for note in waiting.drain(..) {
            let written = match note {
                Note::Step(row) => {
                    steps.push(row);
                    Ok(())
                }
                Note::Size { parameters, total_steps } => store.note_training(*id, parameters, total_steps).await,
                Note::Measured(evaluation) => {
                    store.write_evaluation(&NewEvaluation { training: Some(*id), ..*evaluation }).await
                }
            };
            failed = written.err().or(failed);
        }
        if !steps.is_empty() {
            failed = store.write_metrics(*id, &steps).await.err().or(failed);
        }
        if let Some(error) = failed.filter(|_| !std::mem::replace(&mut told, true)) {
            tracing::warn!("metrics of this training are lost: {error}");
        }
    }
}

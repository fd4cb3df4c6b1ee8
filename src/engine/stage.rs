//! The contract between the engine and the kinds of stage.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Planned;
use crate::ids::{RunId, StageId, WorkerId};
use crate::progress::Meter;
use crate::store::Store;
use crate::store::budget::Caps;

/// How a stage takes part in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// One streaming chain over documents, in order; one process at a time.
    Source,
    /// Claims rows as they appear; any number of processes.
    Rows,
    /// Starts when all that it needs has ended; one process at a time.
    Set,
}

/// What a stage that calls a model shows of itself in the `stages` table.
#[derive(Clone, Debug, Default)]
pub struct Facets {
    /// Model name.
    pub model: Option<String>,
    /// Hash of the prompt templates.
    pub prompt_fingerprint: Option<String>,
    /// Sampling settings.
    pub sampling: Option<serde_json::Value>,
}

/// A kind of stage, with its settings.
pub trait Stage: Sized + Send + Sync + 'static {
    /// Name of the kind in the pipeline file.
    fn kind(&self) -> &'static str;
    /// How it takes part.
    fn class(&self) -> Class;
    /// The settings that decide the output; a change of them makes it, and what follows, stale.
    fn identity(&self) -> serde_json::Value;
    /// What the `stages` table shows.
    fn facets(&self) -> Facets {
        Facets::default()
    }
    /// Says why it cannot stand on `needs`, if it cannot.
    ///
    /// # Errors
    /// What is allowed, as a sentence.
    fn check_needs(&self, needs: &[(&str, &Self)]) -> Result<(), String>;
    /// Runs a group: a single stage, or a chain of source stages in order.
    fn run(context: Context<Self>) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What a group of stages is given to run with.
pub struct Context<S: Stage> {
    /// The stages of the group, in order.
    pub group: Vec<Arc<Planned<S>>>,
    /// Their identifiers.
    pub ids: Vec<StageId>,
    /// For each of them, the identifiers of what it needs, in the order of `needs`.
    pub needs: Vec<Vec<StageId>>,
    /// All stages of the plan, by position.
    pub plan: Arc<super::Plan<S>>,
    /// Their identifiers.
    pub all_ids: Vec<StageId>,
    /// The database.
    pub store: Store,
    /// The run that this is part of.
    pub run: RunId,
    /// This process.
    pub worker: WorkerId,
    /// Seed of the pipeline.
    pub seed: u64,
    /// Largest number of new rows for each stage in this run.
    pub limit: Option<u64>,
    /// The data folder, for what is no row.
    pub data_dir: PathBuf,
    /// What the pipeline's stages may spend, over all runs.
    pub caps: Caps,
    /// Counters, one for each stage of the group.
    pub meters: Vec<Arc<Meter>>,
    /// Becomes true when everything that the group needs has ended.
    pub inputs_ended: watch::Receiver<bool>,
    /// Cancelled when the run is to drain and end.
    pub shutdown: CancellationToken,
}

impl<S: Stage> Context<S> {
    /// The only stage of a group that is not a chain.
    pub fn stage(&self) -> &Arc<Planned<S>> {
        &self.group[0]
    }

    /// Its identifier.
    pub fn id(&self) -> StageId {
        self.ids[0]
    }

    /// Its counter.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meters[0]
    }

    /// Waits until all that the group needs has ended; false if the run is to end first.
    pub async fn inputs_end(&mut self) -> bool {
        tokio::select! {
            ended = self.inputs_ended.wait_for(|ended| *ended) => ended.is_ok(),
            () = self.shutdown.cancelled() => false,
        }
    }
}

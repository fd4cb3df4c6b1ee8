//! Runs all groups of a plan at once and tells each when what it needs has ended.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::stage::{Context, Stage};
use super::{Plan, Planned};
use crate::ids::{RunId, StageId};
use crate::progress::{Meter, State};
use crate::store::Store;
use crate::store::budget::Caps;
use crate::store::runs::NewRun;
use crate::store::stages::NewStage;
use crate::telemetry::one_line;

/// What the command line asks of a run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names of the stages to run; empty: all.
    pub select: Vec<String>,
    /// Largest number of new rows for each stage.
    pub limit: Option<u64>,
    /// The data folder, where stages keep what is no row.
    pub data_dir: PathBuf,
    /// What the pipeline's stages may spend, over all runs.
    pub caps: Caps,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// The run.
    pub run: RunId,
    /// Counters of every stage.
    pub meters: Vec<Arc<Meter>>,
    /// Stages that failed, with the reason.
    pub failures: Vec<(String, anyhow::Error)>,
    /// Whether it was told to stop.
    pub interrupted: bool,
}

/// A run that is about to start.
pub struct Runner<S: Stage> {
    plan: Arc<Plan<S>>,
    store: Store,
    seed: u64,
    options: Options,
    /// Counters of every stage, by position in the plan.
    pub meters: Vec<Arc<Meter>>,
}

/// How often the counters are written to `run_stages` while a run goes on.
const NOTE_EVERY: Duration = Duration::from_secs(2);

/// Finds the stages of `plan` in the database, or enters them; ids by position.
pub async fn register<S: Stage>(plan: &Plan<S>, store: &Store) -> anyhow::Result<Vec<StageId>> {
    let mut ids = Vec::with_capacity(plan.stages.len());
    for planned in &plan.stages {
        let facets = planned.stage.facets();
        let stage = NewStage {
            fingerprint: planned.fingerprint.clone(),
            kind: planned.stage.kind().to_owned(),
            name: planned.name.clone(),
            settings: planned.stage.identity(),
            inputs: planned.needs.iter().map(|&need| ids[need]).collect(),
            model: facets.model,
            prompt_fingerprint: facets.prompt_fingerprint,
            sampling: facets.sampling,
        };
        ids.push(store.register_stage(&stage).await?);
    }
    Ok(ids)
}

impl<S: Stage> Runner<S> {
    /// Prepares a run; nothing happens yet.
    pub fn new(plan: Plan<S>, store: Store, seed: u64, options: Options) -> Self {
        let meters = plan.stages.iter().map(|stage| Meter::new(stage.name.clone(), stage.stage.kind())).collect();
        Self { plan: Arc::new(plan), store, seed, options, meters }
    }

    /// Runs to the end, or until `shutdown` has drained it.
    ///
    /// # Errors
    /// When the run cannot be entered; stages that fail are in the outcome.
    pub async fn run(mut self, new: &NewRun, shutdown: &CancellationToken) -> anyhow::Result<Outcome> {
        let ids = register(&self.plan, &self.store).await?;
        let caps = self.store.joined_caps(self.options.caps, &ids).await?;
        if caps != std::mem::replace(&mut self.options.caps, caps) {
            tracing::warn!("held to the cap of a run of these stages that is going on");
        }
        let entries: Vec<_> = (self.plan.stages.iter().zip(&ids))
            .map(|(planned, &id)| (id, planned.name.clone(), planned.stage.kind()))
            .collect();
        let run = self.store.enter_run(new, &entries).await?;
        let worker = self.store.enter_worker(run).await?;
        let beat = spawn_heartbeat(worker, self.store.clone(), run, self.meters.clone());
        let failures = self.run_groups(run, &ids, beat.worker, shutdown).await;
        let interrupted = shutdown.is_cancelled();
        beat.end().await;
        let state = match (interrupted, failures.is_empty()) {
            (true, _) => State::Interrupted,
            (false, true) => State::Done,
            (false, false) => State::Failed,
        };
        self.store.end_run(run, state).await?;
        Ok(Outcome { run, meters: self.meters, failures, interrupted })
    }

    async fn run_groups(
        &self,
        run: RunId,
        ids: &[StageId],
        worker: crate::ids::WorkerId,
        shutdown: &CancellationToken,
    ) -> Vec<(String, anyhow::Error)> {
        let selected: HashSet<usize> = (0..self.plan.stages.len())
            .filter(|&at| self.options.select.is_empty() || self.options.select.contains(&self.plan.stages[at].name))
            .collect();
        // A chain is cut where a stage of it is not selected.
        let groups: Vec<Vec<usize>> = (self.plan.groups.iter())
            .flat_map(|group| group.split(|at| !selected.contains(at)).map(<[usize]>::to_vec).collect::<Vec<_>>())
            .filter(|group| !group.is_empty())
            .collect();
        let mut home = vec![None; self.plan.stages.len()];
        for (group, stages) in groups.iter().enumerate() {
            for &stage in stages {
                home[stage] = Some(group);
            }
        }
        let inputs: Vec<HashSet<usize>> = (groups.iter().enumerate())
            .map(|(own, group)| {
                let needs = group.iter().flat_map(|&at| self.plan.ancestors(at));
                needs.filter_map(|need| home[need]).filter(|&other| other != own).collect()
            })
            .collect();
        for (at, meter) in self.meters.iter().enumerate() {
            meter.set_state(if selected.contains(&at) { State::Waiting } else { State::Skipped });
            let _ = self.store.note_stage(run, meter, None).await;
        }

        let mut tasks = JoinSet::new();
        let mut gates = Vec::with_capacity(groups.len());
        let stops: Vec<CancellationToken> = groups.iter().map(|_| shutdown.child_token()).collect();
        for (group, stages) in groups.iter().enumerate() {
            let (gate, inputs_ended) = watch::channel(inputs[group].is_empty());
            gates.push(gate);
            let context = Context {
                group: stages.iter().map(|&at| Arc::clone(&self.plan.stages[at])).collect(),
                ids: stages.iter().map(|&at| ids[at]).collect(),
                needs: stages.iter().map(|&at| self.need_ids(at, ids)).collect(),
                plan: Arc::clone(&self.plan),
                all_ids: ids.to_vec(),
                store: self.store.clone(),
                run,
                worker,
                seed: self.seed,
                limit: self.options.limit,
                data_dir: self.options.data_dir.clone(),
                caps: self.options.caps,
                meters: stages.iter().map(|&at| Arc::clone(&self.meters[at])).collect(),
                inputs_ended,
                shutdown: stops[group].clone(),
            };
            let meters = context.meters.clone();
            tasks.spawn(async move {
                for meter in &meters {
                    meter.set_state(State::Running);
                }
                let result = S::run(context).await;
                (group, meters, result)
            });
        }

        let mut ended = HashSet::new();
        let mut failures = Vec::new();
        while let Some(joined) = tasks.join_next().await {
            let (group, meters, result) = match joined {
                Ok(done) => done,
                Err(panic) => {
                    failures.push(("(a stage)".to_owned(), anyhow::anyhow!("a bug: {panic}")));
                    stops.iter().for_each(CancellationToken::cancel);
                    continue;
                }
            };
            let state = match &result {
                Err(_) => State::Failed,
                Ok(()) if stops[group].is_cancelled() => State::Interrupted,
                Ok(()) => State::Done,
            };
            let message = result.as_ref().err().map(one_line);
            for meter in &meters {
                meter.set_state(state);
                let _ = self.store.note_stage(run, meter, message.as_deref()).await;
            }
            ended.insert(group);
            match result {
                Err(error) => {
                    failures.push((meters.last().map(|meter| meter.name.clone()).unwrap_or_default(), error));
                    // What needs it, directly or not, finishes what it has in hand and ends.
                    for (other, stop) in stops.iter().enumerate() {
                        if inputs[other].contains(&group) {
                            stop.cancel();
                        }
                    }
                }
                Ok(()) => {
                    for (other, gate) in gates.iter().enumerate() {
                        if inputs[other].is_subset(&ended) {
                            gate.send_replace(true);
                        }
                    }
                }
            }
        }
        failures
    }

    fn need_ids(&self, at: usize, ids: &[StageId]) -> Vec<StageId> {
        let planned: &Planned<S> = &self.plan.stages[at];
        planned.needs.iter().map(|&need| ids[need]).collect()
    }
}

struct Heartbeat {
    worker: crate::ids::WorkerId,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Heartbeat {
    async fn end(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

/// Keeps the worker's lock and writes the counters, until told to end.
fn spawn_heartbeat(
    mut worker: crate::store::lock::Worker,
    store: Store,
    run: RunId,
    meters: Vec<Arc<Meter>>,
) -> Heartbeat {
    let stop = CancellationToken::new();
    let (id, stopped) = (worker.id, stop.clone());
    let task = tokio::spawn(async move {
        while tokio::time::timeout(NOTE_EVERY, stopped.cancelled()).await.is_err() {
            if let Err(error) = worker.keep_alive(&store).await {
                tracing::warn!("this worker may be taken for dead: {error}");
            }
            for meter in meters.iter().filter(|meter| meter.state() == State::Running) {
                let _ = store.note_stage(run, meter, None).await;
            }
        }
        if let Err(error) = worker.leave(&store).await {
            tracing::warn!("this worker could not sign off: {error}");
        }
    });
    Heartbeat { worker: id, stop, task }
}

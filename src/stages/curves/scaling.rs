//! `scaling`: a decay run from each stable checkpoint of one WSD pretraining, so that one run gives a whole curve.
//!
//! The checkpoints are those that `geometric_first` and `geometric_factor` of the train stage keep. Each decay run goes on
//! with the pairs that follow in the pretraining's own order. The finished model is the curve's last point.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::spawn_blocking;

use super::{Drawer, MODEL, estimates};
use crate::engine::{Context, Planned, Stage as _};
use crate::stages::train::Train;
use crate::stages::training::{Base, Computing, FINISHED, Job, PairChoice, PairSource, Split, WrongInput};
use crate::stages::{AnyStage, Kind, resolve};
use crate::store::curves::{Place, PointKey};
use crate::train::checkpoint::{RunState, checkpoints, newest, read_state};
use crate::train::spacing::geometric;
use crate::train::{Start, TrainSettings, training_mark};

/// Settings of a `scaling` stage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScalingSettings {
    /// Held-out pairs that every point is measured on, of the pretraining's source; its test split if left out.
    #[serde(default = "test_split")]
    pub test: PairChoice,
    /// A file or a folder with other pairs to measure on; `test` chooses among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Share of a decay run's steps, from the start of the pretraining, that the rate falls for; the pretraining's own if
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay_share: Option<f64>,
    /// Whether the models of points are kept, below the data folder.
    #[serde(default)]
    pub keep_models: bool,
    /// What to measure on.
    #[serde(default)]
    pub computing: Computing,
}

fn test_split() -> PairChoice {
    PairChoice { split: Split::Test, ..PairChoice::default() }
}

/// A `scaling` stage.
#[derive(Debug)]
pub struct Scaling {
    settings: ScalingSettings,
    base: PathBuf,
}

impl Scaling {
    /// Checks the settings.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(settings: ScalingSettings, base: PathBuf) -> Result<Self, (&'static str, String)> {
        settings.test.check().map_err(|message| ("test", message))?;
        settings.computing.check().map_err(|message| ("computing", message))?;
        if settings.decay_share.is_some_and(|share| !(share > 0.0 && share < 1.0)) {
            return Err(("decay_share", "must lie between 0 and 1".into()));
        }
        Ok(Self { settings, base })
    }

    /// Makes the points that are missing.
    pub async fn run(&self, mut context: Context<AnyStage>) -> anyhow::Result<()> {
        if !context.inputs_end().await {
            return Ok(());
        }
        let Some(lock) = crate::stages::pair::lock(&context).await? else { return Ok(()) };
        let drawn = self.draw(&context).await;
        lock.release().await;
        drawn
    }

    async fn draw(&self, context: &Context<AnyStage>) -> anyhow::Result<()> {
        let planned = &context.plan.stages[context.stage().needs[0]];
        let AnyStage::Train(train) = &planned.stage else { anyhow::bail!("a bug: no train stage") };
        let source = source_of(context, planned, train)?;
        let pairs = Arc::new(source.read(&train.settings().pairs).await?);
        let own = self.settings.data.as_ref().map(|data| PairSource::Files(resolve(&self.base, data)));
        let held_out = own.as_ref().unwrap_or(&source);
        let test = held_out.read(&self.settings.test).await?;
        let (computing, keep_models) = (&self.settings.computing, self.settings.keep_models);
        let drawer = Drawer::new(context, &test, held_out.to_string(), computing, keep_models).await?;
        let mut open = Vec::new();
        for seed in train.seeds() {
            let folder = train.folder(planned, &context.data_dir, seed);
            let (end, stable) = spawn_blocking(move || states(&folder)).await??;
            open.extend(stable.into_iter().map(|(path, state)| (seed, path, state, false)));
            open.push((seed, end.0, end.1, true));
        }
        context.meter().set_total(open.len() as u64);
        for (seed, path, state, last) in open {
            let key = PointKey {
                arm: planned.name.clone(),
                place: Place::Step(state.step),
                seed,
                data_mark: format!("{} {}", pairs.mark, training_mark(&train.folder(planned, &context.data_dir, seed))),
                test_mark: drawer.test_mark(),
            };
            let own = drawer.folder(&format!("step-{}/seed-{seed}", state.step));
            if drawer.knows(&key, &own).await {
                continue;
            }
            let began = Instant::now();
            if last {
                let out = train.folder(planned, &context.data_dir, seed);
                if !drawer.finish(key, &out, (state.pairs, Some(state.tokens)), began).await? {
                    return Ok(());
                }
                continue;
            }
            let base = Base::Folder(train.folder(planned, &context.data_dir, seed));
            let job = self.job(context, &planned.name, (path, &state), base);
            let job = Job { out: own.join(MODEL), source: source.to_string(), pairs: Arc::clone(&pairs), ..job };
            // What a decay run that was stopped has left cannot be gone on from: it is short, and begins again.
            match tokio::fs::remove_dir_all(&own).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            let Some(trained) = drawer.train(&job).await? else { return Ok(()) };
            if !drawer.finish(key, &job.out, (trained.pairs, Some(trained.tokens)), began).await? {
                return Ok(());
            }
            drawer.clear(own).await;
        }
        estimates::write(context, &[]).await
    }

    /// A decay run, but for its folder and pairs.
    fn job(
        &self,
        context: &Context<AnyStage>,
        name: &str,
        (checkpoint, state): (PathBuf, &RunState),
        base: Base,
    ) -> Job {
        let own = &state.settings;
        Job {
            name: format!("{}/{name}/{}", context.stage().name, state.step),
            base,
            out: PathBuf::new(),
            settings: TrainSettings {
                decay_share: self.settings.decay_share.unwrap_or(own.decay_share),
                export_onnx: own.export_onnx && self.settings.keep_models,
                geometric_first: None,
                evaluate_every: None,
                ..own.clone()
            },
            source: String::new(),
            pairs: Arc::default(),
            held_out: Arc::default(),
            start: Start::DecayFrom(checkpoint),
            library_dir: context.data_dir.clone(),
        }
    }
}

/// Where the pretraining's pairs come from.
fn source_of(context: &Context<AnyStage>, planned: &Planned<AnyStage>, train: &Train) -> anyhow::Result<PairSource> {
    if let Some(data) = &train.settings().data {
        return Ok(PairSource::of_files(resolve(train.base(), data), train.adapter().cloned()));
    }
    let marks = planned.needs.iter().filter(|&&need| context.plan.stages[need].stage.kind() == "decontaminate");
    let marked_by = marks.map(|&need| context.all_ids[need]).collect();
    for &need in &planned.needs {
        let pairs = &context.plan.stages[need];
        if pairs.stage.kind() == "pair" {
            let (store, stage) = (context.store.clone(), context.all_ids[need]);
            return Ok(PairSource::Stage { store, stage, name: pairs.name.clone(), marked_by });
        }
    }
    anyhow::bail!("a bug: a train stage without pairs")
}

type At = (PathBuf, RunState);

/// The end of a pretraining, and its geometric checkpoints up to the last stable step.
fn states(folder: &Path) -> anyhow::Result<(At, Vec<At>)> {
    let wrong = |problem: &str| WrongInput(format!("{}: {problem}", folder.display()));
    let Some((_, path)) = newest(folder)?.filter(|_| folder.join(FINISHED).exists()) else {
        return Err(wrong("there is no finished pretraining in it").into());
    };
    let end = (path.clone(), read_state(&path)?);
    let Some(first) = end.1.settings.geometric_first else {
        return Err(wrong("it kept no stable checkpoints: set `training.geometric_first` of the train stage").into());
    };
    let steps = geometric(first, end.1.settings.geometric_factor, end.1.schedule.decay_start());
    let mut stable = Vec::new();
    for (step, path) in checkpoints(folder)? {
        let state = read_state(&path)?;
        if steps.contains(&step) && state.schedule.decayed_from(step, end.1.settings.decay_share).is_some() {
            stable.push((path, state));
        }
    }
    if stable.is_empty() {
        return Err(wrong("no checkpoint of it is from the stable phase: lower `training.geometric_first`").into());
    }
    Ok((end, stable))
}

impl Kind for Scaling {
    fn identity(&self) -> serde_json::Value {
        json!({ "test": self.settings.test, "data": self.settings.data, "decay_share": self.settings.decay_share,
                "max_length": self.settings.computing.max_length })
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        match needs {
            [(_, AnyStage::Train(train))] if train.settings().training.geometric_first.is_some() => Ok(()),
            [(name, AnyStage::Train(_))] => {
                Err(format!("`{name}` keeps no stable checkpoints: set `geometric_first` in its `training`"))
            }
            _ => Err("it needs exactly one train stage: the pretraining".into()),
        }
    }
}

//! `train`: trains a model on the pairs of a pair stage, or of files; several seeds make several models.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::training::{self, Adapter, Base, Job, PairChoice, Recorder};
use super::{AnyStage, Kind, resolve};
use crate::benchmark::Format;
use crate::engine::{Context, Planned, Stage as _};
use crate::nn::Preset;
use crate::train::{Start, TrainSettings};

/// Settings of a fresh model.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InitSettings {
    /// Size: tiny, small or base.
    pub preset: Preset,
    /// Tokens in the vocabulary, at most; the preset's if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocab: Option<usize>,
    /// Whose tokenizer to take in place of one that is learned from the pairs: a train stage among `needs`, or a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
}

/// Settings of a `train` stage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainStageSettings {
    /// The model to start from: name of a train stage among `needs`, or a folder relative to the pipeline file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// A fresh model in place of `model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitSettings>,
    /// A file or an export folder with pairs, in place of a pair stage among `needs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Format of `data` where it is a benchmark's file as published, such as math-shepherd: its rows are turned into pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// With `format`: template of the prompt that pairs are trained on; the prompt as it is if left out. Variable: prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Which pairs to train on.
    #[serde(default)]
    pub pairs: PairChoice,
    /// Which pairs to measure on while it trains; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<PairChoice>,
    /// Train also on pairs that a decontaminate stage has marked as overlapping with an evaluation set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_contaminated: bool,
    /// How many models to train, with the seeds `training.seed`, `training.seed + 1`, ...
    #[serde(default = "one")]
    pub seeds: u64,
    /// Folder for the models, relative to the pipeline file's; below the data folder if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<String>,
    /// How to train.
    #[serde(default)]
    pub training: TrainSettings,
}

fn one() -> u64 {
    1
}

/// A `train` stage.
#[derive(Debug)]
pub struct Train {
    settings: TrainStageSettings,
    base: PathBuf,
    /// How `data` is read, where it is a benchmark's.
    adapter: Option<Adapter>,
    /// Place of the model's stage among the needs.
    model: Option<usize>,
    /// Place of the tokenizer's stage among the needs.
    tokenizer: Option<usize>,
}

impl Train {
    /// Checks the settings; `needs` are the names in the file.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(settings: TrainStageSettings, base: PathBuf, needs: &[&str]) -> Result<Self, (&'static str, String)> {
        match (&settings.model, &settings.init) {
            (None, None) => {
                return Err(("model", "there is neither `model` nor `init`: name one to start from".into()));
            }
            (Some(_), Some(_)) => return Err(("init", "there is a `model` too: one of them".into())),
            _ => {}
        }
        if settings.seeds == 0 {
            return Err(("seeds", "is 0: train at least one model".into()));
        }
        settings.training.check().map_err(|error| ("training", error.to_string()))?;
        settings.pairs.check().map_err(|message| ("pairs", message))?;
        if let Some(choice) = &settings.held_out {
            choice.check().map_err(|message| ("held_out", message))?;
        }
        let adapter = training::adapter_of(settings.data.as_deref(), settings.format, settings.template.as_deref())?;
        let place = |name: &Option<String>| needs.iter().position(|need| Some(*need) == name.as_deref());
        let model = place(&settings.model);
        let tokenizer = settings.init.as_ref().and_then(|init| place(&init.tokenizer));
        Ok(Self { settings, base, adapter, model, tokenizer })
    }

    /// Its settings.
    pub(super) fn settings(&self) -> &TrainStageSettings {
        &self.settings
    }

    /// The folder that its paths are relative to.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// How its file is read, where that is a benchmark's.
    pub(super) fn adapter(&self) -> Option<&Adapter> {
        self.adapter.as_ref()
    }

    /// The seeds of its models.
    pub(super) fn seeds(&self) -> impl Iterator<Item = u64> {
        let first = self.settings.training.seed;
        (0..self.settings.seeds).map(move |n| first + n)
    }

    /// Folder of the model with that seed.
    pub(super) fn folder(&self, own: &Planned<AnyStage>, data_dir: &Path, seed: u64) -> PathBuf {
        let place = match &self.settings.out {
            Some(out) => resolve(&self.base, out),
            None => data_dir.join("models").join(format!("{}-{}", own.name, &own.fingerprint[..8])),
        };
        let place = std::path::absolute(&place).unwrap_or(place);
        if self.settings.seeds == 1 { place } else { place.join(format!("seed-{seed}")) }
    }

    /// Trains what is not trained yet, and goes on with what was begun.
    pub async fn run(&self, mut context: Context<AnyStage>) -> anyhow::Result<()> {
        if !context.inputs_end().await {
            return Ok(());
        }
        let Some(lock) = super::pair::lock(&context).await? else { return Ok(()) };
        let trained = self.train_all(&context).await;
        lock.release().await;
        trained
    }

    async fn train_all(&self, context: &Context<AnyStage>) -> anyhow::Result<()> {
        let source = training::source_of(context, self.settings.data.as_deref(), self.adapter.as_ref(), &self.base)?;
        let pairs = Arc::new(source.read(&self.settings.pairs).await?);
        pairs.left_out.lines().for_each(|line| tracing::info!("{source}: {line}"));
        if !self.settings.allow_contaminated {
            training::refuse_contaminated(&source, &pairs).await?;
        }
        let held_out = match &self.settings.held_out {
            Some(choice) => Arc::new(source.read(choice).await?),
            None => Arc::default(),
        };
        let own = context.stage();
        let work = pairs.len() as u64 * u64::from(self.settings.training.epochs);
        context.meter().set_total(work * self.settings.seeds);
        for (number, seed) in self.seeds().enumerate() {
            let out = self.folder(own, &context.data_dir, seed);
            let known = context.store.training_of(context.id(), seed).await?;
            let job = Job {
                name: own.name.clone(),
                base: self.base_model(context, number, seed)?,
                out,
                settings: TrainSettings { seed, ..self.settings.training.clone() },
                source: source.to_string(),
                pairs: Arc::clone(&pairs),
                held_out: Arc::clone(&held_out),
                start: Start::ResumeIfPossible,
                library_dir: context.data_dir.clone(),
            };
            if known.is_some_and(|known| known.state == "done" && known.data_mark == job.mark())
                && job.out.join(training::FINISHED).exists()
            {
                tracing::info!("{} holds a model of these pairs and this start already", job.out.display());
                context.meter().set_total(work * (self.settings.seeds - number as u64 - 1));
                continue;
            }
            let recorder = Recorder::enter(&context.store, &job, Some((context.run, context.id()))).await?;
            let trained =
                training::run(job, recorder, Arc::clone(context.meter()), |_| {}, context.shutdown.clone()).await?;
            if !trained.finished {
                return Ok(());
            }
        }
        Ok(())
    }

    fn base_model(&self, context: &Context<AnyStage>, number: usize, seed: u64) -> anyhow::Result<Base> {
        let folder_of = |need: usize| {
            let planned = &context.plan.stages[context.stage().needs[need]];
            let AnyStage::Train(train) = &planned.stage else { anyhow::bail!("a bug: no train stage") };
            let seeds: Vec<u64> = train.seeds().collect();
            Ok(train.folder(planned, &context.data_dir, seeds[number % seeds.len()]))
        };
        let folder = |need: Option<usize>, path: &str| need.map_or_else(|| Ok(resolve(&self.base, path)), folder_of);
        Ok(match (&self.settings.model, &self.settings.init) {
            (Some(model), _) => Base::Folder(folder(self.model, model)?),
            (None, Some(init)) => Base::Fresh {
                preset: init.preset,
                vocab: init.vocab,
                tokenizer: match &init.tokenizer {
                    Some(tokenizer) => Some(folder(self.tokenizer, tokenizer)?),
                    None => None,
                },
                seed,
            },
            (None, None) => anyhow::bail!("a bug: a train stage without a model"),
        })
    }
}

impl Kind for Train {
    fn identity(&self) -> serde_json::Value {
        let mut identity = json!(self.settings);
        identity["training"] = json!(self.settings.training.curve());
        // Names of stages may change; their places among the needs are what counts.
        if let Some(place) = self.model {
            identity["model"] = json!(place);
        }
        if let Some(place) = self.tokenizer {
            identity["init"]["tokenizer"] = json!(place);
        }
        if let Some(identity) = identity.as_object_mut() {
            identity.remove("out");
            identity.remove("held_out");
        }
        identity
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        let named = [self.model, self.tokenizer];
        for (place, (name, stage)) in needs.iter().enumerate() {
            let as_model = named.contains(&Some(place));
            match stage.kind() {
                "pair" | "decontaminate" if !as_model => {}
                "train" if as_model => {}
                "train" => return Err(format!("neither `model` nor `init.tokenizer` names `{name}`")),
                kind if as_model => return Err(format!("`{name}` makes no model: it is a {kind} stage")),
                kind => {
                    return Err(format!(
                        "it cannot stand on `{name}`, a {kind} stage; allowed: pair, decontaminate, train"
                    ));
                }
            }
        }
        training::check_source(needs, self.settings.data.as_deref())
    }
}

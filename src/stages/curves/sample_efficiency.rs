//! `sample_efficiency`: reward models finetuned on growing shares of a set, from several starts, with several seeds.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Drawer, MODEL, estimates};
use crate::benchmark::Format;
use crate::engine::{Context, Stage as _};
use crate::stages::measuring::{Data, DataSettings, Metric};
use crate::stages::train::InitSettings;
use crate::stages::training::{self, Adapter, Base, Computing, Job, PairChoice, PairSource, Split};
use crate::stages::{AnyStage, Kind, resolve};
use crate::store::curves::{Place, PointKey};
use crate::train::{Start, TrainSettings};

/// What the trainings of one arm start from.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// A trained model: name of a train stage among `needs`, or a folder relative to the pipeline file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// A fresh model in place of `model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitSettings>,
}

/// Settings of a `sample_efficiency` stage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleEfficiencySettings {
    /// What trainings start from, by names that the rows carry.
    pub arms: BTreeMap<String, Arm>,
    /// The arm that the others are compared with, at each share; if left out, the one with a fresh model where there is just one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// Shares of the set, each above 0 and up to 1.
    pub shares: Vec<f64>,
    /// Trainings at each share: each draws its pairs anew, a larger share keeps those of a smaller one.
    #[serde(default = "one")]
    pub seeds: u64,
    /// A file or a folder with pairs, in place of a pair stage among `needs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Format of `data` where it is a benchmark's file as published, such as math-shepherd: its rows are turned into pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// With `format`: template of the prompt that pairs are trained on; the prompt as it is if left out. Variable: prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The whole set, of which shares are taken.
    #[serde(default)]
    pub pairs: PairChoice,
    /// Train also on pairs that a decontaminate stage has marked as overlapping with an evaluation set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_contaminated: bool,
    /// Held-out pairs that every point is measured on; the test split if left out.
    #[serde(default = "test_split")]
    pub test: PairChoice,
    /// A file of questions with samples, relative to the pipeline file's folder: points are measured by best-of-N too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_of_n: Option<String>,
    /// Whether the models of points are kept, below the data folder.
    #[serde(default)]
    pub keep_models: bool,
    /// How to train; `seed` is the first of the seeds.
    #[serde(default = "finetuning")]
    pub training: TrainSettings,
    /// What to measure on.
    #[serde(default)]
    pub computing: Computing,
}

fn one() -> u64 {
    1
}

fn test_split() -> PairChoice {
    PairChoice { split: Split::Test, ..PairChoice::default() }
}

fn finetuning() -> TrainSettings {
    TrainSettings::of(crate::train::Objective::Rm)
}

/// A `sample_efficiency` stage.
#[derive(Debug)]
pub struct SampleEfficiency {
    settings: SampleEfficiencySettings,
    base: PathBuf,
    /// How `data` is read, where it is a benchmark's.
    adapter: Option<Adapter>,
    /// The names in the file that it needs.
    needs: Vec<String>,
}

impl SampleEfficiency {
    /// Checks the settings; `needs` are the names in the file.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(
        settings: SampleEfficiencySettings,
        base: PathBuf,
        needs: &[&str],
    ) -> Result<Self, (&'static str, String)> {
        if settings.arms.is_empty() {
            return Err(("arms", "there is none: name what trainings start from".into()));
        }
        for (name, arm) in &settings.arms {
            if arm.model.is_some() == arm.init.is_some() {
                return Err(("arms", format!("`{name}` has to have one of `model` and `init`")));
            }
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
                return Err(("arms", format!("`{name}` is no name: letters, digits, dots, dashes and underscores")));
            }
        }
        if settings.baseline.as_ref().is_some_and(|name| !settings.arms.contains_key(name)) {
            let names: Vec<&str> = settings.arms.keys().map(String::as_str).collect();
            return Err(("baseline", format!("is no arm; there are {}", names.join(", "))));
        }
        if settings.shares.is_empty() || settings.shares.iter().any(|share| !(*share > 0.0 && *share <= 1.0)) {
            return Err(("shares", "name at least one, each above 0 and up to 1".into()));
        }
        if settings.seeds == 0 {
            return Err(("seeds", "is 0: train at least one model for each share".into()));
        }
        settings.training.check().map_err(|error| ("training", error.to_string()))?;
        settings.pairs.check().map_err(|message| ("pairs", message))?;
        settings.test.check().map_err(|message| ("test", message))?;
        settings.computing.check().map_err(|message| ("computing", message))?;
        let adapter = training::adapter_of(settings.data.as_deref(), settings.format, settings.template.as_deref())?;
        let needs = needs.iter().map(|need| (*need).to_owned()).collect();
        Ok(Self { settings, base, adapter, needs })
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
        let settings = &self.settings;
        let source = training::source_of(context, settings.data.as_deref(), self.adapter.as_ref(), &self.base)?;
        let test = source.read(&settings.test).await?;
        let (computing, keep_models) = (&settings.computing, settings.keep_models);
        let drawer = Drawer::new(context, &test, source.to_string(), computing, keep_models).await?;
        let drawer = match self.questions().await? {
            Some(questions) => drawer.with_questions(questions).await?,
            None => drawer,
        };
        let whole = source.read(&settings.pairs).await?;
        whole.left_out.lines().for_each(|line| tracing::info!("{source}: {line}"));
        if !settings.allow_contaminated {
            training::refuse_contaminated(&source, &whole).await?;
        }
        let whole = whole.len();
        if whole == 0 {
            return Err(training::WrongInput(format!("{source} has no pairs to train on: see `pairs`")).into());
        }
        context.meter().set_total(settings.arms.len() as u64 * settings.shares.len() as u64 * settings.seeds);
        // Seed by seed, so that a curve can be looked at before all seeds are done.
        for number in 0..settings.seeds {
            for &share in &settings.shares {
                let limit = ((share * whole as f64).round() as usize).max(1);
                let choice =
                    PairChoice { limit: Some(limit), seed: settings.pairs.seed + number, ..settings.pairs.clone() };
                let pairs = Arc::new(source.read(&choice).await?);
                for (name, arm) in &settings.arms {
                    let job = self.job(context, &source, (name, arm), (share, number))?;
                    let job = Job { pairs: Arc::clone(&pairs), ..job };
                    let key = PointKey {
                        arm: name.clone(),
                        place: Place::Share(share),
                        seed: job.settings.seed,
                        data_mark: job.mark(),
                        test_mark: drawer.test_mark(),
                    };
                    let folder = drawer.folder(&format!("{name}/share-{share}/seed-{}", key.seed));
                    if drawer.knows(&key, &folder).await {
                        continue;
                    }
                    let (began, seen) = (Instant::now(), pairs.len() as u64);
                    let job = Job { out: folder.join(MODEL), ..job };
                    let Some(trained) = drawer.train(&job).await? else { return Ok(()) };
                    if !drawer.finish(key, &job.out, (seen, Some(trained.tokens)), began).await? {
                        return Ok(());
                    }
                    drawer.clear(folder).await;
                }
            }
        }
        estimates::write(context, &self.compared()).await
    }

    /// Each arm with the baseline that it is compared with.
    fn compared(&self) -> Vec<(String, String)> {
        let mut fresh = self.settings.arms.iter().filter(|(_, arm)| arm.init.is_some()).map(|(name, _)| name);
        let only = fresh.next().filter(|_| fresh.next().is_none());
        let Some(baseline) = self.settings.baseline.as_ref().or(only) else { return Vec::new() };
        let others = self.settings.arms.keys().filter(|name| *name != baseline);
        others.map(|name| (name.clone(), baseline.clone())).collect()
    }

    async fn questions(&self) -> anyhow::Result<Option<Data>> {
        let Some(path) = self.settings.best_of_n.as_ref().map(|path| resolve(&self.base, path)) else {
            return Ok(None);
        };
        let read = move || Data::read(Metric::BestOfN, &path, None, &DataSettings::default());
        Ok(Some(tokio::task::spawn_blocking(read).await??))
    }

    /// The training of a point, but for its folder and pairs.
    fn job(
        &self,
        context: &Context<AnyStage>,
        source: &PairSource,
        (name, arm): (&str, &Arm),
        (share, number): (f64, u64),
    ) -> anyhow::Result<Job> {
        let settings = &self.settings;
        let seed = settings.training.seed + number;
        // A name that is no stage's is a folder.
        let folder = |name: &str| match self.needs.iter().position(|need| need == name) {
            Some(need) => {
                let planned = &context.plan.stages[context.stage().needs[need]];
                let AnyStage::Train(train) = &planned.stage else { anyhow::bail!("a bug: no train stage") };
                let seeds: Vec<u64> = train.seeds().collect();
                Ok(train.folder(planned, &context.data_dir, seeds[number as usize % seeds.len()]))
            }
            None => Ok(resolve(&self.base, name)),
        };
        let base = match (&arm.model, &arm.init) {
            (Some(model), _) => Base::Folder(folder(model)?),
            (None, Some(init)) => Base::Fresh {
                preset: init.preset,
                vocab: init.vocab,
                tokenizer: init.tokenizer.as_deref().map(folder).transpose()?,
                seed,
            },
            (None, None) => anyhow::bail!("a bug: an arm without a start"),
        };
        let export_onnx = settings.training.export_onnx && settings.keep_models;
        Ok(Job {
            name: format!("{}/{name}/{share}", context.stage().name),
            base,
            out: PathBuf::new(),
            settings: TrainSettings { seed, export_onnx, ..settings.training.clone() },
            source: source.to_string(),
            pairs: Arc::default(),
            held_out: Arc::default(),
            start: Start::ResumeIfPossible,
            library_dir: context.data_dir.clone(),
        })
    }
}

impl Kind for SampleEfficiency {
    fn identity(&self) -> serde_json::Value {
        let settings = &self.settings;
        // Names of stages may change; their places among the needs are what counts.
        let place = |name: &Option<String>| match self.needs.iter().position(|need| Some(need) == name.as_ref()) {
            Some(place) => json!(place),
            None => json!(name),
        };
        let arm = |arm: &Arm| {
            let mut init = json!(arm.init);
            if let Some(own) = &arm.init {
                init["tokenizer"] = place(&own.tokenizer);
            }
            json!({ "model": place(&arm.model), "init": init })
        };
        let arms: BTreeMap<_, _> = settings.arms.iter().map(|(name, start)| (name, arm(start))).collect();
        // More shares or seeds are more points of the same curve.
        let mut identity = json!({ "arms": arms, "data": settings.data, "pairs": settings.pairs, "test": settings.test,
                "best_of_n": settings.best_of_n, "training": settings.training.curve(),
                "max_length": settings.computing.max_length });
        // Only where they say something, so that stages of earlier versions stay what they were.
        if let Some(format) = settings.format {
            identity["format"] = json!(format);
        }
        if let Some(template) = &settings.template {
            identity["template"] = json!(template);
        }
        identity
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        let arms = self.settings.arms.values();
        let tokenizer = |arm: &Arm| arm.init.as_ref().and_then(|init| init.tokenizer.clone());
        let named: Vec<String> = arms.flat_map(|arm| [arm.model.clone(), tokenizer(arm)]).flatten().collect();
        for (name, stage) in needs {
            let as_model = named.iter().any(|model| model == name);
            match stage.kind() {
                "pair" | "decontaminate" if !as_model => {}
                "train" if as_model => {}
                "train" => return Err(format!("no arm names `{name}`")),
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

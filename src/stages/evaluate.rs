//! `evaluate`: measures the models of train stages, on held-out pairs, on a benchmark, or on the answers that a generate
//! stage has of a benchmark's questions.

mod sampled;
mod together;

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::measuring::{self, Asked, Data, DataSettings, Metric};
use super::training::{self, Computing, PairChoice, Split};
use super::{AnyStage, Kind, resolve};
use crate::benchmark::{self, Format};
use crate::engine::{Context, Stage as _};
use crate::store::training::TrainingRow;

/// Settings of an `evaluate` stage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateSettings {
    /// What to measure: accuracy, best_of_n, choice or reward_bench_2.
    #[serde(default)]
    pub metric: Metric,
    /// A file or a folder: pairs, or a benchmark as published; in place of a pair stage, or of a generate stage that answers
    /// questions, among `needs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Which pairs to measure on; those of the test split if left out. For pair stages and plain files of pairs.
    #[serde(default = "test_split")]
    pub pairs: PairChoice,
    /// A generator's samples in a file of their own: rows of id (or task_id) and samples, or one sample (or completion).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<String>,
    /// A train stage among `needs` that all others are compared with, item by item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// How the rows of a benchmark are chosen and put to a model.
    #[serde(default)]
    pub benchmark: DataSettings,
    /// What to compute on.
    #[serde(default)]
    pub computing: Computing,
}

fn test_split() -> PairChoice {
    PairChoice { split: Split::Test, ..PairChoice::default() }
}

/// An `evaluate` stage.
#[derive(Debug)]
pub struct Evaluate {
    settings: EvaluateSettings,
    base: PathBuf,
    /// Place of the baseline's stage among the needs.
    baseline: Option<usize>,
}

impl Evaluate {
    /// Checks the settings; `needs` are the names in the file.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(settings: EvaluateSettings, base: PathBuf, needs: &[&str]) -> Result<Self, (&'static str, String)> {
        let place = |name: &String| {
            let place = needs.iter().position(|need| need == name);
            place.ok_or_else(|| ("baseline", format!("`{name}` is not among the needs: {}", needs.join(", "))))
        };
        let baseline = settings.baseline.as_ref().map(place).transpose()?;
        settings.pairs.check().map_err(|message| ("pairs", message))?;
        settings.benchmark.check().map_err(|message| ("benchmark", message))?;
        settings.computing.check().map_err(|message| ("computing", message))?;
        let metric = settings.metric;
        if !matches!(metric, Metric::Accuracy | Metric::BestOfN) && settings.data.is_none() {
            return Err(("data", format!("{} is measured on a file: name one", metric.name())));
        }
        if settings.samples.is_some() && metric != Metric::BestOfN {
            return Err(("samples", format!("{} takes no samples: best_of_n does", metric.name())));
        }
        Ok(Self { settings, base, baseline })
    }

    /// Measures every model that is not measured yet on these items.
    pub async fn run(&self, mut context: Context<AnyStage>) -> anyhow::Result<()> {
        if !context.inputs_end().await {
            return Ok(());
        }
        let Some(lock) = super::pair::lock(&context).await? else { return Ok(()) };
        let measured = self.measure_all(&context).await;
        lock.release().await;
        measured
    }

    async fn measure_all(&self, context: &Context<AnyStage>) -> anyhow::Result<()> {
        let (data, failed_samples) = match sampled::stage_of(context) {
            Some(at) => sampled::read(context, at, &self.settings.benchmark).await?,
            None => (self.read(context).await?, None),
        };
        let data = Arc::new(data);
        let judge = measuring::judge_for(&data).await?;
        let known = context.store.evaluations_of(context.id()).await?;
        let mut open = self.models(context).await?;
        open.retain(|(training, _)| {
            !known.iter().any(|row| row.training_run_id == Some(training.id) && row.data_mark == data.mark)
        });
        context.meter().set_total(open.len() as u64);
        let told = known.iter().any(|row| row.training_run_id.is_none() && row.data_mark == data.mark);
        if open.is_empty() && told {
            return Ok(());
        }
        for (training, folder) in open {
            if context.shutdown.is_cancelled() {
                return Ok(());
            }
            let asked = Asked {
                model: folder,
                data: Arc::clone(&data),
                computing: self.settings.computing.clone(),
                seed: self.settings.benchmark.seed,
                library_dir: context.data_dir.clone(),
                judge: judge.clone(),
            };
            let found = measuring::measure(&asked, Some(&context.store), None, &context.shutdown).await?;
            let Some(mut found) = found else { return Ok(()) };
            if let Some(count) = failed_samples {
                found.figures.iter_mut().for_each(|figure| figure.details["failed_samples"] = json!(count));
            }
            let stage = Some((context.run, context.id()));
            measuring::keep(&context.store, &asked, &found, &found.figures, stage, Some(training.id)).await?;
            context.meter().add_done(1);
            let failed = failed_samples.filter(|count| *count > 0);
            let failed = failed.map(|count| format!("; {count} samples failed and count as wrong")).unwrap_or_default();
            context.meter().set_note(format!("{} {}{failed}", training.name, found.brief()));
        }
        together::summarise(context, &data, self.baseline, self.settings.benchmark.seed).await
    }

    /// The trainings and model folders of all train stages that it stands on.
    async fn models(&self, context: &Context<AnyStage>) -> anyhow::Result<Vec<(TrainingRow, PathBuf)>> {
        let mut found = Vec::new();
        for (&need, &stage) in context.stage().needs.iter().zip(&context.needs[0]) {
            let planned = &context.plan.stages[need];
            let AnyStage::Train(train) = &planned.stage else { continue };
            for seed in train.seeds() {
                let folder = train.folder(planned, &context.data_dir, seed);
                let training = context.store.training_of(stage, seed).await?.filter(|row| row.state == "done");
                let Some(training) = training else {
                    anyhow::bail!(
                        "stage `{}` has no model with seed {seed} yet: run it to its end first",
                        planned.name
                    );
                };
                found.push((training, folder));
            }
        }
        Ok(found)
    }

    async fn read(&self, context: &Context<AnyStage>) -> anyhow::Result<Data> {
        let settings = &self.settings;
        let path = settings.data.as_ref().map(|data| resolve(&self.base, data));
        if let Some(path) = path.filter(|path| self.is_benchmark(path)) {
            let (metric, own) = (settings.metric, settings.benchmark.clone());
            let samples = settings.samples.as_ref().map(|samples| resolve(&self.base, samples));
            return tokio::task::spawn_blocking(move || Data::read(metric, &path, samples.as_ref(), &own)).await?;
        }
        let source = training::source_of(context, settings.data.as_deref(), None, &self.base)?;
        let pairs = source.read(&settings.pairs).await?;
        Ok(Data::pairs(&pairs, source.to_string()))
    }

    /// Whether the data is a benchmark's file: of another format than the plain pairs that trainings read too.
    fn is_benchmark(&self, path: &std::path::Path) -> bool {
        let told = self.settings.benchmark.format;
        let format = told.or_else(|| path.is_file().then(|| benchmark::detect(path).ok().flatten()).flatten());
        self.settings.metric != Metric::Accuracy || format.is_some_and(|format| format != Format::Pairs)
    }
}

impl Kind for Evaluate {
    fn identity(&self) -> serde_json::Value {
        let settings = &self.settings;
        let mut identity = json!({ "metric": settings.metric, "data": settings.data, "pairs": settings.pairs,
                                   "max_length": settings.computing.max_length });
        // Only where they say something, so that stages of earlier versions stay what they were.
        if settings.benchmark != DataSettings::default() {
            identity["benchmark"] = json!(settings.benchmark);
        }
        if let Some(samples) = &settings.samples {
            identity["samples"] = json!(samples);
        }
        // The stage's name may change; its place among the needs is what counts.
        if let Some(place) = self.baseline {
            identity["baseline"] = json!(place);
        }
        identity
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        for (name, stage) in needs {
            if !["train", "pair", "generate"].contains(&stage.kind()) {
                let kind = stage.kind();
                return Err(format!("it cannot stand on `{name}`, a {kind} stage; allowed: train, pair, generate"));
            }
        }
        if !needs.iter().any(|(_, stage)| stage.kind() == "train") {
            return Err("it needs at least one train stage: its models are measured".into());
        }
        if let Some((name, stage)) =
            self.baseline.map(|place| needs[place]).filter(|(_, stage)| stage.kind() != "train")
        {
            return Err(format!("the baseline `{name}` makes no model: it is a {} stage", stage.kind()));
        }
        let (metric, data) = (self.settings.metric, self.settings.data.as_deref());
        if sampled::check(needs, metric, data, self.settings.samples.as_deref())? {
            return Ok(());
        }
        if metric == Metric::BestOfN && data.is_none() {
            return Err(
                "best_of_n is measured on a file (name it in `data`), or on the answers of a generate stage that \
                        stands on questions (add it to `needs`)"
                    .into(),
            );
        }
        training::check_source(needs, data)
    }
}

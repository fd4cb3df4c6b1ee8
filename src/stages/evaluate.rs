//! `evaluate`: measures the models of train stages on held-out pairs.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::training::{self, Computing, PairChoice, Split};
use super::{AnyStage, Kind};
use crate::engine::{Context, Stage as _};
use crate::store::training::NewEvaluation;

/// What may be measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of pairs whose chosen answer has the higher reward; a draw counts half.
    #[default]
    Accuracy,
}

/// Settings of an `evaluate` stage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateSettings {
    /// What to measure: accuracy.
    #[serde(default)]
    pub metric: Metric,
    /// A file or an export folder with pairs, in place of a pair stage among `needs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Which pairs to measure on; those of the test split if left out.
    #[serde(default = "test_split")]
    pub pairs: PairChoice,
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
}

impl Evaluate {
    /// Checks the settings.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(settings: EvaluateSettings, base: PathBuf) -> Result<Self, (&'static str, String)> {
        settings.pairs.check().map_err(|message| ("pairs", message))?;
        settings.computing.check().map_err(|message| ("computing", message))?;
        Ok(Self { settings, base })
    }

    /// Measures every model that is not measured yet on these pairs.
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
        let source = training::source_of(context, self.settings.data.as_deref(), &self.base)?;
        let pairs = Arc::new(source.read(&self.settings.pairs).await?);
        let known = context.store.evaluations_of(context.id()).await?;
        let own = context.stage();
        let mut open = Vec::new();
        for (&need, &stage) in own.needs.iter().zip(&context.needs[0]) {
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
                let done = |row: &crate::store::training::EvaluationRow| {
                    row.training_run_id == Some(training.id) && row.data_mark == pairs.mark
                };
                if !known.iter().any(done) {
                    open.push((training, folder));
                }
            }
        }
        context.meter().set_total(open.len() as u64);
        for (training, folder) in open {
            if context.shutdown.is_cancelled() {
                return Ok(());
            }
            let library = context.data_dir.clone();
            let Some(measured) =
                training::accuracy(&folder, &pairs, &self.settings.computing, library, &context.shutdown).await?
            else {
                return Ok(());
            };
            let evaluation = NewEvaluation {
                run: Some(context.run),
                stage: Some(context.id()),
                training: Some(training.id),
                model: folder.to_string_lossy().into_owned(),
                data: source.to_string(),
                data_mark: pairs.mark.clone(),
                ..measured.row()
            };
            context.store.write_evaluation(&evaluation).await?;
            context.meter().add_done(1);
            context.meter().set_note(format!("{} {}", training.name, measured.brief()));
        }
        Ok(())
    }
}

impl Kind for Evaluate {
    fn identity(&self) -> serde_json::Value {
        json!({ "metric": self.settings.metric, "data": self.settings.data, "pairs": self.settings.pairs,
                "max_length": self.settings.computing.max_length })
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        for (name, stage) in needs {
            if !["train", "pair"].contains(&stage.kind()) {
                return Err(format!("it cannot stand on `{name}`, a {} stage; allowed: train, pair", stage.kind()));
            }
        }
        if !needs.iter().any(|(_, stage)| stage.kind() == "train") {
            return Err("it needs at least one train stage: its models are measured".into());
        }
        training::check_source(needs, self.settings.data.as_deref())
    }
}

//! `plan`, `validate` and `schema`.

use super::output::{out, outln};
use std::path::Path;

use serde_json::json;

use super::args::{PlanArgs, PlanFormat};
use super::table::{number, table};
use super::{Exit, estimate};
use crate::engine::Stage as _;
use crate::stages::{Loaded, forecast, load, total};
use crate::store::Store;
use crate::store::progress::StageProgress;

/// A stage of the plan, and what the database has of it.
pub struct StageState {
    name: String,
    kind: &'static str,
    needs: Vec<String>,
    fingerprint: String,
    progress: Option<StageProgress>,
}

impl StageState {
    /// missing: never run; stale: this name has rows of other settings only; partial; fresh.
    fn word(&self) -> &'static str {
        match &self.progress {
            None => "unknown",
            Some(progress) => progress.word(),
        }
    }
}

/// `codepmp plan`
pub async fn plan(args: &PlanArgs, data_dir: &Path) -> anyhow::Result<Exit> {
    let loaded = load(&args.file)?;
    let store = if Store::exists(data_dir) { Some(Store::open(data_dir).await?) } else { None };
    let states = states(&loaded, store.as_ref()).await?;
    match args.format {
        PlanFormat::Text => {
            print_text(&states);
            let forecasts = forecast(&loaded, store.as_ref(), None).await?;
            estimate::print(&forecasts);
            let samples: Vec<_> = forecasts.into_iter().map(|forecast| forecast.sample).collect();
            for warning in estimate::warnings(&samples) {
                outln!("warning: {warning}");
            }
            loaded.uncovered().iter().for_each(|warning| outln!("warning: {warning}"));
        }
        PlanFormat::Json => {
            let forecasts = forecast(&loaded, store.as_ref(), None).await?;
            let stages: Vec<_> = (states.iter())
                .map(|stage| {
                    let estimate = forecasts.iter().find(|forecast| forecast.stage == stage.name);
                    json!({ "name": stage.name, "kind": stage.kind, "needs": stage.needs, "fingerprint": stage.fingerprint,
                            "state": stage.word(), "progress": stage.progress, "estimate": estimate })
                })
                .collect();
            let total = total(&forecasts);
            let warnings: Vec<_> = loaded.uncovered().iter().map(ToString::to_string).collect();
            outln!(
                "{}",
                json!({ "pipeline": loaded.pipeline.name, "stages": stages, "estimate": total, "warnings": warnings })
            );
        }
        PlanFormat::Dot => {
            outln!("digraph pipeline {{\n  rankdir=LR; node [shape=box];");
            for stage in &states {
                outln!("  \"{}\" [label=\"{}\\n{}, {}\"];", stage.name, stage.name, stage.kind, stage.word());
                stage.needs.iter().for_each(|need| outln!("  \"{need}\" -> \"{}\";", stage.name));
            }
            outln!("}}");
        }
        PlanFormat::Mermaid => {
            outln!("flowchart LR");
            let place = |name: &str| states.iter().position(|stage| stage.name == name).unwrap_or_default();
            for (at, stage) in states.iter().enumerate() {
                outln!("  s{at}[\"{}<br/>{}, {}\"]", stage.name, stage.kind, stage.word());
                stage.needs.iter().for_each(|need| outln!("  s{} --> s{at}", place(need)));
            }
        }
    }
    Ok(Exit::Done)
}

/// Stages in order, with what the database has of each; without a database that is unknown.
pub async fn states(loaded: &Loaded, store: Option<&Store>) -> anyhow::Result<Vec<StageState>> {
    let mut states = Vec::new();
    for planned in &loaded.plan.stages {
        let progress = match store {
            Some(store) => Some(store.stage_progress(&planned.fingerprint, &planned.name, planned.stage.kind()).await?),
            None => Some(StageProgress::default()),
        };
        states.push(StageState {
            name: planned.name.clone(),
            kind: planned.stage.kind(),
            needs: planned.needs.iter().map(|&need| loaded.plan.stages[need].name.clone()).collect(),
            fingerprint: planned.fingerprint.clone(),
            progress,
        });
    }
    Ok(states)
}

/// Prints the plan as a table.
pub fn print_text(states: &[StageState]) {
    let rows = states.iter().map(|stage| {
        let (rows, waiting, rejected) = stage.progress.as_ref().map_or((0, 0, 0), |p| (p.rows, p.waiting, p.rejected));
        vec![
            stage.name.clone(),
            stage.kind.to_owned(),
            stage.needs.join(", "),
            stage.word().to_owned(),
            number(rows),
            number(waiting),
            number(rejected),
            stage.fingerprint[..8].to_owned(),
        ]
    });
    out!("{}", table(&["stage", "kind", "needs", "state", "rows", "waiting", "rejected", "fingerprint"], rows));
}

/// `codepmp validate`
pub fn validate(file: &Path) -> anyhow::Result<Exit> {
    let loaded = load(file)?;
    loaded.uncovered().iter().for_each(|warning| outln!("warning: {warning}"));
    outln!("{}: {} stages, no problems", file.display(), loaded.plan.stages.len());
    Ok(Exit::Done)
}

/// `codepmp schema`
pub fn schema() -> anyhow::Result<Exit> {
    outln!("{}", serde_json::to_string_pretty(&crate::stages::schema())?);
    Ok(Exit::Done)
}

//! One model on one set of items: scored, or taken from what was kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::figures::{Figure, figures};
use super::judged::{Judged, judge};
use super::{Data, mark, score};
use crate::eval::code::Judge;
use crate::ids::{RunId, ScoringId, StageId, TrainingRunId};
use crate::progress::Meter;
use crate::stages::training::{Computing, WrongInput, refused};
use crate::store::Store;
use crate::store::evaluation::{ItemRow, NewScoring};
use crate::store::training::NewEvaluation;
use crate::train::Scorer;

/// What is to be measured.
#[derive(Clone)]
pub struct Asked {
    /// Folder of the model.
    pub model: PathBuf,
    /// What it is measured on.
    pub data: Arc<Data>,
    /// What to compute on.
    pub computing: Computing,
    /// Draws intervals.
    pub seed: u64,
    /// The data folder, where ONNX Runtime may lie.
    pub library_dir: PathBuf,
    /// Runs programs.
    pub judge: Option<Arc<dyn Judge>>,
}

impl Asked {
    /// What decides rewards, beside model and items.
    pub fn settings(&self) -> Value {
        json!({ "max_length": self.computing.max_length, "append_eos": self.computing.append_eos })
    }
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Found {
    /// Tells the model from others.
    pub model_mark: String,
    /// One for each item.
    pub rows: Vec<ItemRow>,
    /// All figures, the most telling first.
    pub figures: Vec<Figure>,
    /// Wall time of scoring.
    pub seconds: f64,
    /// Why programs could not be judged, if some could not.
    pub unjudged: Option<String>,
    /// The scoring that it was taken from, if it was not scored now.
    pub kept: Option<ScoringId>,
}

impl Found {
    /// Texts with and without a reward.
    pub fn texts(&self) -> (u64, u64) {
        let all = self.rows.iter().flat_map(|row| &row.rewards);
        let scored = all.clone().filter(|reward| reward.is_some()).count();
        (scored as u64, (all.count() - scored) as u64)
    }

    /// The first figure in a line, with what was left out of it.
    pub fn brief(&self) -> String {
        let Some(Figure { estimate, .. }) = self.figures.first() else { return "nothing".to_owned() };
        let unscored = match self.texts().1 {
            0 => String::new(),
            count => format!("; {count} texts too long or empty"),
        };
        let (metric, value) = (&estimate.metric, estimate.value);
        format!("{metric} {value:.4} ({:.4} to {:.4}, {} items){unscored}", estimate.low, estimate.high, estimate.n)
    }
}

/// Measures a model; what was kept of the same model, items and settings is not scored again. None after a shutdown.
///
/// # Errors
/// [`WrongInput`] for a model, device or data that cannot be used; when the device fails.
pub async fn measure(
    asked: &Asked,
    store: Option<&Store>,
    meter: Option<Arc<Meter>>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<Found>> {
    let folder = asked.model.clone();
    let model_mark =
        spawn_blocking(move || mark::model_mark(&folder)).await.context("a bug: reading ended early")??;
    if let Some(store) = store {
        let metric = asked.data.metric;
        let known = store.scoring_of(&model_mark, &asked.data.mark, metric.name(), &asked.settings()).await?;
        if let Some(known) = known {
            let rows = store.evaluation_items(known.id).await?;
            let figures = figures(metric, &rows, asked.seed).map_err(WrongInput)?;
            return Ok(Some(Found { model_mark, rows, figures, seconds: 0.0, unjudged: None, kept: Some(known.id) }));
        }
    }
    let (asked, shutdown) = (asked.clone(), shutdown.clone());
    spawn_blocking(move || score_all(&asked, model_mark, meter.as_deref(), &shutdown))
        .await
        .context("a bug: measuring ended early")?
}

fn score_all(
    asked: &Asked,
    model_mark: String,
    meter: Option<&Meter>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<Found>> {
    let started = Instant::now();
    // What cannot be judged is refused before anything is scored.
    let judged = judge(&asked.data.items, asked.judge.as_deref())?;
    let mut scorer = Scorer::open(&asked.model, &asked.library_dir, &asked.computing).map_err(refused)?;
    let Some(rewards) = score::score(&mut scorer, &asked.data.items, meter, shutdown)? else { return Ok(None) };
    let unjudged = judged.iter().find_map(|judged| judged.unjudged.clone());
    let items = asked.data.items.iter().zip(judged).zip(rewards);
    let rows: Vec<ItemRow> = items
        .map(|((item, Judged { correct, answers, gold, .. }), rewards)| ItemRow {
            key: item.key.clone(),
            subset: item.subset.clone(),
            rewards,
            correct,
            answers,
            gold,
        })
        .collect();
    let seconds = started.elapsed().as_secs_f64();
    let figures = figures(asked.data.metric, &rows, asked.seed).map_err(WrongInput)?;
    if figures.is_empty() {
        return Err(WrongInput("no item fits into max_length: nothing was measured".to_owned()).into());
    }
    Ok(Some(Found { model_mark, rows, figures, seconds, unjudged, kept: None }))
}

/// Keeps what was measured: the scoring, its items, and these figures of it. What was taken from the database is kept anew only
/// for a stage, whose own rows it becomes.
pub async fn keep(
    store: &Store,
    asked: &Asked,
    found: &Found,
    figures: &[Figure],
    stage: Option<(RunId, StageId)>,
    training: Option<TrainingRunId>,
) -> anyhow::Result<ScoringId> {
    let model = absolute(&asked.model);
    let (scored, unscored) = found.texts();
    let scoring = NewScoring {
        run: stage.map(|(run, _)| run),
        stage: stage.map(|(_, stage)| stage),
        training,
        model: model.clone(),
        model_mark: found.model_mark.clone(),
        data: asked.data.source.clone(),
        data_mark: asked.data.mark.clone(),
        format: asked.data.format.clone(),
        metric: asked.data.metric.name().to_owned(),
        settings: asked.settings(),
        left_out: asked.data.left_out.rows(),
        scored,
        unscored,
        seconds: found.seconds,
    };
    let row = |figure: &Figure| NewEvaluation {
        run: scoring.run,
        stage: scoring.stage,
        training,
        step: None,
        model: model.clone(),
        data: scoring.data.clone(),
        data_mark: scoring.data_mark.clone(),
        metric: figure.estimate.metric.clone(),
        value: figure.estimate.value,
        low: figure.estimate.low,
        high: figure.estimate.high,
        confidence: 0.95,
        n: figure.estimate.n,
        details: figure.details.clone(),
    };
    let figures: Vec<NewEvaluation> = figures.iter().map(row).collect();
    Ok(store.write_scoring(&scoring, &found.rows, &figures).await?)
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

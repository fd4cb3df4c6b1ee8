//! `eval`: measures models.

use super::output::{out, outln};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Exit;
use super::eval_args::{AccuracyArgs, BestOfNArgs, ChoiceArgs, CompareArgs, EvalCommand, FileArgs, HowArgs};
use super::progress::{Display, Output};
use super::table::table;
use super::train::choice;
use super::training_args::DeviceArgs;
use crate::benchmark::{self, Format};
use crate::progress::{Meter, State};
use crate::stages::WrongInput;
use crate::stages::measuring::{self, Asked, Data, Found, Metric};
use crate::stages::training::{self, Computing, PairSource};
use crate::store::Store;

/// `codepmp eval`
pub async fn eval(command: EvalCommand, data_dir: &Path) -> anyhow::Result<Exit> {
    match command {
        EvalCommand::Accuracy(args) => accuracy(args, data_dir).await,
        EvalCommand::BestOfN(BestOfNArgs { model, samples, file }) => {
            on_file(Metric::BestOfN, model, samples.as_ref(), &file, data_dir).await
        }
        EvalCommand::Choice(ChoiceArgs { model, file }) => on_file(Metric::Choice, model, None, &file, data_dir).await,
        EvalCommand::Compare(args) => compare(args, data_dir).await,
    }
}

async fn on_file(
    metric: Metric,
    model: PathBuf,
    samples: Option<&PathBuf>,
    file: &FileArgs,
    data_dir: &Path,
) -> anyhow::Result<Exit> {
    let data = read(metric, &file.data, samples, file.limit, &file.how)?;
    let asked = asked(model, data, &file.how, data_dir).await?;
    measure(&asked, open(&file.how, data_dir).await?.as_ref(), &file.how).await
}

async fn accuracy(args: AccuracyArgs, data_dir: &Path) -> anyhow::Result<Exit> {
    let how = &args.how;
    let store = open(how, data_dir).await?;
    let path = Path::new(&args.data.data);
    let data = if stands_for_pairs(path, how.benchmark.format)? {
        read(Metric::Accuracy, path, None, args.data.limit, how)?
    } else {
        let source = PairSource::find(&args.data.data, args.data.stage.as_deref(), store.as_ref()).await?;
        let mut choice = choice(&args.data, &args.split, how.benchmark.seed)?;
        let mut pairs = source.read(&choice).await?;
        // A file whose rows tell no split is a test set as it is.
        if pairs.is_empty() && matches!(&source, PairSource::Files(path) if path.is_file()) {
            choice.split = training::Split::All;
            pairs = source.read(&choice).await?;
        }
        if pairs.is_empty() {
            return Err(WrongInput(format!("{source} has no pairs in split {}", args.split)).into());
        }
        Data::pairs(&pairs, source.to_string())
    };
    let asked = asked(args.model.clone(), data, how, data_dir).await?;
    measure(&asked, store.as_ref(), how).await
}

/// Whether a path is a benchmark's file of another format than the plain pairs that trainings read too.
fn stands_for_pairs(path: &Path, format: Option<Format>) -> anyhow::Result<bool> {
    if format.is_some() {
        return Ok(format != Some(Format::Pairs));
    }
    if !path.is_file() || path.extension().is_some_and(|ending| ending == "toml") {
        return Ok(false);
    }
    let found = benchmark::detect(path).map_err(|error| WrongInput(error.to_string()))?;
    Ok(found.is_some_and(|format| format != Format::Pairs))
}

fn read(
    metric: Metric,
    path: &Path,
    samples: Option<&PathBuf>,
    limit: Option<usize>,
    how: &HowArgs,
) -> anyhow::Result<Data> {
    let settings = how.benchmark.settings(limit);
    settings.check().map_err(WrongInput)?;
    Data::read(metric, path, samples, &settings)
}

async fn open(how: &HowArgs, data_dir: &Path) -> anyhow::Result<Option<Store>> {
    Ok(if how.no_db { None } else { Some(Store::open(data_dir).await?) })
}

async fn asked(model: PathBuf, data: Data, how: &HowArgs, data_dir: &Path) -> anyhow::Result<Asked> {
    let (computing, seed) = (computing(&how.device), how.benchmark.seed);
    let (library_dir, judge) = (data_dir.to_owned(), measuring::judge_for(&data).await?);
    Ok(Asked { model, data: Arc::new(data), computing, seed, library_dir, judge })
}

/// Measures, keeps and prints.
async fn measure(asked: &Asked, store: Option<&Store>, how: &HowArgs) -> anyhow::Result<Exit> {
    let shutdown = crate::shutdown::on_signals().context("setting up Ctrl-C")?;
    let Some(found) = obtain(asked, store, how, &shutdown).await? else { return Ok(Exit::Interrupted) };
    print(asked, &found, how.json);
    Ok(Exit::Done)
}

/// What was kept of the model on these items, or what is measured and kept now.
async fn obtain(
    asked: &Asked,
    store: Option<&Store>,
    how: &HowArgs,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<Found>> {
    let meter = Meter::new(asked.data.metric.name().to_owned(), "evaluate");
    meter.set_total(asked.data.items.len() as u64);
    meter.set_state(State::Running);
    let display = (!how.json).then(|| Display::start(vec![Arc::clone(&meter)], Output::Text));
    let found = measuring::measure(asked, store, Some(Arc::clone(&meter)), shutdown).await;
    meter.set_state(if found.is_ok() { State::Done } else { State::Failed });
    if let Some(display) = display {
        display.end().await;
    }
    let found = found?;
    if let (Some(store), Some(found)) = (store, found.as_ref().filter(|found| found.kept.is_none())) {
        let model = std::path::absolute(&asked.model)?.to_string_lossy().into_owned();
        let training = store.training_that_made(&model).await?.map(|row| row.id);
        measuring::keep(store, asked, found, &found.figures, None, training).await?;
    }
    Ok(found)
}

async fn compare(args: CompareArgs, data_dir: &Path) -> anyhow::Result<Exit> {
    let [first, second] = &args.model[..] else {
        let count = args.model.len();
        return Err(
            WrongInput(format!("--model is given {count} times: compare takes two, --model A --model B")).into()
        );
    };
    let how = &args.file.how;
    let data = read(args.metric, &args.file.data, args.samples.as_ref(), args.file.limit, how)?;
    let asked = asked(first.clone(), data, how, data_dir).await?;
    let store = open(how, data_dir).await?;
    let shutdown = crate::shutdown::on_signals().context("setting up Ctrl-C")?;
    let of = |model: &PathBuf| Asked { model: model.clone(), ..asked.clone() };
    let mut rows = Vec::new();
    for model in [first, second] {
        let found = obtain(&of(model), store.as_ref(), how, &shutdown).await?;
        let Some(found) = found else { return Ok(Exit::Interrupted) };
        rows.push(vec![found.rows]);
    }
    let found = measuring::compared(asked.data.metric, &rows[0], &rows[1], asked.seed).map_err(WrongInput)?;
    if how.json {
        outln!(
            "{}",
            json!({ "event": "comparison", "models": args.model, "data": asked.data.source, "compared": found })
        );
        return Ok(Exit::Done);
    }
    let rows = found.iter().map(|paired| {
        let of = &paired.difference;
        vec![
            of.metric.clone(),
            format!("{:.4}", paired.first),
            format!("{:.4}", paired.second),
            format!("{:+.4}", of.value),
            format!("{:+.4} to {:+.4}", of.low, of.high),
            paired.better.to_string(),
            paired.worse.to_string(),
            of.n.to_string(),
        ]
    });
    let head = ["metric", "first", "second", "difference", "interval of 95 %", "better", "worse", "items"];
    out!("{}", table(&head, rows));
    Ok(Exit::Done)
}

fn print(asked: &Asked, found: &Found, as_json: bool) {
    let (scored, unscored) = found.texts();
    if as_json {
        let first = found.figures.first();
        let mut event = json!({ "event": "evaluation", "model": asked.model, "data": asked.data.source,
                                "format": asked.data.format, "metric": asked.data.metric, "figures": found.figures,
                                "items": found.rows.len(), "left_out": asked.data.left_out, "scored": scored,
                                "unscored": unscored, "seconds": found.seconds, "unjudged": found.unjudged });
        // The accuracy's fields as they were before there were other metrics.
        if let Some(figure) = first.filter(|_| asked.data.metric == Metric::Accuracy) {
            event["evaluation"] = figure.details.clone();
            event["evaluation"]["accuracy"] = json!(figure.estimate);
        }
        outln!("{event}");
        return;
    }
    outln!("{}", found.brief());
    asked.data.left_out.lines().for_each(|line| outln!("{line}"));
    if let Some(reason) = &found.unjudged {
        outln!("some programs could not be judged and count as wrong: {reason}");
    }
    if found.figures.len() > 1 {
        let rows = found.figures.iter().map(|figure| {
            let of = &figure.estimate;
            vec![of.metric.clone(), format!("{:.4}", of.value), format!("{:.4} to {:.4}", of.low, of.high)]
        });
        out!("\n{}", table(&["metric", "value", "interval of 95 %"], rows));
    }
}

/// What to compute on, as the arguments say.
pub fn computing(args: &DeviceArgs) -> Computing {
    Computing {
        device: args.device.clone(),
        threads: args.threads,
        max_length: args.max_length,
        micro_tokens: args.micro_tokens,
        ..Computing::default()
    }
}

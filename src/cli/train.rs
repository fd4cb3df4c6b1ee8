//! `train`: one model from the command line.

use super::output::outln;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;

use super::Exit;
use super::progress::{Display, Output};
use super::table::number;
use super::training_args::{DataArgs, TrainArgs};
use crate::progress::{Meter, State};
use crate::stages::WrongInput;
use crate::stages::training::{self, Adapter, Base, Job, PairChoice, PairSource, Recorder, Split};
use crate::store::Store;
use crate::train::Start;

/// `codepmp train`
pub async fn train(args: TrainArgs, data_dir: &Path) -> anyhow::Result<Exit> {
    let settings = args.settings()?;
    let adapter = Adapter::new(args.format, args.template.as_deref())
        .map_err(|(setting, message)| WrongInput(format!("--{setting}: {message}")))?;
    let store = if args.no_db { None } else { Some(Store::open(data_dir).await?) };
    let source = PairSource::find(&args.data.data, args.data.stage.as_deref(), store.as_ref()).await?;
    let source = source.adapted(adapter)?;
    let choice = choice(&args.data, &args.split, settings.seed)?;
    let pairs = source.read(&choice).await?;
    // With --json, standard output is for events.
    let tell = |line: String| if args.json { eprintln!("{line}") } else { outln!("{line}") };
    pairs.left_out.lines().for_each(tell);
    if pairs.is_empty() {
        return Err(WrongInput(format!("{source} has no pairs to train on in split {}", args.split)).into());
    }
    if !args.allow_contaminated {
        training::refuse_contaminated(&source, &pairs).await?;
    }
    let held_out = if choice.split == Split::Train && args.held_out > 0 {
        let test = PairChoice { split: Split::Test, limit: Some(args.held_out), ..choice.clone() };
        source.read(&test).await?
    } else {
        training::Pairs::default()
    };
    let job = Job {
        name: args.out.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned()),
        base: Base::Folder(args.model.clone()),
        out: args.out.clone(),
        settings,
        source: source.to_string(),
        pairs: Arc::new(pairs),
        held_out: Arc::new(held_out),
        start: match (&args.decay_from, args.resume) {
            (Some(checkpoint), _) => Start::DecayFrom(checkpoint.clone()),
            (None, true) => Start::Resume,
            (None, false) => Start::Fresh,
        },
        library_dir: data_dir.to_owned(),
    };
    if args.dry_run {
        let plan = training::plan(&job).await?;
        if args.json {
            outln!("{}", json!({ "event": "plan", "plan": plan, "settings": job.settings }));
        } else {
            outln!(
                "dry run: {} parameters, {} pairs ({} tokens, {} left out), {} steps of {} pairs on {}; nothing was done",
                number(plan.parameters as i64),
                number(plan.pairs as i64),
                number(plan.counts.tokens as i64),
                number((plan.counts.read - plan.counts.kept) as i64),
                number(plan.total_steps as i64),
                job.settings.batch_pairs,
                job.settings.device
            );
        }
        return Ok(Exit::Done);
    }
    let recorder = match &store {
        Some(store) => Recorder::enter(store, &job, None).await?,
        None => Recorder::none(),
    };
    let shutdown = crate::shutdown::on_signals().context("setting up Ctrl-C")?;
    let meter = Meter::new(job.settings.objective.as_str().to_owned(), "train");
    meter.set_total(job.pairs.len() as u64 * u64::from(job.settings.epochs));
    meter.set_state(State::Running);
    let as_json = args.json;
    // With --json the steps themselves are the progress.
    let display = (!as_json).then(|| Display::start(vec![Arc::clone(&meter)], Output::Text));
    let each = move |told: training::Told<'_>| {
        if as_json {
            outln!("{}", training::line(told));
        }
    };
    let out = job.out.clone();
    let trained = training::run(job, recorder, Arc::clone(&meter), each, shutdown).await;
    meter.set_state(match &trained {
        Ok(trained) if trained.finished => State::Done,
        Ok(_) => State::Interrupted,
        Err(_) => State::Failed,
    });
    if let Some(display) = display {
        display.end().await;
    }
    let trained = trained?;
    if as_json {
        outln!("{}", json!({ "event": "trained", "out": out, "trained": trained }));
    } else {
        outln!("{}: {}", out.display(), training::brief(&trained));
    }
    Ok(if trained.finished { Exit::Done } else { Exit::Interrupted })
}

/// What the arguments choose of a source.
pub fn choice(data: &DataArgs, split: &str, seed: u64) -> anyhow::Result<PairChoice> {
    let choice = PairChoice {
        split: split.parse().map_err(WrongInput)?,
        limit: data.limit,
        seed,
        repositories: data.repository.clone(),
        except: data.except_repository.clone(),
        clean: data.clean,
    };
    choice.check().map_err(|message| WrongInput(format!("--data: {message}")))?;
    Ok(choice)
}

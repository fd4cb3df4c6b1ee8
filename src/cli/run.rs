//! `run` and `retry`.

use super::output::outln;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use super::args::{RetryArgs, RunArgs};
use super::progress::{Display, Output};
use super::{Exit, plan, summary};
use crate::config::Pipeline;
use crate::engine::runner::{Options, Runner};
use crate::stages::{Loaded, Services, check, load};
use crate::store::Store;
use crate::store::runs::NewRun;

/// `codepmp run`
pub async fn run(args: RunArgs, data_dir: &Path) -> anyhow::Result<Exit> {
    let loaded = load(&args.file)?;
    for name in &args.select {
        if loaded.plan.find(name).is_none() {
            let names: Vec<_> = loaded.plan.stages.iter().map(|stage| stage.name.as_str()).collect();
            eprintln!("error: --select: there is no stage `{name}`; stages are: {}", names.join(", "));
            return Ok(Exit::Wrong);
        }
    }
    let store = Store::open(data_dir).await?;
    if args.dry_run {
        let used = loaded.endpoints_of(&args.select);
        let services = Services::start(&used, &loaded.simulators, &loaded.pipeline.base()).await?;
        drop(services);
        plan::print_text(&plan::states(&loaded, Some(&store)).await?);
        outln!("dry run: the file is right and {} endpoints answer; nothing was done", used.len());
        return Ok(Exit::Done);
    }
    let options = Options { select: args.select, limit: args.limit, data_dir: data_dir.to_owned() };
    execute(loaded, &store, options, args.json).await
}

/// `codepmp retry`
pub async fn retry(args: RetryArgs, data_dir: &Path) -> anyhow::Result<Exit> {
    let store = Store::open(data_dir).await?;
    let run = store.run(Some(args.run)).await?;
    let loaded = check(Pipeline::parse(Path::new(&run.file), run.definition)?)?;
    let rows = store.retry(args.run, args.class.as_deref()).await?;
    let class = args.class.as_deref().unwrap_or("any class");
    if !args.json {
        outln!("{rows} rows that were rejected ({class}) are asked again");
    }
    let options = Options { data_dir: data_dir.to_owned(), ..Options::default() };
    execute(loaded, &store, options, args.json).await
}

async fn execute(loaded: Loaded, store: &Store, options: Options, as_json: bool) -> anyhow::Result<Exit> {
    let used = loaded.endpoints_of(&options.select);
    let services = Services::start(&used, &loaded.simulators, &loaded.pipeline.base()).await?;
    let shutdown = crate::shutdown::on_signals().context("setting up Ctrl-C")?;
    let Loaded { pipeline, plan, .. } = loaded;
    let file: PathBuf = std::path::absolute(&pipeline.file)?;
    let new = NewRun {
        pipeline: pipeline.name.clone(),
        file: file.to_string_lossy().into_owned(),
        definition: pipeline.text.clone(),
        options: json!({ "select": options.select, "limit": options.limit }),
    };
    let runner = Runner::new(plan, store.clone(), pipeline.seed, options);
    let output = if as_json { Output::Json } else { Output::Text };
    let display = Display::start(runner.meters.clone(), output);
    let outcome = runner.run(&new, &shutdown).await;
    display.end().await;
    let outcome = outcome?;
    drop(services);
    let failed_rows = summary::print(store, &outcome, output).await?;
    Ok(match (outcome.interrupted, outcome.failures.is_empty() && !failed_rows) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::Done,
        (false, false) => Exit::Failed,
    })
}

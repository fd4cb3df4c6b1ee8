//! `run` and `retry`.

use super::output::outln;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;

use super::args::{RetryArgs, RunArgs};
use super::progress::{Display, Output};
use super::table::number;
use super::{Exit, estimate, plan, summary};
use crate::config::Pipeline;
use crate::engine::runner::{Options, Runner};
use crate::stages::{Endpoint, Found, Loaded, Services, WrongInput, check, check_endpoints, forecast, load, total};
use crate::store::Store;
use crate::store::budget::Caps;
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
    let caps: Caps = args.caps.into();
    if args.dry_run {
        return dry_run(&args, &loaded, &store, caps).await;
    }
    let options = Options { select: args.select, limit: args.limit, data_dir: data_dir.to_owned(), caps };
    execute(loaded, &store, options, args.json).await
}

/// Everything that a run checks before its first call.
async fn dry_run(args: &RunArgs, loaded: &Loaded, store: &Store, caps: Caps) -> anyhow::Result<Exit> {
    let used = loaded.endpoints_of(&args.select);
    check_prices(&used, caps)?;
    let services = Services::start(&used, &loaded.simulators, &loaded.pipeline.base()).await?;
    let checked = check_endpoints(loaded, &args.select, store, caps).await?;
    drop(services);
    let mut forecasts = forecast(loaded, Some(store), args.limit).await?;
    forecasts.retain(|stage| args.select.is_empty() || args.select.contains(&stage.stage));
    if args.json {
        outln!(
            "{}",
            json!({ "event": "checked", "checked": checked, "stages": forecasts, "estimate": total(&forecasts) })
        );
        return Ok(Exit::Done);
    }
    plan::print_text(&plan::states(loaded, Some(store)).await?);
    print_endpoints(&checked.endpoints);
    estimate::print(&forecasts);
    for warning in estimate::warnings(&checked.prompts) {
        outln!("warning: {warning}");
    }
    loaded.uncovered().iter().for_each(|warning| outln!("warning: {warning}"));
    outln!("dry run: the file is right and {} endpoints answer; nothing was done", used.len());
    Ok(Exit::Done)
}

fn print_endpoints(endpoints: &[Found]) {
    for found in endpoints {
        let context = match found.context_tokens {
            Some(tokens) => format!("a context of {} tokens", number(i64::from(tokens))),
            None => "a context of unknown length: set context_tokens".to_owned(),
        };
        let usage = match found.usage_reported {
            Some(true) => "tells the tokens used",
            Some(false) => "does NOT tell the tokens used, so its cost stays unknown",
            None => "was not asked for an answer",
        };
        outln!("endpoint {}: {} answers, has {context}, {usage}", found.endpoint, found.model);
    }
}

/// `codepmp retry`
pub async fn retry(args: RetryArgs, data_dir: &Path) -> anyhow::Result<Exit> {
    let store = Store::open(data_dir).await?;
    let run = store.run(Some(args.run)).await?;
    let loaded = check(Pipeline::parse(Path::new(&run.file), run.definition)?)?;
    let rows = store.retry(args.run, args.class.as_deref(), &args.rejection).await?;
    let class = args.class.as_deref().unwrap_or("any class");
    if !args.json {
        outln!("{rows} rows that were rejected ({class}) are asked again");
    }
    let options = Options { data_dir: data_dir.to_owned(), caps: args.caps.into(), ..Options::default() };
    execute(loaded, &store, options, args.json).await
}

async fn execute(loaded: Loaded, store: &Store, options: Options, as_json: bool) -> anyhow::Result<Exit> {
    let used = loaded.endpoints_of(&options.select);
    check_prices(&used, options.caps)?;
    let services = Services::start(&used, &loaded.simulators, &loaded.pipeline.base()).await?;
    let checked = check_endpoints(&loaded, &options.select, store, options.caps).await?;
    for found in checked.endpoints.iter().filter(|found| found.usage_reported == Some(false)) {
        tracing::warn!("endpoint `{}` does not tell the tokens that it uses: its cost stays unknown", found.endpoint);
    }
    for warning in estimate::warnings(&checked.prompts) {
        tracing::warn!("{warning}");
    }
    for warning in loaded.uncovered() {
        tracing::warn!("{warning}");
    }
    let shutdown = crate::shutdown::on_signals().context("setting up Ctrl-C")?;
    let Loaded { pipeline, plan, .. } = loaded;
    let file: PathBuf = std::path::absolute(&pipeline.file)?;
    let new = NewRun {
        pipeline: pipeline.name.clone(),
        file: file.to_string_lossy().into_owned(),
        definition: pipeline.text.clone(),
        options: json!({ "select": options.select, "limit": options.limit, "max_tokens": options.caps.tokens,
                         "max_cost": options.caps.microdollars.map(|cap| cap as f64 / 1e6) }),
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

/// A cap on money says nothing about an endpoint without prices.
pub fn check_prices(endpoints: &[Arc<Endpoint>], caps: Caps) -> Result<(), WrongInput> {
    let free = |endpoint: &&Arc<Endpoint>| endpoint.settings.prices().is_none();
    match endpoints.iter().find(free).filter(|_| caps.microdollars.is_some()) {
        None => Ok(()),
        Some(endpoint) => Err(WrongInput(format!(
            "--max-cost: endpoint `{}` has no prices: set price_input_per_million and price_output_per_million, to 0 if it \
             costs nothing",
            endpoint.name
        ))),
    }
}

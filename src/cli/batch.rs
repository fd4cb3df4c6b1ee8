//! `batch`: requests of a model stage as files.

use serde_json::json;

use super::Exit;
use super::args::{BatchArgs, BatchCommand, BatchExportArgs};
use super::output::{out, outln};
use super::run::check_prices;
use super::table::{brief, number, table};
use crate::engine::runner::Options;
use crate::ids::BatchId;
use crate::stages::batches::{Open, Tally, collect, export, import_files, release, status, submit, work_of};
use crate::stages::load;
use crate::store::batch::BatchRow;
use crate::store::{Store, StoreError};
use crate::telemetry::one_line;

/// `codepmp batch`
pub async fn batch(command: BatchCommand, store: &Store) -> anyhow::Result<Exit> {
    match command {
        BatchCommand::Export(args) => write(args, store).await,
        BatchCommand::Submit(args) => send(args, store).await,
        BatchCommand::Status(args) => show(args, store).await,
        BatchCommand::Import { batches, results, complete } if results.is_empty() => {
            debug_assert!(!complete);
            fetch(batches, store).await
        }
        BatchCommand::Import { batches, results, complete } => {
            let mut open = Vec::new();
            // A file of a batch that was imported or given up is no error: its lines are told to be repeated, or taken late.
            for row in
                if batches.batches.is_empty() { store.every_batch().await? } else { named(store, &batches).await? }
            {
                open.push(Open::new(store, row).await?);
            }
            let tally = import_files(store, open, &results, complete).await?;
            tell(tally, batches.json);
            Ok(exit_of(tally))
        }
        BatchCommand::Release { batches } => {
            for row in named(store, &BatchArgs { batches, json: false }).await? {
                let open = Open::new(store, row).await?;
                let rows = release(store, &open).await?;
                outln!("batch {}: {} rows are to be done again", open.row.id, number(rows as i64));
            }
            Ok(Exit::Done)
        }
    }
}

async fn named(store: &Store, args: &BatchArgs) -> anyhow::Result<Vec<BatchRow>> {
    let rows = store.batches(&args.batches).await?;
    let missing = |id: &&BatchId| rows.iter().all(|row| row.id != **id);
    match args.batches.iter().find(missing) {
        Some(id) => Err(StoreError::Missing { what: "batch", id: id.to_string() }.into()),
        None => Ok(rows),
    }
}

async fn write(args: BatchExportArgs, store: &Store) -> anyhow::Result<Exit> {
    let loaded = load(&args.file)?;
    let stage = loaded.plan.find(&args.stage).map(|at| &loaded.plan.stages[at].stage);
    let Some(work) = stage.and_then(work_of) else {
        let names: Vec<_> = (loaded.plan.stages.iter())
            .filter(|planned| work_of(&planned.stage).is_some())
            .map(|planned| planned.name.as_str())
            .collect();
        eprintln!("error: --stage: there is no model stage `{}`; model stages are: {}", args.stage, names.join(", "));
        return Ok(Exit::Wrong);
    };
    let caps = args.caps.into();
    check_prices(std::slice::from_ref(&work.endpoint), caps)?;
    let options = Options { limit: args.limit, caps, ..Options::default() };
    let stop = crate::shutdown::on_signals()?;
    let exported = export(&loaded, &args.stage, &args.out, store, &options, &stop).await?;
    if args.json {
        outln!("{}", json!(exported));
    } else {
        for (batch, path, requests) in &exported.files {
            outln!("batch {batch}: {} requests in {}", number(*requests as i64), path.display());
        }
        let left = number(exported.left as i64);
        let (ledger, rejected) = (number(exported.from_ledger as i64), number(exported.rejected as i64));
        outln!("{ledger} rows answered from the ledger, {rejected} rejected, {left} left to be done");
        if exported.capped {
            eprintln!("stopped: the cap leaves no room for more requests");
        }
    }
    Ok(match (stop.is_cancelled(), exported.capped || exported.rejected > 0) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Done,
    })
}

async fn send(args: BatchArgs, store: &Store) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    let waits = |row: &BatchRow| matches!(row.state.as_str(), "exported" | "uploaded" | "submitting");
    let rows = named(store, &args).await?;
    for row in rows.into_iter().filter(|row| !args.batches.is_empty() || waits(row)) {
        let id = row.id;
        let submitted = async { submit(store, &Open::new(store, row).await?).await }.await;
        match submitted {
            Ok(remote) if args.json => {
                outln!("{}", json!({ "batch": id, "remote_id": remote.id, "state": remote.status }));
            }
            Ok(remote) => outln!("batch {id}: {} is {}", remote.id, remote.status),
            Err(error) => {
                eprintln!("error: {}", one_line(&error));
                exit = Exit::Failed;
            }
        }
    }
    Ok(exit)
}

async fn show(args: BatchArgs, store: &Store) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    for row in named(store, &args).await? {
        let known = async { status(store, &Open::new(store, row).await?).await }.await;
        if let Err(error) = known {
            eprintln!("error: {}", one_line(&error));
            exit = Exit::Failed;
        }
    }
    let rows = named(store, &args).await?;
    if args.json {
        outln!("{}", json!({ "batches": rows }));
        return Ok(exit);
    }
    let rows = rows.iter().map(|row| {
        vec![
            row.id.to_string(),
            row.stage.clone(),
            row.model.clone().unwrap_or_default(),
            row.state.clone(),
            row.remote_state.clone().unwrap_or_default(),
            number(i64::from(row.requests)),
            number(row.out),
            number(row.answered),
            number(row.rejected),
            number(row.returned),
            row.file.clone(),
            brief(row.message.as_deref().unwrap_or_default(), 60),
        ]
    });
    let head = [
        "batch",
        "stage",
        "model",
        "state",
        "at the server",
        "requests",
        "out",
        "answered",
        "rejected",
        "again",
        "file",
        "",
    ];
    out!("{}", table(&head, rows));
    Ok(exit)
}

async fn fetch(args: BatchArgs, store: &Store) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    let rows = named(store, &args).await?;
    let theirs = |row: &BatchRow| matches!(row.state.as_str(), "submitted" | "ended");
    for row in rows.into_iter().filter(|row| !args.batches.is_empty() || theirs(row)) {
        let id = row.id;
        let collected = async { collect(store, Open::new(store, row).await?).await }.await;
        match collected {
            Ok(Some(tally)) => {
                if !args.json {
                    out!("batch {id}: ");
                }
                tell(tally, args.json);
                exit = if exit_of(tally) == Exit::Failed { Exit::Failed } else { exit };
            }
            Ok(None) => eprintln!("batch {id}: nothing to import yet; with --results, from files"),
            Err(error) => {
                eprintln!("error: {}", one_line(&error));
                exit = Exit::Failed;
            }
        }
    }
    Ok(exit)
}

fn tell(tally: Tally, as_json: bool) {
    if as_json {
        outln!("{}", json!(tally));
        return;
    }
    let parts = [
        ("answered", tally.answered),
        ("rejected", tally.rejected),
        ("failed, to be done again", tally.returned),
        ("missing, to be done again", tally.missing),
        ("repeated", tally.repeated),
        ("of no batch", tally.foreign),
        ("unreadable", tally.malformed),
    ];
    let parts: Vec<_> = (parts.into_iter())
        .filter(|(word, count)| *count > 0 || *word == "answered")
        .map(|(word, count)| format!("{} {word}", number(count as i64)))
        .collect();
    outln!("{}", parts.join(", "));
}

fn exit_of(tally: Tally) -> Exit {
    let failed = tally.rejected + tally.returned + tally.missing + tally.malformed;
    if failed > 0 { Exit::Failed } else { Exit::Done }
}

//! `export`: pairs of a pipeline or run.

use super::output::outln;
use std::path::Path;

use super::Exit;
use super::args::ExportArgs;
use crate::ids::{RunId, StageId};
use crate::stages::export_pairs;
use crate::store::Store;
use crate::store::runs::RunRow;

/// `codepmp export`
pub async fn export(store: &Store, args: &ExportArgs) -> anyhow::Result<Exit> {
    let run = run_of(store, &args.source).await?;
    let stages = store.run_stages(run.id).await?;
    let pairs: Vec<(StageId, &str)> = (stages.iter())
        .filter(|stage| stage.kind == "pair" && args.stage.as_ref().is_none_or(|name| *name == stage.name))
        .map(|stage| (stage.stage_id, stage.name.as_str()))
        .collect();
    let [(stage, _)] = pairs[..] else {
        let names: Vec<_> =
            stages.iter().filter(|stage| stage.kind == "pair").map(|stage| stage.name.as_str()).collect();
        eprintln!("error: name one pair stage with --stage; run {} has: {}", run.id, names.join(", "));
        return Ok(Exit::Wrong);
    };
    let (train, test) = export_pairs(store, stage, args.format, &args.out).await?;
    outln!("{train} pairs for training, {test} held out, in {}", args.out.display());
    Ok(Exit::Done)
}

/// The run that a command names: by its number, or as the latest of a pipeline file.
pub async fn run_of(store: &Store, source: &str) -> anyhow::Result<RunRow> {
    Ok(match source.parse::<RunId>() {
        Ok(run) => store.run(Some(run)).await?,
        Err(_) => store.latest_run_of(&std::path::absolute(Path::new(source))?.to_string_lossy()).await?,
    })
}

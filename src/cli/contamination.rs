//! `contamination`: pairs that overlap with evaluation sets.

use super::output::{out, outln};
use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use tokio::task::spawn_blocking;

use super::Exit;
use super::args::ContaminationArgs;
use super::pipeline::run_of;
use super::table::{brief, number, table};
use crate::ids::StageId;
use crate::stages::WrongInput;
use crate::stages::decontaminate::overlaps;
use crate::stages::training::{Adapter, PairChoice, PairSource, Split};
use crate::store::Store;
use crate::store::contamination::{Contamination, ReferenceSet};

/// `codepmp contamination`
pub async fn contamination(store: &Store, args: &ContaminationArgs) -> anyhow::Result<Exit> {
    let run = match &args.source {
        Some(source) => run_of(store, source).await?,
        None => store.run(None).await?,
    };
    let stages = store.run_stages(run.id).await?;
    let stages: Vec<StageId> =
        stages.iter().filter(|stage| stage.kind == "decontaminate").map(|stage| stage.stage_id).collect();
    if stages.is_empty() {
        eprintln!("error: run {} has no decontaminate stage: nothing was compared with evaluation sets", run.id);
        return Ok(Exit::Wrong);
    }
    if args.json {
        for row in store.contamination(&stages, None).await? {
            outln!("{}", serde_json::to_string(&row)?);
        }
        return Ok(Exit::Done);
    }
    print_sets(store.contamination_sets(&stages).await?);
    let figures = store.contamination_figures(&stages).await?;
    if figures.is_empty() {
        outln!("\nNo pair overlaps with any of them.");
        return Ok(Exit::Done);
    }
    outln!();
    let rows = figures.into_iter().map(|row| {
        vec![row.set_name, row.text, row.class, number(row.pairs), number(row.pairs_train), number(row.items)]
    });
    out!("{}", table(&["set", "text", "class", "pairs", "in train", "items"], rows));
    outln!();
    print_overlaps(store.contamination(&stages, Some(args.limit)).await?);
    Ok(Exit::Done)
}

/// `codepmp contamination --set`: pairs of any source, compared now.
pub async fn compare(args: ContaminationArgs, data_dir: &Path) -> anyhow::Result<Exit> {
    let ContaminationArgs { set: sets, data, format, limit, json, .. } = args;
    let adapter =
        Adapter::new(format, None).map_err(|(setting, message)| WrongInput(format!("--{setting}: {message}")))?;
    let store = if Path::new(&data).exists() { None } else { Some(Store::open(data_dir).await?) };
    let source = PairSource::find(&data, None, store.as_ref()).await?.adapted(adapter)?;
    let pairs = source.read(&PairChoice { split: Split::All, ..PairChoice::default() }).await?;
    let compared = pairs.len() as i64;
    let (sets, found) =
        spawn_blocking(move || overlaps(&pairs, &sets)).await.context("a bug: comparing ended early")??;
    if json {
        for row in found {
            outln!("{}", serde_json::to_string(&row)?);
        }
        return Ok(Exit::Done);
    }
    print_sets(sets);
    let marked: BTreeSet<i64> = found.iter().map(|row| row.pair_id.0).collect();
    outln!("\n{} of {} pairs of {source} overlap with them", number(marked.len() as i64), number(compared));
    if !found.is_empty() {
        outln!();
        print_overlaps(found.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect());
    }
    Ok(Exit::Done)
}

fn print_sets(sets: Vec<ReferenceSet>) {
    let rows = sets.into_iter().map(|set| vec![set.name, number(set.items), number(set.texts), set.path]);
    out!("{}", table(&["set", "items", "texts compared", "file"], rows));
}

fn print_overlaps(overlaps: Vec<Contamination>) {
    let rows = overlaps.into_iter().map(|row| {
        let (similarity, excerpt) = (format!("{:.2}", row.similarity), brief(&row.excerpt, 60));
        vec![row.pair_id.to_string(), row.text, row.set_name, row.item, row.field, row.class, similarity, excerpt]
    });
    out!("{}", table(&["pair", "text", "set", "item", "field", "class", "similarity", "in common"], rows));
}

//! `contamination`: pairs that overlap with evaluation sets.

use super::output::{out, outln};

use super::Exit;
use super::args::ContaminationArgs;
use super::pipeline::run_of;
use super::table::{brief, number, table};
use crate::ids::StageId;
use crate::store::Store;

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
    let sets = store
        .contamination_sets(&stages)
        .await?
        .into_iter()
        .map(|set| vec![set.name, number(set.items), number(set.texts), set.path]);
    out!("{}", table(&["set", "items", "texts compared", "file"], sets));
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
    let rows = store.contamination(&stages, Some(args.limit)).await?.into_iter().map(|row| {
        let (similarity, excerpt) = (format!("{:.2}", row.similarity), brief(&row.excerpt, 60));
        vec![row.pair_id.to_string(), row.text, row.set_name, row.item, row.field, row.class, similarity, excerpt]
    });
    out!("{}", table(&["pair", "text", "set", "item", "field", "class", "similarity", "in common"], rows));
    Ok(Exit::Done)
}

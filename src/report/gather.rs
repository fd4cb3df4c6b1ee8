//! From the database to a [`Report`].

use std::path::Path;

use super::coverage::{Stage, uncovered};
use super::curves::curves;
use super::judge::judges;
use super::measured::{compared, measured};
use super::quality::{BARS, Histogram, Quality, length_signal, share};
use super::{ContaminationFacts, Example, PairSet, Report, Versions};
use crate::ids::{RunId, StageId};
use crate::store::quality::ShareOf;
use crate::store::report::StageFacts;
use crate::store::{Store, StoreResult};

/// Pairs that are shown for each pair stage.
const EXAMPLES: i64 = 6;
/// Overlaps that are listed.
const OVERLAPS: i64 = 40;

/// Reads everything that is told of a run.
///
/// # Errors
/// When there is no such run, or the database fails.
pub async fn gather(store: &Store, run: RunId) -> StoreResult<Report> {
    let row = store.run(Some(run)).await?;
    let stages = store.stage_facts(run).await?;
    let trainings = store.trainings(run).await?;
    let training_curves = store.curves(&trainings.iter().map(|training| training.id).collect::<Vec<_>>()).await?;
    let evaluations = store.all_evaluations(run).await?;
    let measured = measured(&evaluations);
    let mut pairs = Vec::new();
    for stage in stages.iter().filter(|stage| stage.kind == "pair") {
        let set = pair_set(store, stage, &stages).await?;
        pairs.extend((set.quality.counts.pairs > 0).then_some(set));
    }
    let base = Path::new(&row.file).parent().unwrap_or(Path::new("."));
    let uncovered = uncovered(&stages.iter().map(described).collect::<Vec<_>>(), base);
    Ok(Report {
        uncovered,
        definition: row.definition.clone(),
        versions: Versions { codepmp: env!("CARGO_PKG_VERSION"), postgres: store.server_version().await? },
        figures: store.figures(run).await?,
        usage: store.usage(run).await?,
        failed_calls: store.failed_calls(run).await?,
        curves: curves(&measured, &store.curve_means(run).await?),
        curve_differences: store.curve_differences(run).await?,
        run: row,
        stages,
        pairs,
        trainings,
        training_curves,
        compared: compared(&evaluations),
        evaluations,
        measured,
    })
}

fn described(stage: &StageFacts) -> Stage<'_> {
    let StageFacts { name, kind, settings, needs, .. } = stage;
    Stage { name, kind, settings, needs: needs.iter().map(String::as_str).collect() }
}

async fn pair_set(store: &Store, stage: &StageFacts, stages: &[StageFacts]) -> StoreResult<PairSet> {
    let id = stage.id;
    let counts = store.pair_counts(id).await?;
    let pairs = counts.pairs;
    let of_kind = |kind: &str| -> Vec<StageId> {
        let own = |other: &&StageFacts| other.kind == kind && other.needs.contains(&stage.name);
        stages.iter().filter(own).filter(|other| other.state != "skipped").map(|other| other.id).collect()
    };
    let marking = of_kind("decontaminate");
    let contamination = if marking.is_empty() {
        None
    } else {
        Some(ContaminationFacts {
            sets: store.contamination_sets(&marking).await?,
            pairs: store.contaminated(id, &marking).await?.len() as u64,
            figures: store.contamination_figures(&marking).await?,
            largest: store.contamination(&marking, Some(OVERLAPS)).await?,
        })
    };
    let judges = judges(store, id, Some(&of_kind("judge"))).await?;
    let mut examples = Vec::new();
    for pair in store.example_pairs(id, pairs, EXAMPLES).await? {
        examples.push(Example { pair: store.pair(pair).await?, lineage: store.lineage(pair).await? });
    }
    let quality = Quality {
        chosen_valid: share("chosen_valid", counts.chosen_valid, pairs),
        rejected_valid: share("rejected_valid", counts.rejected_valid, pairs),
        length: length_signal(&store.pair_lengths(id, pairs).await?),
        repeated_chosen: store.repeated_chosen(id, pairs).await?,
        similarity: Histogram::new(0.0, 1.0, &store.pair_histogram(id, false, BARS).await?),
        length_ratio: Histogram::new(-3.0, 3.0, &store.pair_histogram(id, true, BARS).await?),
        repositories: store.pair_shares(id, ShareOf::Repository).await?,
        licences: store.pair_shares(id, ShareOf::Licence).await?,
        units: store.pair_shares(id, ShareOf::Unit).await?,
        models: store.pair_shares(id, ShareOf::Models).await?,
        describers: store.pair_shares(id, ShareOf::Describer).await?,
        counts,
    };
    Ok(PairSet { stage: id, name: stage.name.clone(), quality, judges, contamination, examples })
}

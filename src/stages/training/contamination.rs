//! What decontaminate stages found out about pairs that are to be trained on.

use std::collections::HashSet;

use super::{PairSource, Pairs, WrongInput};

/// The pairs of a source that are marked, by id; files carry no marks.
pub(super) async fn marked(source: &PairSource) -> anyhow::Result<HashSet<i64>> {
    match source {
        PairSource::Stage { store, stage, marked_by, .. } => {
            Ok(store.contaminated(*stage, marked_by).await?.into_iter().map(|id| id.0).collect())
        }
        PairSource::Files(_) | PairSource::Benchmark(..) => Ok(HashSet::new()),
    }
}

/// Refuses pairs that overlap with an evaluation set: what is measured on that set afterwards would say nothing.
///
/// # Errors
/// [`WrongInput`] with the number of such pairs, one of them, and what can be done.
pub async fn refuse_contaminated(source: &PairSource, pairs: &Pairs) -> anyhow::Result<()> {
    let marked = marked(source).await?;
    let found: Vec<i64> = pairs.pairs.iter().map(|pair| pair.id).filter(|id| marked.contains(id)).collect();
    let Some(first) = found.first() else { return Ok(()) };
    Err(WrongInput(format!(
        "{} of {} pairs to train on overlap with an evaluation set, pair {first} for one: `codepmp contamination` lists \
         them; leave them out (`pairs = {{ clean = true }}`, --clean), or train on them all the same \
         (`allow_contaminated = true`, --allow-contaminated)",
        found.len(),
        pairs.len()
    ))
    .into())
}

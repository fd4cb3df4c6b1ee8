//! Pairs of the database.

use futures::{Stream, TryStreamExt as _};

use super::error::{DataError, DataResult};
use super::pair::Pair;
use crate::ids::StageId;
use crate::store::Store;
use crate::store::training_pairs::TrainingPair;

impl From<TrainingPair> for Pair {
    fn from(row: TrainingPair) -> Self {
        Self {
            id: row.id.0,
            prompt: row.prompt,
            chosen: row.chosen,
            rejected: row.rejected,
            margin: 0.0,
            repository: row.repository,
            split: Some(row.split),
        }
    }
}

/// Pages of a pair stage's pairs, of one split or all, in the order of their ids; for [`super::Dataset::collect`].
pub fn stored_pairs(
    store: &Store,
    stage: StageId,
    split: Option<&str>,
) -> impl Stream<Item = DataResult<Vec<Pair>>> + Send + use<> {
    let pages = store.training_pairs(stage, split);
    pages.map_ok(|page| page.into_iter().map(Pair::from).collect()).map_err(DataError::from)
}

//! Figures of a pair stage's quality: counted over all pairs, or over an even part of them where texts must be read.

use sqlx::FromRow;

use super::{Store, StoreResult};
use crate::ids::StageId;

/// Pairs at most whose texts are read for one figure.
pub const SAMPLE: i64 = 200_000;
/// Sides at least this similar are near-identical.
pub const NEAR_IDENTICAL: f32 = 0.98;

/// Counts over all pairs of a stage.
#[derive(Clone, Debug, Default, FromRow, serde::Serialize)]
pub struct PairCounts {
    /// All pairs.
    pub pairs: i64,
    /// For training.
    pub train: i64,
    /// Held out.
    pub test: i64,
    /// Whose chosen side parses.
    pub chosen_valid: i64,
    /// Whose rejected side parses.
    pub rejected_valid: i64,
    /// With sides that are near-identical (similarity of at least 0.98).
    pub near_identical: i64,
    /// Mean similarity of both sides.
    pub similarity_mean: f64,
    /// Median similarity.
    pub similarity_median: f64,
    /// Median of chosen over rejected in characters.
    pub length_ratio_median: f64,
}

/// A bar of a histogram: from the bound to the next one.
#[derive(Clone, Copy, Debug, FromRow, serde::Serialize)]
pub struct Bar {
    /// Number of the bar, from 0.
    pub bar: i32,
    /// Pairs in it.
    pub pairs: i64,
}

/// What a share is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareOf {
    /// Repository or package.
    Repository,
    /// SPDX identifier.
    Licence,
    /// function, method, class or module.
    Unit,
    /// Both answering models.
    Models,
    /// The describing model.
    Describer,
}

impl ShareOf {
    fn column(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::Licence => "coalesce(licence, 'not known')",
            Self::Unit => "unit",
            Self::Models => "coalesce(chosen_model, 'source') || ' over ' || coalesce(rejected_model, 'source')",
            Self::Describer => "coalesce(description_model, 'none')",
        }
    }
}

/// Pairs that have a value in common.
#[derive(Clone, Debug, FromRow, serde::Serialize)]
pub struct Share {
    /// The value.
    pub value: String,
    /// Pairs.
    pub pairs: i64,
    /// For training.
    pub train: i64,
    /// Whose chosen side parses.
    pub chosen_valid: i64,
    /// Whose rejected side parses.
    pub rejected_valid: i64,
    /// Mean similarity of both sides.
    pub similarity_mean: f64,
}

/// Lengths of both sides, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct Lengths {
    /// Of chosen.
    pub chosen: i32,
    /// Of rejected.
    pub rejected: i32,
}

impl Store {
    /// Counts over all pairs of a stage.
    pub async fn pair_counts(&self, stage: StageId) -> StoreResult<PairCounts> {
        self.retrying(|| async {
            sqlx::query_as(
                "select count(*) as pairs, count(*) filter (where split = 'train') as train,
                        count(*) filter (where split = 'test') as test,
                        count(*) filter (where chosen_valid) as chosen_valid,
                        count(*) filter (where rejected_valid) as rejected_valid,
                        count(*) filter (where similarity >= $2) as near_identical,
                        coalesce(avg(similarity), 0)::float8 as similarity_mean,
                        coalesce(percentile_cont(0.5) within group (order by similarity), 0) as similarity_median,
                        coalesce(percentile_cont(0.5) within group (order by length_ratio), 0) as length_ratio_median
                 from pairs where stage_id = $1",
            )
            .bind(stage)
            .bind(NEAR_IDENTICAL)
            .fetch_one(self.pool())
            .await
        })
        .await
    }

    /// Pairs by similarity, in `bars` equal bars from 0 to 1, or by the binary logarithm of the length ratio, from -3 to
    /// 3 (outer values in the outer bars).
    pub async fn pair_histogram(&self, stage: StageId, of_length: bool, bars: i32) -> StoreResult<Vec<Bar>> {
        let (value, low, high) =
            if of_length { ("ln(greatest(length_ratio, 1e-6)) / ln(2)", -3.0, 3.0) } else { ("similarity", 0.0, 1.0) };
        let statement = format!(
            "select least(greatest(width_bucket(({value})::float8, $2, $3, $4), 1), $4) - 1 as bar, count(*) as pairs
             from pairs where stage_id = $1 group by 1 order by 1"
        );
        self.retrying(|| async {
            sqlx::query_as(sqlx::AssertSqlSafe(statement.clone()))
                .bind(stage)
                .bind(low)
                .bind(high)
                .bind(bars)
                .fetch_all(self.pool())
                .await
        })
        .await
    }

    /// Pairs by a value that they have in common, the largest share first.
    pub async fn pair_shares(&self, stage: StageId, of: ShareOf) -> StoreResult<Vec<Share>> {
        let column = of.column();
        let statement = format!(
            "select {column} as value, count(*) as pairs, count(*) filter (where split = 'train') as train,
                    count(*) filter (where chosen_valid) as chosen_valid,
                    count(*) filter (where rejected_valid) as rejected_valid, avg(similarity)::float8 as similarity_mean
             from preference_pairs where stage_id = $1 group by 1 order by 2 desc, 1"
        );
        self.retrying(|| async {
            sqlx::query_as(sqlx::AssertSqlSafe(statement.clone())).bind(stage).fetch_all(self.pool()).await
        })
        .await
    }

    /// Lengths of the sides of every n-th pair, so that at most about [`SAMPLE`] of `pairs` are read.
    pub async fn pair_lengths(&self, stage: StageId, pairs: i64) -> StoreResult<Vec<Lengths>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select length(c.text) as chosen, length(r.text) as rejected
                 from pairs p join completions c on c.id = p.chosen_id join completions r on r.id = p.rejected_id
                 where p.stage_id = $1 and p.id % $2 = 0 order by p.id",
            )
            .bind(stage)
            .bind(step(pairs))
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// Number of pairs whose chosen side stands, character by character, in another pair too; of every n-th pair.
    pub async fn repeated_chosen(&self, stage: StageId, pairs: i64) -> StoreResult<i64> {
        self.retrying(|| async {
            sqlx::query_scalar(
                "select coalesce(sum(n), 0)::bigint from (
                     select count(*) as n from pairs p join completions c on c.id = p.chosen_id
                     where p.stage_id = $1 and p.id % $2 = 0 group by md5(c.text) having count(*) > 1) repeated",
            )
            .bind(stage)
            .bind(step(pairs))
            .fetch_one(self.pool())
            .await
        })
        .await
    }
}

/// Which part of the pairs is read: every n-th.
fn step(pairs: i64) -> i64 {
    (pairs + SAMPLE - 1).div_euclid(SAMPLE).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_read_of_few_and_an_even_part_of_many() {
        assert_eq!([0, 1, SAMPLE, SAMPLE + 1, 28_000_000].map(step), [1, 1, 1, 2, 140]);
    }
}

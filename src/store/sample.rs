//! What is left to ask, rows to estimate it by, and what earlier calls took.

use super::tasks::{Claimed, Inputs};
use super::{Store, StoreResult};
use crate::ids::StageId;

/// Rows of a stage that calls a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Work {
    /// Inputs that are there.
    pub inputs: i64,
    /// Rows that are answered or rejected.
    pub ended: i64,
    /// Rows that are out in a batch.
    pub batched: i64,
}

/// What earlier calls took, in the mean; batches left out.
#[derive(Clone, Copy, Debug, PartialEq, sqlx::FromRow)]
pub struct Measured {
    /// Calls looked at.
    pub calls: i64,
    /// Tokens of an answer.
    pub answer_tokens: f64,
    /// Milliseconds from sending to the last byte.
    pub latency_ms: f64,
}

/// Earlier calls that are looked at.
const CALLS: i64 = 10_000;

impl Store {
    /// What there is for `stage` (none: it never ran) to do with the rows of `need`.
    pub async fn work(&self, stage: Option<StageId>, need: StageId, inputs: Inputs) -> StoreResult<Work> {
        let statement = format!(
            "select (select count(*) from {} where stage_id = $2) as inputs,
                    count(*) filter (where state in ('done', 'rejected')) as ended,
                    count(*) filter (where state = 'batched') as batched
             from tasks where stage_id = $1",
            inputs.table()
        );
        self.retrying(|| async {
            sqlx::query_as(sqlx::AssertSqlSafe(statement.clone())).bind(stage).bind(need).fetch_one(self.pool()).await
        })
        .await
    }

    /// Up to `rows` inputs of `need`, spread over all of them, in the samples that `stage` has still to do; in all samples if
    /// there is no stage. Reads only so many rows, however many there are.
    pub async fn sample_rows(
        &self,
        stage: Option<StageId>,
        need: StageId,
        inputs: Inputs,
        samples: u32,
        rows: i64,
    ) -> StoreResult<Vec<Claimed>> {
        let (table, (columns, tables)) = (inputs.table(), inputs.shown());
        // Identifiers of a stage's rows lie close together, so points at equal distances are rows at equal distances.
        let statement = format!(
            "with ends as (select min(id) as low, max(id) as high from {table} where stage_id = $2),
             point as (select distinct p.id from ends cross join generate_series(0, $4 - 1) k cross join lateral (
                 select t.id from {table} t where t.id >= low + k * (high - low + 1) / $4 and t.stage_id = $2
                 order by t.id limit 1) p)
             select i.id as input_id, i.sample, {columns}
             from (select point.id, n as sample from point cross join generate_series(0, $3 - 1) n) i {tables}
             where not exists (select from tasks t where t.stage_id = $1 and t.input_id = i.id and t.sample = i.sample
                 and t.state in ('done', 'rejected', 'batched'))
             order by i.id, i.sample"
        );
        self.retrying(|| async {
            sqlx::query_as(sqlx::AssertSqlSafe(statement.clone()))
                .bind(stage)
                .bind(need)
                .bind(samples as i32)
                .bind(rows)
                .fetch_all(self.pool())
                .await
        })
        .await
    }

    /// What calls of `stages` took, where they were made at all.
    pub async fn measured(&self, stages: &[StageId]) -> StoreResult<Option<Measured>> {
        let measured: Measured = self
            .retrying(|| async {
                sqlx::query_as(
                    "select count(*) as calls, coalesce(avg(completion_tokens), 0)::float8 as answer_tokens,
                            coalesce(avg(latency_ms) filter (where batch_id is null), 0) as latency_ms
                     from (select completion_tokens, latency_ms, batch_id from llm_calls
                           where stage_id = any($1) and completion_tokens > 0 limit $2) c",
                )
                .bind(stages)
                .bind(CALLS)
                .fetch_one(self.pool())
                .await
            })
            .await?;
        Ok(Some(measured).filter(|measured| measured.calls > 0))
    }

    /// Stages of `kind` that ask `model`, latest first.
    pub async fn stages_of_model(&self, model: &str, kind: &str) -> StoreResult<Vec<StageId>> {
        self.retrying(|| async {
            sqlx::query_scalar("select id from stages where model = $1 and kind = $2 order by id desc")
                .bind(model)
                .bind(kind)
                .fetch_all(self.pool())
                .await
        })
        .await
    }
}

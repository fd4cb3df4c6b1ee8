//! Reading pairs back, in order and without holding them all.

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use sqlx::FromRow;

use super::{Store, StoreError, StoreResult};
use crate::ids::{PairId, RunId, StageId};

/// A row of `preference_pairs`.
#[derive(Clone, Debug, FromRow, serde::Serialize)]
#[allow(missing_docs)] // the columns of the view
pub struct PairRow {
    pub id: PairId,
    pub prompt: String,
    pub chosen: String,
    pub rejected: String,
    pub split: String,
    pub chosen_model: Option<String>,
    pub rejected_model: Option<String>,
    pub description_model: Option<String>,
    pub chosen_valid: bool,
    pub rejected_valid: bool,
    pub length_ratio: f32,
    pub similarity: f32,
    pub repository: String,
    pub revision: Option<String>,
    pub path: String,
    pub licence: Option<String>,
    pub unit: String,
    pub qualified_name: String,
    pub start_line: i32,
    pub end_line: i32,
    pub sample: i32,
    pub description_id: i64,
    pub chosen_id: i64,
    pub rejected_id: i64,
    pub snippet_id: i64,
    pub document_id: i64,
}

const COLUMNS: &str =
    "id, prompt, chosen, rejected, split, chosen_model, rejected_model, description_model, chosen_valid,
    rejected_valid, length_ratio, similarity, repository, revision, path, licence, unit, qualified_name, start_line,
    end_line, sample, description_id, chosen_id, rejected_id, snippet_id, document_id";

impl Store {
    /// Pairs of a stage and split, in the order of their descriptions, streamed.
    pub fn pairs<'s>(&'s self, stage: StageId, split: &'s str) -> BoxStream<'s, StoreResult<PairRow>> {
        let statement = format!(
            "select {COLUMNS} from preference_pairs where stage_id = $1 and split = $2 order by description_id, sample"
        );
        sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(stage)
            .bind(split)
            .fetch(self.pool())
            .map_err(StoreError::from)
            .boxed()
    }

    /// One pair.
    pub async fn pair(&self, id: PairId) -> StoreResult<PairRow> {
        let statement = format!("select {COLUMNS} from preference_pairs where id = $1");
        self.retrying(|| async {
            sqlx::query_as(sqlx::AssertSqlSafe(statement.clone())).bind(id).fetch_optional(self.pool()).await
        })
        .await?
        .ok_or_else(|| StoreError::Missing { what: "pair", id: id.to_string() })
    }

    /// A pair of a run to show: of middling length, the first such.
    pub async fn sample_pair(&self, run: RunId) -> StoreResult<Option<PairRow>> {
        let id: Option<PairId> = self
            .retrying(|| async {
                sqlx::query_scalar(
                    "select p.id from pairs p join run_stages r on r.stage_id = p.stage_id and r.run_id = $1
                     join completions c on c.id = p.chosen_id
                     order by (length(c.text) between 200 and 900) desc, (p.similarity between 0.8 and 0.99) desc, p.id
                     limit 1",
                )
                .bind(run)
                .fetch_optional(self.pool())
                .await
            })
            .await?;
        match id {
            Some(id) => self.pair(id).await.map(Some),
            None => Ok(None),
        }
    }

    /// Number and highest id of a stage's pairs: what tells one export from another.
    pub async fn pair_mark(&self, stage: StageId) -> StoreResult<(i64, i64)> {
        self.retrying(|| async {
            sqlx::query_as("select count(*), coalesce(max(id), 0) from pairs where stage_id = $1")
                .bind(stage)
                .fetch_one(self.pool())
                .await
        })
        .await
    }

    /// Its line of `pair_lineage`, as JSON.
    pub async fn lineage(&self, id: PairId) -> StoreResult<serde_json::Value> {
        self.retrying(|| async {
            sqlx::query_scalar("select row_to_json(l) from pair_lineage l where pair_id = $1")
                .bind(id)
                .fetch_one(self.pool())
                .await
        })
        .await
    }
}

//! Questions in SQL from outside, and the figures of a summary.

use futures::TryStreamExt as _;
use serde_json::{Map, Value};
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};
use sqlx::{Column as _, Executor as _, Row as _, SqlSafeStr as _, Statement as _};

use super::{Store, StoreError, StoreResult};
use crate::config::Position;
use crate::ids::RunId;

/// Figures of a run, as the summary shows them: what its stages hold by now, and what the run itself called.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Figures {
    /// Documents read.
    pub documents: i64,
    /// Exact copies dropped.
    pub exact_duplicates: i64,
    /// Near copies dropped.
    pub near_duplicates: i64,
    /// Snippets cut.
    pub snippets: i64,
    /// Descriptions.
    pub descriptions: i64,
    /// Completions.
    pub completions: i64,
    /// Pairs for training.
    pub pairs_train: i64,
    /// Pairs held out.
    pub pairs_test: i64,
    /// Rejections by stage and class.
    pub rejections: Vec<RejectionFigure>,
    /// Calls of this run by stage and model.
    pub usage: Vec<UsageFigure>,
}

/// Rejections of one class in one stage.
#[derive(Clone, Debug, sqlx::FromRow, serde::Serialize)]
pub struct RejectionFigure {
    /// Stage.
    pub stage: String,
    /// Class.
    pub class: String,
    /// How many.
    pub rows: i64,
    /// One of the messages.
    pub example: String,
}

/// Calls of one stage to one model.
#[derive(Clone, Debug, sqlx::FromRow, serde::Serialize)]
pub struct UsageFigure {
    /// Stage.
    pub stage: String,
    /// Model.
    pub model: String,
    /// Calls, failed ones too.
    pub calls: i64,
    /// Failed calls.
    pub failures: i64,
    /// Tokens of the prompts.
    pub prompt_tokens: i64,
    /// Tokens of the answers.
    pub completion_tokens: i64,
    /// Millionths of a dollar.
    pub cost_microdollars: i64,
    /// Milliseconds.
    pub mean_latency_ms: Option<f64>,
}

/// Stands before a query, so that rows come as JSON.
const WRAP: &str = "select row_to_json(q)::text from (";

/// What the server says about `query`, which was sent behind `before` characters of ours.
fn wrong(error: sqlx::Error, query: &str, before: usize) -> StoreError {
    let Some(database) = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) else {
        return error.into();
    };
    let position = match database.position() {
        Some(PgErrorPosition::Original(at)) => at.checked_sub(before + 1),
        _ => None,
    };
    // Postgres counts characters.
    let offset = position.map(|at| query.char_indices().nth(at).map_or(query.len(), |(offset, _)| offset));
    StoreError::Wrong { position: offset.map(|offset| Position::of(query, offset)), error }
}

impl Store {
    /// Runs a query (`select`, `with`, `values` or `table`) read-only; `each` gets the column names and one row after
    /// the other, values in JSON as Postgres makes it. Returns the column names.
    pub async fn query(
        &self,
        query: &str,
        mut each: impl FnMut(&[String], Vec<Value>) -> std::io::Result<()> + Send,
    ) -> StoreResult<Vec<String>> {
        // What stands before it stays, so that positions are those of the query as it was written.
        let query = query.trim_end().trim_end_matches(';');
        let mut tx = self.pool().begin().await?;
        tx.execute("set transaction read only").await?;
        let statement = (&mut *tx).prepare(sqlx::AssertSqlSafe(query.to_owned()).into_sql_str()).await;
        let statement = statement.map_err(|error| wrong(error, query, 0))?;
        let columns: Vec<String> = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        // Two columns may have one name: numbers tell them apart.
        let numbers: Vec<String> = (0..columns.len()).map(|at| format!("\"{at}\"")).collect();
        let numbers = if numbers.is_empty() { String::new() } else { format!("({})", numbers.join(",")) };
        let wrapped = format!("{WRAP}{query}\n) q{numbers}");
        let mut rows = sqlx::query(sqlx::AssertSqlSafe(wrapped)).fetch(&mut *tx);
        while let Some(row) = rows.try_next().await.map_err(|error| wrong(error, query, WRAP.len()))? {
            let mut object: Map<String, Value> = serde_json::from_str(row.try_get(0)?).unwrap_or_default();
            let values = (0..columns.len()).map(|at| object.remove(&at.to_string()).unwrap_or_default()).collect();
            each(&columns, values).map_err(sqlx::Error::Io)?;
        }
        drop(rows);
        tx.commit().await?;
        Ok(columns)
    }

    /// Version of the server.
    pub async fn server_version(&self) -> StoreResult<String> {
        self.retrying(|| async { sqlx::query_scalar("select version()").fetch_one(self.pool()).await }).await
    }

    /// The figures of a run's summary.
    pub async fn figures(&self, run: RunId) -> StoreResult<Figures> {
        let counts: (i64, i64, i64, i64, i64, i64, i64, i64) = self.retrying(|| async {
            sqlx::query_as(
                    "with mine as (select stage_id from run_stages where run_id = $1)
                     select (select count(*) from documents join mine using (stage_id)),
                            (select count(*) from rejections join mine using (stage_id) where class = 'exact_duplicate'),
                            (select count(*) from rejections join mine using (stage_id) where class = 'near_duplicate'),
                            (select count(*) from snippets join mine using (stage_id)),
                            (select count(*) from descriptions join mine using (stage_id)),
                            (select count(*) from completions join mine using (stage_id)),
                            (select count(*) from pairs join mine using (stage_id) where split = 'train'),
                            (select count(*) from pairs join mine using (stage_id) where split = 'test')",
                )
                .bind(run)
                .fetch_one(self.pool())
                .await
        }).await?;
        let rejections = self
            .retrying(|| async {
                sqlx::query_as(
                    "select r.name as stage, f.class, f.rows, f.example from failures_by_class f
                     join run_stages r on r.stage_id = f.stage_id
                     where r.run_id = $1 order by r.stage_id, f.rows desc",
                )
                .bind(run)
                .fetch_all(self.pool())
                .await
            })
            .await?;
        let usage = self
            .retrying(|| async {
                sqlx::query_as(
                "select r.name as stage, model, calls, failures, prompt_tokens, completion_tokens, cost_microdollars,
                            mean_latency_ms from usage_by_model u
                     join run_stages r on r.run_id = u.run_id and r.stage_id = u.stage_id
                     where u.run_id = $1 order by u.stage_id",
            )
            .bind(run)
            .fetch_all(self.pool())
            .await
            })
            .await?;
        let (documents, exact, near, snippets, descriptions, completions, train, test) = counts;
        Ok(Figures {
            documents,
            exact_duplicates: exact,
            near_duplicates: near,
            snippets,
            descriptions,
            completions,
            pairs_train: train,
            pairs_test: test,
            rejections,
            usage,
        })
    }
}

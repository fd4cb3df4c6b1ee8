//! `runs` and `run_stages`: who started what, and how it went.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::{Store, StoreError, StoreResult};
use crate::ids::{RunId, StageId};
use crate::progress::{Meter, State};

/// A run to be entered.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Absolute path of the pipeline file.
    pub file: String,
    /// Its text.
    pub definition: String,
    /// Command line options.
    pub options: serde_json::Value,
}

/// A row of `runs`.
#[derive(Clone, Debug, FromRow, serde::Serialize)]
pub struct RunRow {
    /// Identifier.
    pub id: RunId,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Absolute path of the pipeline file.
    pub file: String,
    /// Its text.
    #[serde(skip)]
    pub definition: String,
    /// running, done, failed, interrupted; `killed` when it says running but no worker of it lives.
    pub state: String,
    /// Version of codepmp.
    pub version: String,
    /// Start.
    pub started_at: DateTime<Utc>,
    /// End.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A row of `run_progress`.
#[derive(Clone, Debug, FromRow, serde::Serialize)]
pub struct StageRow {
    /// Name in the pipeline file.
    pub name: String,
    /// Kind.
    pub kind: String,
    /// The stage.
    pub stage_id: StageId,
    /// See [`State`].
    pub state: String,
    /// Rows that the run finished.
    pub done: i64,
    /// Rows that the run rejected.
    pub rejected: i64,
    /// Rows that wait for a model.
    pub waiting: Option<i64>,
    /// Wall time.
    pub seconds: Option<f64>,
    /// Why it failed.
    pub message: Option<String>,
}

impl Store {
    /// Enters a run with its stages.
    pub async fn enter_run(&self, run: &NewRun, stages: &[(StageId, String, &'static str)]) -> StoreResult<RunId> {
        let host = nix::sys::utsname::uname()
            .map_or_else(|_| "unknown".to_owned(), |name| name.nodename().to_string_lossy().into_owned());
        self.retrying(|| async {
            let mut tx = self.pool().begin().await?;
            let id: RunId = sqlx::query_scalar(
                "insert into runs (pipeline, file, definition, options, version, host, pid)
                 values ($1, $2, $3, $4, $5, $6, $7) returning id",
            )
            .bind(&run.pipeline)
            .bind(&run.file)
            .bind(&run.definition)
            .bind(&run.options)
            .bind(env!("CARGO_PKG_VERSION"))
            .bind(&host)
            .bind(std::process::id() as i32)
            .fetch_one(&mut *tx)
            .await?;
            for (stage, name, kind) in stages {
                sqlx::query("insert into run_stages (run_id, stage_id, name, kind) values ($1, $2, $3, $4)")
                    .bind(id)
                    .bind(stage)
                    .bind(name)
                    .bind(kind)
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
            Ok(id)
        })
        .await
    }

    /// Writes how a stage of a run stands.
    pub async fn note_stage(&self, run: RunId, meter: &Meter, message: Option<&str>) -> StoreResult<()> {
        let state = meter.state();
        let started = (state != State::Waiting && state != State::Skipped).then(|| meter.elapsed().as_secs_f64());
        let ended = matches!(state, State::Done | State::Failed | State::Interrupted);
        self.retrying(|| async {
            sqlx::query(
                "update run_stages set state = $3, done = $4, rejected = $5, seconds = $6, message = $7,
                     started_at = coalesce(started_at, case when $6 is not null then now() end),
                     finished_at = case when $8 then now() end
                 where run_id = $1 and name = $2",
            )
            .bind(run)
            .bind(&meter.name)
            .bind(state.as_str())
            .bind(meter.done() as i64)
            .bind(meter.rejected() as i64)
            .bind(started)
            .bind(message)
            .bind(ended)
            .execute(self.pool())
            .await
        })
        .await?;
        Ok(())
    }

    /// Ends a run.
    pub async fn end_run(&self, run: RunId, state: State) -> StoreResult<()> {
        self.retrying(|| async {
            sqlx::query("update runs set state = $2, finished_at = now() where id = $1")
                .bind(run)
                .bind(state.as_str())
                .execute(self.pool())
                .await
        })
        .await?;
        Ok(())
    }

    /// The run with that id, or the latest.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none.
    pub async fn run(&self, id: Option<RunId>) -> StoreResult<RunRow> {
        let row = self
            .retrying(|| async {
                sqlx::query_as(
                    "select u.id, u.pipeline, u.file, u.definition, u.version, u.started_at, u.finished_at,
                        case when u.state = 'running' and not exists (
                            select from workers w join pg_locks l on l.locktype = 'advisory'
                                and l.classid = x'636d70'::int and l.objid::bigint = w.id
                            where w.run_id = u.id) then 'killed' else u.state end as state
                     from runs u where $1 is null or u.id = $1 order by u.id desc limit 1",
                )
                .bind(id)
                .fetch_optional(self.pool())
                .await
            })
            .await?;
        let missing = || id.map_or_else(|| "yet: start one with `codepmp run FILE`".to_owned(), |id| id.to_string());
        row.ok_or_else(|| StoreError::Missing { what: "run", id: missing() })
    }

    /// The latest run of a pipeline file.
    pub async fn latest_run_of(&self, file: &str) -> StoreResult<RunRow> {
        let id: Option<RunId> = self
            .retrying(|| async {
                sqlx::query_scalar("select id from runs where file = $1 order by id desc limit 1")
                    .bind(file)
                    .fetch_optional(self.pool())
                    .await
            })
            .await?;
        match id {
            Some(id) => self.run(Some(id)).await,
            None => Err(StoreError::Missing { what: "run of", id: file.to_owned() }),
        }
    }

    /// The latest run of the pipelines of that name.
    pub async fn latest_run_named(&self, pipeline: &str) -> StoreResult<RunRow> {
        let id: Option<RunId> = self
            .retrying(|| async {
                sqlx::query_scalar("select id from runs where pipeline = $1 order by id desc limit 1")
                    .bind(pipeline)
                    .fetch_optional(self.pool())
                    .await
            })
            .await?;
        match id {
            Some(id) => self.run(Some(id)).await,
            None => Err(StoreError::Missing { what: "run of a pipeline called", id: pipeline.to_owned() }),
        }
    }

    /// Its stages, in order of entry.
    pub async fn run_stages(&self, run: RunId) -> StoreResult<Vec<StageRow>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select name, kind, stage_id, state, done, rejected, waiting, seconds, message
                 from run_progress where run_id = $1 order by stage_id",
            )
            .bind(run)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// Takes rejected rows of the run's model stages up again: all of them, or those of one class, or those named. Answers of
    /// theirs that were no use are not taken from the ledger again. Returns how many.
    pub async fn retry(&self, run: RunId, class: Option<&str>, rejections: &[i64]) -> StoreResult<u64> {
        self.retrying(|| async {
            let mut tx = self.pool().begin().await?;
            let freed = sqlx::query(
                "with again as (
                    update rejections j set retried_at = now() from run_stages r
                    where r.run_id = $1 and r.kind in ('describe', 'generate', 'judge') and j.stage_id = r.stage_id
                      and j.retried_at is null and ($2 is null or j.class = $2) and (cardinality($3) = 0 or j.id = any($3))
                    returning j.stage_id, coalesce(j.pair_id, j.question_id, j.description_id, j.snippet_id) as input_id, j.sample),
                 superseded as (
                    update llm_calls c set superseded_at = now() from again a
                    where c.stage_id = a.stage_id and c.input_id = a.input_id and c.sample = a.sample
                      and c.class = 'ok' and c.superseded_at is null)
                 update tasks t set state = 'ready' from again a
                 where t.stage_id = a.stage_id and t.input_id = a.input_id and t.sample = a.sample and t.state = 'rejected'",
            )
            .bind(run)
            .bind(class)
            .bind(rejections)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(freed.rows_affected())
        })
        .await
    }
}

//! Batches: request files that are out, what became of each request, and the rows that they hold.
//!
//! Rows that are out have the task state `batched`, which nobody claims. A result is committed in one transaction with
//! what it means: the row is leased, ends as an online answer would end it, and its request is marked. So an import that
//! was killed goes on where it was, and a line that comes twice counts once.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::answers::{AnswerSink, Ending, Finished, Rows, statement};
use super::budget::Amount;
use super::{Store, StoreResult};
use crate::ids::{BatchId, RunId, StageId, WorkerId};

/// A request that goes into a batch.
#[derive(Clone, Copy, Debug)]
pub struct NewRequest {
    /// Line, from 1.
    pub ordinal: i32,
    /// Snippet, description, question or pair.
    pub input_id: i64,
    /// Its snippet; none of a question.
    pub snippet_id: Option<i64>,
    /// Sample number.
    pub sample: i32,
    /// Hash of the request.
    pub request_key: [u8; 16],
    /// What it may cost at most.
    pub bound: Amount,
}

/// A row of `batches`, with its stage and what is still out.
#[derive(Clone, Debug, FromRow, serde::Serialize)]
pub struct BatchRow {
    /// Identifier.
    pub id: BatchId,
    /// The run that exported it.
    pub run_id: RunId,
    /// Its stage.
    pub stage_id: StageId,
    /// Name of the stage.
    pub stage: String,
    /// Name of the endpoint.
    pub endpoint: String,
    /// Model asked.
    pub model: Option<String>,
    /// The request file.
    pub file: String,
    /// See the table's comment.
    pub state: String,
    /// Requests in it.
    pub requests: i32,
    /// Size of the file.
    pub bytes: i64,
    /// The server's name of the file.
    pub file_id: Option<String>,
    /// The server's name of the batch.
    pub remote_id: Option<String>,
    /// The server's word for its state.
    pub remote_state: Option<String>,
    /// File with answers.
    pub output_file_id: Option<String>,
    /// File with failures.
    pub error_file_id: Option<String>,
    /// What went wrong with it as a whole.
    pub message: Option<String>,
    /// When it was exported.
    pub created_at: DateTime<Utc>,
    /// When it was submitted.
    pub submitted_at: Option<DateTime<Utc>>,
    /// Requests of which nothing is known yet.
    pub out: i64,
    /// Requests that were answered.
    pub answered: i64,
    /// Requests whose row was rejected.
    pub rejected: i64,
    /// Requests whose row is to be done again.
    pub returned: i64,
}

/// What is known of a batch on the server.
#[derive(Clone, Debug, Default)]
pub struct BatchNote<'a> {
    /// New state.
    pub state: &'a str,
    /// The server's name of the file.
    pub file_id: Option<&'a str>,
    /// The server's name of the batch.
    pub remote_id: Option<&'a str>,
    /// The server's word for its state.
    pub remote_state: Option<&'a str>,
    /// File with answers.
    pub output_file_id: Option<&'a str>,
    /// File with failures.
    pub error_file_id: Option<&'a str>,
    /// What went wrong with it as a whole.
    pub message: Option<&'a str>,
}

/// A request of a batch.
#[derive(Clone, Debug, FromRow)]
pub struct RequestRow {
    /// Line, from 1.
    pub ordinal: i32,
    /// Snippet, description, question or pair.
    pub input_id: i64,
    /// Its snippet; none of a question.
    pub snippet_id: Option<i64>,
    /// Sample number.
    pub sample: i32,
    /// Hash of the request.
    pub request_key: Vec<u8>,
    /// out, answered, rejected or returned.
    pub state: String,
    /// `ok`, the class of failure, missing or released.
    pub class: Option<String>,
}

impl RequestRow {
    /// Whether a result of it is news: none came yet, also where it was not waited for any longer.
    pub fn is_open(&self) -> bool {
        match self.state.as_str() {
            "out" => true,
            "returned" => matches!(self.class.as_deref(), Some("missing" | "released")),
            _ => false,
        }
    }
}

/// A result, and what it means for its row.
#[derive(Clone, Debug)]
pub struct Landed {
    /// Line of the request.
    pub ordinal: i32,
    /// `ok`, or the class of failure.
    pub class: &'static str,
    /// The row.
    pub finished: Finished,
}

impl Store {
    /// Enters a batch whose file is about to be written.
    pub async fn enter_batch(&self, run: RunId, stage: StageId, endpoint: &str) -> StoreResult<BatchId> {
        self.retrying(|| async {
            sqlx::query_scalar(
                "insert into batches (run_id, stage_id, endpoint, file) values ($1, $2, $3, '') returning id",
            )
            .bind(run)
            .bind(stage)
            .bind(endpoint)
            .fetch_one(self.pool())
            .await
        })
        .await
    }

    /// Puts the requests, which `worker` has leased, out in the batch: from now on its file counts.
    pub async fn fill_batch(
        &self,
        batch: BatchId,
        worker: WorkerId,
        file: (&str, u64),
        requests: &[NewRequest],
    ) -> StoreResult<()> {
        fn of<T>(requests: &[NewRequest], get: impl Fn(&NewRequest) -> T) -> Vec<T> {
            requests.iter().map(get).collect()
        }
        let keys: Vec<&[u8]> = requests.iter().map(|request| request.request_key.as_slice()).collect();
        self.retrying(|| async {
            let mut tx = self.pool().begin().await?;
            sqlx::query(
                "insert into batch_requests (batch_id, ordinal, input_id, snippet_id, sample, request_key,
                     reserved_tokens, reserved_microdollars)
                 select $1, * from unnest($2::int[], $3::bigint[], $4::bigint[], $5::int[], $6::bytea[], $7::bigint[],
                     $8::bigint[]) on conflict do nothing",
            )
            .bind(batch)
            .bind(of(requests, |request| request.ordinal))
            .bind(of(requests, |request| request.input_id))
            .bind(of(requests, |request| request.snippet_id))
            .bind(of(requests, |request| request.sample))
            .bind(&keys)
            .bind(of(requests, |request| request.bound.tokens))
            .bind(of(requests, |request| request.bound.microdollars))
            .execute(&mut *tx)
            .await?;
            sqlx::query(
                "update tasks t set state = 'batched', worker_id = null
                 from batch_requests r join batches b on b.id = r.batch_id
                 where r.batch_id = $1 and t.stage_id = b.stage_id and t.input_id = r.input_id and t.sample = r.sample
                   and t.state = 'leased' and t.worker_id = $2",
            )
            .bind(batch)
            .bind(worker)
            .execute(&mut *tx)
            .await?;
            let sum: Amount = requests.iter().map(|request| request.bound).sum();
            sqlx::query(
                "update batches set state = 'exported', file = $2, bytes = $3, requests = $4, reserved_tokens = $5,
                     reserved_microdollars = $6 where id = $1 and state = 'exporting'",
            )
            .bind(batch)
            .bind(file.0)
            .bind(file.1 as i64)
            .bind(requests.len() as i32)
            .bind(sum.tokens)
            .bind(sum.microdollars)
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        })
        .await
    }

    /// Forgets batches of `stage` whose export was broken off before their file counted; call it under the stage's lock.
    pub async fn forget_unfinished_batches(&self, stage: StageId) -> StoreResult<()> {
        self.retrying(|| async {
            sqlx::query("delete from batches where stage_id = $1 and state = 'exporting'")
                .bind(stage)
                .execute(self.pool())
                .await
        })
        .await?;
        Ok(())
    }

    /// Batches, oldest first: those named, else all that are not accounted for.
    pub async fn batches(&self, named: &[BatchId]) -> StoreResult<Vec<BatchRow>> {
        let which =
            if named.is_empty() { "b.state not in ('exporting', 'imported', 'released')" } else { "b.id = any($1)" };
        self.batches_where(which, named).await
    }

    /// All batches whose files were ever written, oldest first.
    pub async fn every_batch(&self) -> StoreResult<Vec<BatchRow>> {
        self.batches_where("b.state <> 'exporting'", &[]).await
    }

    async fn batches_where(&self, which: &str, named: &[BatchId]) -> StoreResult<Vec<BatchRow>> {
        let statement = format!(
            "select b.*, (select min(name) from run_stages s where s.run_id = b.run_id and s.stage_id = b.stage_id) as stage,
                    st.model, r.out, r.answered, r.rejected, r.returned
             from batches b join stages st on st.id = b.stage_id
             cross join lateral (
                 select count(*) filter (where state = 'out') as out,
                        count(*) filter (where state = 'answered') as answered,
                        count(*) filter (where state = 'rejected') as rejected,
                        count(*) filter (where state = 'returned') as returned
                 from batch_requests where batch_id = b.id) r
             where ($1::bigint[] is not null) and {which} order by b.id"
        );
        self.retrying(|| async {
            sqlx::query_as(sqlx::AssertSqlSafe(statement.clone())).bind(named).fetch_all(self.pool()).await
        })
        .await
    }

    /// Notes how a batch stands on the server; what is none in `note` stays as it is.
    pub async fn note_batch(&self, batch: BatchId, note: &BatchNote<'_>) -> StoreResult<()> {
        self.retrying(|| async {
            sqlx::query(
                "update batches set state = $2, file_id = coalesce($3, file_id), remote_id = coalesce($4, remote_id),
                     remote_state = coalesce($5, remote_state), output_file_id = coalesce($6, output_file_id),
                     error_file_id = coalesce($7, error_file_id), message = coalesce($8, message),
                     submitted_at = case when $2 = 'submitted' then coalesce(submitted_at, now()) else submitted_at end
                 where id = $1 and state not in ('imported', 'released')",
            )
            .bind(batch)
            .bind(note.state)
            .bind(note.file_id)
            .bind(note.remote_id)
            .bind(note.remote_state)
            .bind(note.output_file_id)
            .bind(note.error_file_id)
            .bind(note.message)
            .execute(self.pool())
            .await
        })
        .await?;
        Ok(())
    }

    /// Which of `keys` are out in a batch.
    pub async fn keys_out(&self, keys: &[[u8; 16]]) -> StoreResult<HashSet<[u8; 16]>> {
        let keys: Vec<&[u8]> = keys.iter().map(<[u8; 16]>::as_slice).collect();
        let out: Vec<Vec<u8>> = self
            .retrying(|| async {
                sqlx::query_scalar(
                    "select request_key from batch_requests where state = 'out' and request_key = any($1)
                     union select request_key from requests_under_way where request_key = any($1)",
                )
                .bind(&keys)
                .fetch_all(self.pool())
                .await
            })
            .await?;
        Ok(out.into_iter().filter_map(|key| key.try_into().ok()).collect())
    }

    /// Requests of a batch by their lines.
    pub async fn batch_requests(&self, batch: BatchId, ordinals: &[i32]) -> StoreResult<Vec<RequestRow>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select ordinal, input_id, snippet_id, sample, request_key, state, class from batch_requests
                 where batch_id = $1 and ordinal = any($2)",
            )
            .bind(batch)
            .bind(ordinals)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// Commits results: calls, answers, rejections, tasks and requests, in one transaction.
    pub async fn import_results(&self, sink: &AnswerSink, batch: BatchId, landed: &[Landed]) -> StoreResult<()> {
        let finished: Vec<Finished> = landed.iter().map(|landed| landed.finished.clone()).collect();
        let rows = Rows::of(sink.inputs, &finished);
        let statement = statement(sink.inputs);
        let ordinals: Vec<i32> = landed.iter().map(|landed| landed.ordinal).collect();
        let classes: Vec<&str> = landed.iter().map(|landed| landed.class).collect();
        let states: Vec<&str> = (finished.iter())
            .map(|row| match row.ending {
                Ending::Answered { .. } => "answered",
                Ending::Rejected { .. } => "rejected",
                Ending::Released => "returned",
            })
            .collect();
        let calls: Vec<i64> = finished.iter().flat_map(|row| row.calls.iter().map(|call| call.id.0)).collect();
        self.retrying(|| async {
            let mut tx = self.pool().begin().await?;
            // A row that was given up and is not taken up again takes its answer all the same.
            sqlx::query(
                "update tasks t set state = 'leased', worker_id = $3 from batch_requests r
                 where r.batch_id = $1 and r.ordinal = any($4) and t.stage_id = $2 and t.input_id = r.input_id
                   and t.sample = r.sample and t.state in ('batched', 'ready')",
            )
            .bind(batch)
            .bind(sink.stage)
            .bind(sink.worker)
            .bind(&ordinals)
            .execute(&mut *tx)
            .await?;
            rows.bind(&statement, sink).execute(&mut *tx).await?;
            sqlx::query("update llm_calls set batch_id = $1 where id = any($2)")
                .bind(batch)
                .bind(&calls)
                .execute(&mut *tx)
                .await?;
            sqlx::query(
                "with done as (
                     update batch_requests r set state = f.state, class = f.class
                     from unnest($2::int[], $3::text[], $4::text[]) f (ordinal, state, class)
                     where r.batch_id = $1 and r.ordinal = f.ordinal and r.state in ('out', 'returned')
                     returning r.reserved_tokens, r.reserved_microdollars)
                 update batches set reserved_tokens = reserved_tokens - (select coalesce(sum(reserved_tokens), 0) from done),
                     reserved_microdollars =
                         reserved_microdollars - (select coalesce(sum(reserved_microdollars), 0) from done)
                 where id = $1 and state not in ('imported', 'released')",
            )
            .bind(batch)
            .bind(&ordinals)
            .bind(&states)
            .bind(&classes)
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        })
        .await
    }

    /// Ends a batch: requests of which nothing was heard are `class`, and their rows are to be done again; their number.
    pub async fn end_batch(&self, batch: BatchId, state: &str, class: &str) -> StoreResult<u64> {
        self.retrying(|| async {
            let mut tx = self.pool().begin().await?;
            let returned = sqlx::query(
                "with rest as (update batch_requests set state = 'returned', class = $2
                     where batch_id = $1 and state = 'out' returning input_id, sample)
                 update tasks t set state = 'ready' from rest r, batches b
                 where b.id = $1 and t.stage_id = b.stage_id and t.input_id = r.input_id and t.sample = r.sample
                   and t.state = 'batched'",
            )
            .bind(batch)
            .bind(class)
            .execute(&mut *tx)
            .await?;
            sqlx::query(
                "update batches set state = $2, reserved_tokens = 0, reserved_microdollars = 0, imported_at = now()
                 where id = $1",
            )
            .bind(batch)
            .bind(state)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(returned.rows_affected())
        })
        .await
    }

    /// Rows of `stage` that are out in batches.
    pub async fn rows_out(&self, stage: StageId) -> StoreResult<i64> {
        self.retrying(|| async {
            sqlx::query_scalar("select count(*) from tasks where stage_id = $1 and state = 'batched'")
                .bind(stage)
                .fetch_one(self.pool())
                .await
        })
        .await
    }
}

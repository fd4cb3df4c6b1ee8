//! What stages that call models commit: calls, answers, rejections and the tasks they end, in one transaction.
//!
//! Many answers share a transaction (group commit), so that thousands a second can be durable.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::tasks::Inputs;
use super::{Store, StoreResult};
use crate::ids::{CallId, RunId, StageId, WorkerId};

/// A row of `llm_calls`.
#[derive(Clone, Debug)]
pub struct NewCall {
    /// From [`Store::call_ids`].
    pub id: CallId,
    /// Attempt within the row, from 1.
    pub attempt: u32,
    /// Hash of the request.
    pub request_key: [u8; 16],
    /// `ok`, or the class of failure.
    pub class: &'static str,
    /// HTTP status.
    pub status: Option<u16>,
    /// What went wrong.
    pub message: Option<String>,
    /// As the server said.
    pub finish_reason: Option<String>,
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u32>,
    /// Tokens of the answer.
    pub completion_tokens: Option<u32>,
    /// Millionths of a dollar.
    pub cost_microdollars: Option<i64>,
    /// Milliseconds.
    pub latency_ms: f64,
    /// When it was sent.
    pub started_at: DateTime<Utc>,
    /// Raw answer, of a call of class `ok`.
    pub answer: Option<String>,
}

/// How a task ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// With an answer; for code, the number of blocks it was found in.
    Answered {
        /// Cleaned text.
        text: String,
        /// Code blocks in the raw answer.
        blocks: u32,
        /// The call it was paid with.
        call: CallId,
    },
    /// With a reason.
    Rejected {
        /// Class of failure.
        class: String,
        /// In words.
        message: String,
    },
    /// Not at all: it is free for the next worker.
    Released,
}

/// A task that a worker is done with.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Snippet or description.
    pub input_id: i64,
    /// Its snippet.
    pub snippet_id: i64,
    /// Sample number.
    pub sample: i32,
    /// Every attempt.
    pub calls: Vec<NewCall>,
    /// How it ended.
    pub ending: Ending,
}

/// Where finished tasks belong.
#[derive(Clone, Debug)]
pub struct AnswerSink {
    /// The run.
    pub run: RunId,
    /// The stage.
    pub stage: StageId,
    /// Who leased the tasks.
    pub worker: WorkerId,
    /// Snippets: answers are descriptions; descriptions: answers are completions.
    pub inputs: Inputs,
    /// Role of completions.
    pub role: String,
    /// Endpoint asked.
    pub endpoint: String,
    /// Model asked.
    pub model: String,
}

impl Store {
    /// The next `count` identifiers of calls.
    pub async fn call_ids(&self, count: u32) -> StoreResult<Vec<CallId>> {
        self.retrying(|| async {
            sqlx::query_scalar("select nextval('llm_calls_id_seq') from generate_series(1, $1)")
                .bind(count as i32)
                .fetch_all(self.pool())
                .await
        })
        .await
    }

    /// Answers that were paid for already, by request.
    pub async fn ledger(&self, keys: &[[u8; 16]]) -> StoreResult<HashMap<[u8; 16], (CallId, String)>> {
        let keys: Vec<&[u8]> = keys.iter().map(<[u8; 16]>::as_slice).collect();
        let rows: Vec<(Vec<u8>, CallId, String)> = self
            .retrying(|| async {
                sqlx::query_as(
                    "select distinct on (request_key) request_key, id, answer from llm_calls
                     where class = 'ok' and request_key = any($1) order by request_key, id",
                )
                .bind(&keys)
                .fetch_all(self.pool())
                .await
            })
            .await?;
        Ok(rows.into_iter().filter_map(|(key, id, answer)| Some((key.try_into().ok()?, (id, answer)))).collect())
    }

    /// Commits what a worker is done with.
    ///
    /// A task that another worker has taken over meanwhile keeps that worker's answer; the call is on record all the same.
    pub async fn commit_answers(&self, sink: &AnswerSink, finished: &[Finished]) -> StoreResult<()> {
        self.retrying(|| async {
            let mut tx = self.pool().begin().await?;
            insert_calls(&mut tx, sink, finished).await?;
            insert_answers(&mut tx, sink, finished).await?;
            insert_rejections(&mut tx, sink, finished).await?;
            end_tasks(&mut tx, sink, finished).await?;
            tx.commit().await
        })
        .await
    }

    /// Frees what `worker` has leased of `stage` but does not know of, as after a claim whose reply was lost.
    pub async fn release(&self, stage: StageId, worker: WorkerId) -> StoreResult<()> {
        self.retrying(|| async {
            sqlx::query(
                "update tasks set state = 'ready', worker_id = null
                 where stage_id = $1 and worker_id = $2 and state = 'leased'",
            )
            .bind(stage)
            .bind(worker)
            .execute(self.pool())
            .await
        })
        .await?;
        Ok(())
    }
}

async fn insert_calls(connection: &mut PgConnection, sink: &AnswerSink, finished: &[Finished]) -> sqlx::Result<()> {
    let calls: Vec<(&Finished, &NewCall)> =
        finished.iter().flat_map(|row| row.calls.iter().map(move |call| (row, call))).collect();
    if calls.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&(&Finished, &NewCall)) -> i64| calls.iter().map(of).collect::<Vec<_>>();
    sqlx::query(
        "insert into llm_calls (run_id, stage_id, endpoint, model, id, input_id, sample, attempt, request_key, class,
             status, message, finish_reason, prompt_tokens, completion_tokens, cost_microdollars, latency_ms,
             started_at, answer)
         select $1, $2, $3, $4, * from unnest($5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bytea[],
             $10::text[], $11::int[], $12::text[], $13::text[], $14::int[], $15::int[], $16::bigint[],
             $17::double precision[], $18::timestamptz[], $19::text[])
         on conflict (id) do nothing",
    )
    .bind(sink.run)
    .bind(sink.stage)
    .bind(&sink.endpoint)
    .bind(&sink.model)
    .bind(column(|(_, call)| call.id.0))
    .bind(column(|(row, _)| row.input_id))
    .bind(column(|(row, _)| row.sample.into()))
    .bind(column(|(_, call)| call.attempt.into()))
    .bind(calls.iter().map(|(_, call)| call.request_key.as_slice()).collect::<Vec<_>>())
    .bind(calls.iter().map(|(_, call)| call.class).collect::<Vec<_>>())
    .bind(calls.iter().map(|(_, call)| call.status.map(i32::from)).collect::<Vec<_>>())
    .bind(calls.iter().map(|(_, call)| call.message.as_deref()).collect::<Vec<_>>())
    .bind(calls.iter().map(|(_, call)| call.finish_reason.as_deref()).collect::<Vec<_>>())
    .bind(calls.iter().map(|(_, call)| call.prompt_tokens.map(|n| n as i32)).collect::<Vec<_>>())
    .bind(calls.iter().map(|(_, call)| call.completion_tokens.map(|n| n as i32)).collect::<Vec<_>>())
    .bind(calls.iter().map(|(_, call)| call.cost_microdollars).collect::<Vec<_>>())
    .bind(calls.iter().map(|(_, call)| call.latency_ms).collect::<Vec<_>>())
    .bind(calls.iter().map(|(_, call)| call.started_at).collect::<Vec<_>>())
    .bind(calls.iter().map(|(_, call)| call.answer.as_deref()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_answers(connection: &mut PgConnection, sink: &AnswerSink, finished: &[Finished]) -> sqlx::Result<()> {
    let mut inputs = Vec::new();
    let (mut samples, mut texts, mut blocks, mut calls) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in finished {
        if let Ending::Answered { text, blocks: count, call } = &row.ending {
            inputs.push(row.input_id);
            samples.push(row.sample);
            texts.push(text.as_str());
            blocks.push(*count as i32);
            calls.push(call.0);
        }
    }
    if inputs.is_empty() {
        return Ok(());
    }
    let query = match sink.inputs {
        Inputs::Snippets => sqlx::query(
            "insert into descriptions (stage_id, snippet_id, sample, text, call_id)
             select $1, * from unnest($2::bigint[], $3::int[], $4::text[], $5::bigint[]) on conflict do nothing",
        )
        .bind(sink.stage)
        .bind(inputs)
        .bind(samples)
        .bind(texts)
        .bind(calls),
        Inputs::Descriptions => sqlx::query(
            "insert into completions (stage_id, role, description_id, sample, text, call_id, blocks)
             select $1, $6, * from unnest($2::bigint[], $3::int[], $4::text[], $5::bigint[], $7::int[])
             on conflict do nothing",
        )
        .bind(sink.stage)
        .bind(inputs)
        .bind(samples)
        .bind(texts)
        .bind(calls)
        .bind(&sink.role)
        .bind(blocks),
    };
    query.execute(connection).await?;
    Ok(())
}

async fn insert_rejections(
    connection: &mut PgConnection,
    sink: &AnswerSink,
    finished: &[Finished],
) -> sqlx::Result<()> {
    let (mut snippets, mut descriptions, mut samples) = (Vec::new(), Vec::new(), Vec::new());
    let (mut classes, mut messages) = (Vec::new(), Vec::new());
    for row in finished {
        if let Ending::Rejected { class, message } = &row.ending {
            snippets.push(row.snippet_id);
            descriptions.push(Some(row.input_id).filter(|_| sink.inputs == Inputs::Descriptions));
            samples.push(row.sample);
            classes.push(class.as_str());
            messages.push(message.as_str());
        }
    }
    if snippets.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into rejections (run_id, stage_id, document_id, path, snippet_id, description_id, sample, class, message)
         select $1, $2, d.id, d.path, r.*
         from unnest($3::bigint[], $4::bigint[], $5::int[], $6::text[], $7::text[])
              r (snippet_id, description_id, sample, class, message)
         join snippets s on s.id = r.snippet_id join documents d on d.id = s.document_id
         -- A commit whose reply was lost is sent again.
         where not exists (select from tasks t where t.stage_id = $2 and t.sample = r.sample and t.state <> 'leased'
             and t.input_id = coalesce(r.description_id, r.snippet_id))",
    )
    .bind(sink.run)
    .bind(sink.stage)
    .bind(snippets)
    .bind(descriptions)
    .bind(samples)
    .bind(classes)
    .bind(messages)
    .execute(connection)
    .await?;
    Ok(())
}

async fn end_tasks(connection: &mut PgConnection, sink: &AnswerSink, finished: &[Finished]) -> sqlx::Result<()> {
    let states: Vec<&str> = finished
        .iter()
        .map(|row| match row.ending {
            Ending::Answered { .. } => "done",
            Ending::Rejected { .. } => "rejected",
            Ending::Released => "ready",
        })
        .collect();
    sqlx::query(
        "update tasks t set state = f.state, worker_id = null
         from unnest($3::bigint[], $4::int[], $5::text[]) f (input_id, sample, state)
         where t.stage_id = $1 and t.input_id = f.input_id and t.sample = f.sample
           and t.state = 'leased' and t.worker_id = $2",
    )
    .bind(sink.stage)
    .bind(sink.worker)
    .bind(finished.iter().map(|row| row.input_id).collect::<Vec<_>>())
    .bind(finished.iter().map(|row| row.sample).collect::<Vec<_>>())
    .bind(states)
    .execute(connection)
    .await?;
    Ok(())
}

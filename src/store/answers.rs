//! What stages that call models commit: calls, answers, rejections and the tasks they end, in one transaction.
//!
//! Many answers share a transaction (group commit), so that thousands a second can be durable.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::tasks::{Inputs, Task};
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
    /// Milliseconds to the first piece of a streamed answer.
    pub first_token_ms: Option<f64>,
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
    /// Which one.
    pub task: Task,
    /// Every attempt.
    pub calls: Vec<NewCall>,
    /// How it ended.
    pub ending: Ending,
    /// The request that was entered as under way for it, which it is no longer.
    pub entered: Option<[u8; 16]>,
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
    /// Snippets: answers are descriptions; descriptions: answers are completions; questions: answers are samples;
    /// pairs: answers are judgements.
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
                     where class = 'ok' and request_key = any($1) and superseded_at is null
                     order by request_key, id",
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
        let rows = Rows::of(sink.inputs, finished);
        let statement = statement(sink.inputs);
        self.retrying(|| async { rows.bind(&statement, sink).execute(self.writers()).await }).await?;
        Ok(())
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

/// All of it as one statement, which is one transaction and one round trip.
///
/// An id that is there, an answer that is there and a task that has ended are passed over: a commit whose reply was lost
/// is sent again. Tasks and requests under way are found one by one, by their primary keys; `lateral` with `limit`, and a
/// subquery for one value, leave no other plan. As a join it is planned while the tables are small, and then every commit
/// reads all tasks of the stage, or an index that is full of deleted requests.
pub(super) fn statement(inputs: Inputs) -> String {
    let answers = match inputs {
        Inputs::Snippets => {
            "descriptions (stage_id, snippet_id, sample, text, call_id)
             select $2, * from unnest($20::bigint[], $21::int[], $22::text[], $23::bigint[])"
        }
        Inputs::Descriptions => {
            "completions (stage_id, role, description_id, sample, text, call_id, blocks)
             select $2, $35, * from unnest($20::bigint[], $21::int[], $22::text[], $23::bigint[], $36::int[])"
        }
        Inputs::Questions => {
            "samples (stage_id, question_id, sample, text, call_id)
             select $2, * from unnest($20::bigint[], $21::int[], $22::text[], $23::bigint[])"
        }
        // With the order of showing, as the prompt had it.
        Inputs::Pairs => {
            "judgements (stage_id, pair_id, chosen_first, verdict, call_id)
             select $2, p.id, chosen_shown_first(p.prompt, c.text, r.text), a.verdict, a.call_id
             from unnest($20::bigint[], $21::int[], $22::text[], $23::bigint[]) a (pair_id, sample, verdict, call_id)
             join pairs p on p.id = a.pair_id join completions c on c.id = p.chosen_id
             join completions r on r.id = p.rejected_id"
        }
    };
    // What was rejected: where it stands, and the column of what it is beyond its snippet.
    let (place, tables) = match inputs {
        Inputs::Snippets | Inputs::Descriptions | Inputs::Pairs => {
            ("d.id, d.path", "join snippets s on s.id = r.snippet_id join documents d on d.id = s.document_id")
        }
        Inputs::Questions => ("null::bigint, q.file", "join questions q on q.id = r.own_id"),
    };
    let own = match inputs {
        Inputs::Snippets | Inputs::Descriptions => "description_id",
        Inputs::Questions => "question_id",
        Inputs::Pairs => "pair_id",
    };
    format!(
        "with calls as (
             insert into llm_calls (run_id, stage_id, endpoint, model, id, input_id, sample, attempt, request_key,
                 class, status, message, finish_reason, prompt_tokens, completion_tokens, cost_microdollars,
                 latency_ms, started_at, answer, first_token_ms)
             select $1, $2, $3, $4, * from unnest($5::bigint[], $6::bigint[], $7::int[], $8::int[], $9::bytea[],
                 $10::text[], $11::int[], $12::text[], $13::text[], $14::int[], $15::int[], $16::bigint[],
                 $17::double precision[], $18::timestamptz[], $19::text[], $33::double precision[])
             on conflict (id) do nothing),
         answers as (insert into {answers} on conflict do nothing),
         rejected as (
             insert into rejections (run_id, stage_id, document_id, path, snippet_id, {own}, sample, class, message)
             select $1, $2, {place}, r.*
             from unnest($24::bigint[], $25::bigint[], $26::int[], $27::text[], $28::text[])
                  r (snippet_id, own_id, sample, class, message)
             {tables}
             where coalesce((select t.state from tasks t where t.stage_id = $2 and t.sample = r.sample
                 and t.input_id = coalesce(r.own_id, r.snippet_id)), 'leased') = 'leased'),
         left_off as (
             delete from requests_under_way where ctid = any(array(
                 select u.ctid from unnest($34::bytea[]) e (key) cross join lateral (
                     select ctid from requests_under_way
                     where request_key = e.key and worker_id = $29 and stage_id = $2 limit 1) u)))
         update tasks t set state = f.state, worker_id = null
         from (select found.ctid, e.state from unnest($30::bigint[], $31::int[], $32::text[]) e (input_id, sample, state)
             cross join lateral (
                 select ctid from tasks
                 where stage_id = $2 and input_id = e.input_id and sample = e.sample limit 1) found) f
         where t.ctid = f.ctid and (t.state, t.worker_id) is not distinct from ('leased', $29)"
    )
}

/// What is committed, sorted by table.
pub(super) struct Rows<'f> {
    finished: &'f [Finished],
    calls: Vec<(&'f Finished, &'f NewCall)>,
    answers: Vec<(&'f Finished, &'f str, i32, i64)>,
    /// With the input, where it is no snippet.
    rejected: Vec<(&'f Finished, Option<i64>, &'f str, &'f str)>,
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

impl<'f> Rows<'f> {
    pub(super) fn of(inputs: Inputs, finished: &'f [Finished]) -> Self {
        let calls = finished.iter().flat_map(|row| row.calls.iter().map(move |call| (row, call))).collect();
        let mut rows = Self { finished, calls, answers: Vec::new(), rejected: Vec::new() };
        for row in finished {
            match &row.ending {
                Ending::Answered { text, blocks, call } => rows.answers.push((row, text, *blocks as i32, call.0)),
                Ending::Rejected { class, message } => {
                    let own = (inputs != Inputs::Snippets).then_some(row.task.input_id);
                    rows.rejected.push((row, own, class, message));
                }
                Ending::Released => {}
            }
        }
        rows
    }

    pub(super) fn bind<'q>(&'q self, statement: &'q str, sink: &'q AnswerSink) -> Query<'q> {
        let Self { finished, calls, answers, rejected } = self;
        let states = finished.iter().map(|row| match row.ending {
            Ending::Answered { .. } => "done",
            Ending::Rejected { .. } => "rejected",
            Ending::Released => "ready",
        });
        // SQL that `statement` has put together from constants.
        let query = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(sink.run)
            .bind(sink.stage)
            .bind(&sink.endpoint)
            .bind(&sink.model)
            .bind(column(calls, |(_, call)| call.id.0))
            .bind(column(calls, |(row, _)| row.task.input_id))
            .bind(column(calls, |(row, _)| row.task.sample))
            .bind(column(calls, |(_, call)| call.attempt as i32))
            .bind(column(calls, |(_, call)| call.request_key.as_slice()))
            .bind(column(calls, |(_, call)| call.class))
            .bind(column(calls, |(_, call)| call.status.map(i32::from)))
            .bind(column(calls, |(_, call)| call.message.as_deref()))
            .bind(column(calls, |(_, call)| call.finish_reason.as_deref()))
            .bind(column(calls, |(_, call)| call.prompt_tokens.map(|n| n as i32)))
            .bind(column(calls, |(_, call)| call.completion_tokens.map(|n| n as i32)))
            .bind(column(calls, |(_, call)| call.cost_microdollars))
            .bind(column(calls, |(_, call)| call.latency_ms))
            .bind(column(calls, |(_, call)| call.started_at))
            .bind(column(calls, |(_, call)| call.answer.as_deref()))
            .bind(column(answers, |(row, ..)| row.task.input_id))
            .bind(column(answers, |(row, ..)| row.task.sample))
            .bind(column(answers, |(_, text, ..)| *text))
            .bind(column(answers, |(.., call)| *call))
            .bind(column(rejected, |(row, ..)| row.task.snippet_id))
            .bind(column(rejected, |(_, own, ..)| *own))
            .bind(column(rejected, |(row, ..)| row.task.sample))
            .bind(column(rejected, |(_, _, class, _)| *class))
            .bind(column(rejected, |(.., message)| *message))
            .bind(sink.worker)
            .bind(column(finished, |row| row.task.input_id))
            .bind(column(finished, |row| row.task.sample))
            .bind(states.collect::<Vec<_>>())
            .bind(column(calls, |(_, call)| call.first_token_ms))
            .bind(finished.iter().filter_map(|row| row.entered.as_ref()).map(<[u8; 16]>::as_slice).collect::<Vec<_>>());
        match sink.inputs {
            Inputs::Snippets | Inputs::Questions | Inputs::Pairs => query,
            Inputs::Descriptions => query.bind(&sink.role).bind(column(answers, |(_, _, blocks, _)| *blocks)),
        }
    }
}

fn column<'r, Row, T>(rows: &'r [Row], of: impl Fn(&'r Row) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::runs::NewRun;
    use super::super::testing::TestDatabase;
    use super::*;

    async fn lease(store: &Store, from: i64, to: i64) {
        let all = "insert into tasks (stage_id, input_id, state, worker_id)
                   select 1, n, 'leased', 1 from generate_series($1, $2) n";
        sqlx::query(all).bind(from).bind(to).execute(store.pool()).await.unwrap();
    }

    /// Answers one input and rejects the next; the entries of the queue and of its indexes that were read for it.
    async fn commit(store: &Store, run: RunId, input: i64) -> i64 {
        let sink = AnswerSink {
            run,
            stage: StageId(1),
            worker: WorkerId(1),
            inputs: Inputs::Snippets,
            role: String::new(),
            endpoint: String::new(),
            model: String::new(),
        };
        let answered = Ending::Answered { text: "sorts".into(), blocks: 0, call: CallId(1) };
        let rejected = Ending::Rejected { class: "empty".into(), message: String::new() };
        let finished = [(input, answered), (input + 1, rejected)].map(|(input_id, ending)| Finished {
            task: Task { input_id, snippet_id: Some(input_id), sample: 0 },
            calls: Vec::new(),
            ending,
            entered: Some([input_id as u8; 16]),
        });
        let (rows, statement) = (Rows::of(sink.inputs, &finished), statement(sink.inputs));
        let mut transaction = store.writers().begin().await.unwrap();
        rows.bind(&statement, &sink).execute(&mut *transaction).await.unwrap();
        let read = "select sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid))::bigint
                    from pg_class where oid = 'tasks'::regclass
                        or oid in (select indexrelid from pg_index where indrelid = 'tasks'::regclass)";
        let read = sqlx::query_scalar(read).fetch_one(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        read
    }

    #[tokio::test]
    async fn a_commit_reads_its_own_tasks_only_however_long_the_queue_has_become_since_it_was_planned() {
        let test = TestDatabase::new().await;
        let store = Store::from(test.database.clone());
        let inputs = "
            with s as (insert into stages (fingerprint, kind, name, settings) values ('s', 'parse', 's', '{}')
                returning id),
            h as (insert into shards (stage_id, ordinal, name, kind, bytes, repository)
                select id, 0, 'h', 'folder', 1, 'r' from s returning id, stage_id),
            d as (insert into documents (stage_id, shard_id, entry, repository, path, content, content_hash, bytes,
                    lines, longest_line, mean_line, alphanumeric_share, comment_share, parse_errors)
                select stage_id, id, 0, 'r', 'p', 'c', '', 1, 1, 1, 1, 1, 0, 0 from h returning id, stage_id)
            insert into snippets (stage_id, document_id, ordinal, unit, name, qualified_name, start_line, end_line,
                signature, text, token_estimate)
            select stage_id, id, n, 'function', 'n', 'q', 1, 2, 'def n()', 'c', 1 from d, generate_series(1, 4) n";
        sqlx::query(inputs).execute(store.pool()).await.unwrap();
        let text = String::new;
        let new = NewRun { pipeline: text(), file: text(), definition: text(), options: serde_json::json!({}) };
        let run = store.enter_run(&new, &[]).await.unwrap();
        lease(&store, 1, 50).await;
        commit(&store, run, 1).await;
        lease(&store, 51, 20_000).await;
        let read = commit(&store, run, 3).await;
        assert!((2..50).contains(&read), "{read} rows");
        let ended = "select array_agg(state order by input_id) from tasks where state <> 'leased'";
        let ended: Vec<String> = sqlx::query_scalar(ended).fetch_one(store.pool()).await.unwrap();
        assert_eq!(ended, ["done", "rejected", "done", "rejected"]);
        let rejections = "select count(*) from rejections";
        assert_eq!(sqlx::query_scalar::<_, i64>(rejections).fetch_one(store.pool()).await.unwrap(), 2);
    }
}

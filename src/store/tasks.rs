//! The queue of stages that call models.
//!
//! A task is one answer wanted. Rows of the stage before are followed by transaction id: whatever was written by a
//! transaction older than the oldest one still open has been seen, so a late commit of a lower id is never missed.

use sqlx::FromRow;

use super::{Store, StoreResult};
use crate::ids::{StageId, WorkerId};

/// Where the inputs of a stage are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// `snippets`: the stage describes.
    Snippets,
    /// `descriptions`: the stage generates code.
    Descriptions,
    /// `questions`: the stage generates answers.
    Questions,
    /// `pairs`: the stage judges.
    Pairs,
}

impl Inputs {
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Snippets => "snippets",
            Self::Descriptions => "descriptions",
            Self::Questions => "questions",
            Self::Pairs => "pairs",
        }
    }

    /// What prompts may speak of, of rows `i (id, sample)`: columns, and the tables that hold them.
    pub(super) fn shown(self) -> (&'static str, &'static str) {
        match self {
            Self::Snippets => (
                "s.text as code, s.name, s.qualified_name, s.unit, s.signature, s.docstring, s.imports, d.path,
                 d.repository, s.id as snippet_id",
                "join snippets s on s.id = i.id join documents d on d.id = s.document_id",
            ),
            Self::Descriptions => (
                "s.text as code, s.name, s.qualified_name, s.unit, s.signature, s.docstring, s.imports, d.path,
                 d.repository, s.id as snippet_id, e.text as description",
                "join descriptions e on e.id = i.id join snippets s on s.id = e.snippet_id
                 join documents d on d.id = s.document_id",
            ),
            Self::Questions => {
                ("q.prompt, q.subset, q.key as qualified_name, q.file as path", "join questions q on q.id = i.id")
            }
            Self::Pairs => (
                "p.prompt, e.text as description, d.path, d.repository, s.qualified_name, s.id as snippet_id,
                 case when chosen_shown_first(p.prompt, c.text, r.text) then c.text else r.text end as first,
                 case when chosen_shown_first(p.prompt, c.text, r.text) then r.text else c.text end as second",
                "join pairs p on p.id = i.id join completions c on c.id = p.chosen_id
                 join completions r on r.id = p.rejected_id join descriptions e on e.id = p.description_id
                 join snippets s on s.id = e.snippet_id join documents d on d.id = s.document_id",
            ),
        }
    }
}

/// How far a stage has followed its inputs; kept in memory, the first round looks at everything.
#[derive(Clone, Debug, Default)]
pub struct Follow {
    /// Inputs by id, until this is `None`: the first round is over.
    first_round_after: Option<i64>,
    started: bool,
    /// The first transaction that has not been seen.
    seen_before: String,
    /// The first transaction that began after inputs had ended.
    ended_before: Option<u64>,
}

impl Follow {
    /// Whether there may be inputs that were there before it began.
    pub fn is_behind(&self) -> bool {
        !self.started || self.first_round_after.is_some()
    }

    /// Whether everything that was written before the first call of this has been seen; call it once inputs have ended.
    pub async fn is_complete(&mut self, store: &Store) -> StoreResult<bool> {
        if self.first_round_after.is_some() {
            return Ok(false);
        }
        let ended_before = match self.ended_before {
            Some(transaction) => transaction,
            None => {
                let next: String = store
                    .retrying(|| async {
                        sqlx::query_scalar("select pg_snapshot_xmax(pg_current_snapshot())::text")
                            .fetch_one(store.pool())
                            .await
                    })
                    .await?;
                *self.ended_before.insert(next.parse().unwrap_or(u64::MAX))
            }
        };
        Ok(self.seen_before.parse().is_ok_and(|seen: u64| seen >= ended_before))
    }
}

/// Which of a stage's tasks it is: one answer wanted for one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Snippet, description, question or pair.
    pub input_id: i64,
    /// Its snippet; none of a question.
    pub snippet_id: Option<i64>,
    /// Sample number.
    pub sample: i32,
}

/// A claimed task with what its prompt may speak of; what its inputs do not have is empty.
#[derive(Clone, Debug, Default, FromRow, serde::Serialize)]
#[sqlx(default)]
pub struct Claimed {
    /// Snippet, description, question or pair.
    #[serde(skip)]
    pub input_id: i64,
    /// Sample number.
    pub sample: i32,
    /// The snippet.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Its qualified name; the key of a question.
    pub qualified_name: String,
    /// function, method, class or module.
    pub unit: String,
    /// Its `def` or `class` line.
    pub signature: String,
    /// Its docstring.
    pub docstring: Option<String>,
    /// Modules it uses.
    pub imports: Vec<String>,
    /// Path of its document, or of the question's file.
    pub path: String,
    /// Repository of its document.
    pub repository: String,
    /// The description; none while describing.
    pub description: Option<String>,
    /// What a question asks, or a pair's prompt.
    pub prompt: Option<String>,
    /// A side of a pair, the one that is shown first.
    pub first: Option<String>,
    /// The other side.
    pub second: Option<String>,
    /// Part of the benchmark that a question belongs to.
    pub subset: Option<String>,
    /// Its snippet; none of a question.
    #[serde(skip)]
    pub snippet_id: Option<i64>,
}

impl Claimed {
    /// Which task it is.
    pub fn task(&self) -> Task {
        Task { input_id: self.input_id, snippet_id: self.snippet_id, sample: self.sample }
    }
}

/// Inputs taken up in one round at most.
const FEED_ROWS: i64 = 20_000;
/// In the very first round: the first call waits for it.
const FIRST_ROWS: i64 = 2000;

impl Store {
    /// Queues tasks for inputs that appeared since the last call; the number of inputs looked at.
    pub async fn feed(
        &self,
        stage: StageId,
        from: StageId,
        inputs: Inputs,
        samples: u32,
        follow: &mut Follow,
    ) -> StoreResult<u64> {
        if !follow.started {
            let seen_before = self.horizon().await?;
            *follow = Follow { first_round_after: Some(0), started: true, seen_before, ended_before: None };
        }
        match follow.first_round_after {
            Some(after) => self.feed_first(stage, from, inputs, samples, after, follow).await,
            None => self.feed_next(stage, from, inputs, samples, follow).await,
        }
    }

    /// The oldest transaction still open: all before it has been seen by whoever looks now.
    async fn horizon(&self) -> StoreResult<String> {
        self.retrying(|| async {
            sqlx::query_scalar("select pg_snapshot_xmin(pg_current_snapshot())::text").fetch_one(self.pool()).await
        })
        .await
    }

    /// For inputs that are looked at once and at all of them: notes that they are seen by now; whether it is the first time.
    pub(super) async fn look_once(&self, follow: &mut Follow) -> StoreResult<bool> {
        follow.seen_before = self.horizon().await?;
        Ok(!std::mem::replace(&mut follow.started, true))
    }

    async fn feed_first(
        &self,
        stage: StageId,
        from: StageId,
        inputs: Inputs,
        samples: u32,
        after: i64,
        follow: &mut Follow,
    ) -> StoreResult<u64> {
        let table = inputs.table();
        let most = if after == 0 { FIRST_ROWS } else { FEED_ROWS };
        let statement = format!(
            "with page as (select i.id from {table} i where i.stage_id = $2 and i.id > $4
                 order by i.id limit {most}),
             queued as (insert into tasks (stage_id, input_id, sample)
                 select $1, page.id, n from page, generate_series(0, $3 - 1) n
                 where not exists (select from tasks t where t.stage_id = $1 and t.input_id = page.id and t.sample = n)
                 on conflict do nothing)
             select count(*), max(id) from page"
        );
        let (seen, last): (i64, Option<i64>) = self
            .retrying(|| async {
                sqlx::query_as(sqlx::AssertSqlSafe(statement.clone()))
                    .bind(stage)
                    .bind(from)
                    .bind(samples as i32)
                    .bind(after)
                    .fetch_one(self.pool())
                    .await
            })
            .await?;
        follow.first_round_after = if seen < most { None } else { last };
        Ok(seen as u64)
    }

    async fn feed_next(
        &self,
        stage: StageId,
        from: StageId,
        inputs: Inputs,
        samples: u32,
        follow: &mut Follow,
    ) -> StoreResult<u64> {
        let table = inputs.table();
        let statement = format!(
            "with horizon as materialized (select pg_snapshot_xmin(pg_current_snapshot()) as xmin),
             page as (select i.id from {table} i, horizon
                 where i.stage_id = $2 and i.xid >= $4::xid8 and i.xid < horizon.xmin),
             queued as (insert into tasks (stage_id, input_id, sample)
                 select $1, page.id, n from page, generate_series(0, $3 - 1) n on conflict do nothing)
             select (select count(*) from page), horizon.xmin::text from horizon"
        );
        let (seen, horizon): (i64, String) = self
            .retrying(|| async {
                sqlx::query_as(sqlx::AssertSqlSafe(statement.clone()))
                    .bind(stage)
                    .bind(from)
                    .bind(samples as i32)
                    .bind(&follow.seen_before)
                    .fetch_one(self.pool())
                    .await
            })
            .await?;
        follow.seen_before = horizon;
        Ok(seen as u64)
    }

    /// Leases up to `rows` ready tasks to `worker`, in order of input, and reads what their prompts need.
    pub async fn claim(
        &self,
        stage: StageId,
        inputs: Inputs,
        worker: WorkerId,
        rows: u64,
    ) -> StoreResult<Vec<Claimed>> {
        let (columns, tables) = inputs.shown();
        let statement = format!(
            "with leased as (update tasks set state = 'leased', worker_id = $2
                 where ctid = any(array(
                     select ctid from tasks where stage_id = $1 and state = 'ready'
                     order by input_id, sample limit $3 for update skip locked))
                 returning input_id as id, sample)
             select i.id as input_id, i.sample, {columns} from leased i {tables} order by i.id, i.sample"
        );
        self.retrying(|| async {
            sqlx::query_as(sqlx::AssertSqlSafe(statement.clone()))
                .bind(stage)
                .bind(worker)
                .bind(rows as i64)
                .fetch_all(self.pool())
                .await
        })
        .await
    }

    /// Number of tasks of `stage` that are not finished, of any worker.
    pub async fn count_open_tasks(&self, stage: StageId) -> StoreResult<u64> {
        let open: i64 = self
            .retrying(|| async {
                // Apart, as each half has an index of just those rows.
                sqlx::query_scalar(
                    "select (select count(*) from tasks where stage_id = $1 and state = 'ready')
                          + (select count(*) from tasks where stage_id = $1 and state = 'leased')",
                )
                .bind(stage)
                .fetch_one(self.pool())
                .await
            })
            .await?;
        Ok(open as u64)
    }

    /// Whether `stage` has tasks that are not finished, of any worker.
    pub async fn has_open_tasks(&self, stage: StageId) -> StoreResult<bool> {
        self.retrying(|| async {
            sqlx::query_scalar(
                "select exists (select from tasks where stage_id = $1 and state = 'ready')
                     or exists (select from tasks where stage_id = $1 and state = 'leased')",
            )
            .bind(stage)
            .fetch_one(self.pool())
            .await
        })
        .await
    }
}

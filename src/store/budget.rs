//! Money: what stages have spent, what calls in flight may still cost, and caps over both.
//!
//! `spending` is written by a trigger on `llm_calls`, so a committed call is counted in its own transaction. A worker with
//! a cap reserves before it calls ([`Store::reserve`]): what is spent, what live workers and batches have reserved, and
//! what is asked for must stay within the cap. A reservation is given back only after the call is committed, so that a
//! call is counted at every moment at least once.

use std::iter::Sum;
use std::ops::{Add, AddAssign, SubAssign};

use super::{Store, StoreResult};
use crate::ids::{StageId, WorkerId};

/// Serialises reservations; the first key of an advisory lock.
const BUDGET_LOCK: i32 = 0x0063_6d62;

/// Rows of `spending` that are merged at once.
const MERGED: i64 = 10_000;

/// Tokens and money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct Amount {
    /// Tokens of prompts and answers.
    pub tokens: i64,
    /// Millionths of a dollar.
    pub microdollars: i64,
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { tokens: self.tokens + other.tokens, microdollars: self.microdollars + other.microdollars }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Amount {
    fn sub_assign(&mut self, other: Self) {
        self.tokens -= other.tokens;
        self.microdollars -= other.microdollars;
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

impl Amount {
    /// Whether `other` is part of it.
    pub fn covers(self, other: Self) -> bool {
        other.tokens <= self.tokens && other.microdollars <= self.microdollars
    }
}

/// What the calls of a pipeline's stages may use, over all runs and processes; none: no end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Caps {
    /// Tokens of prompts and answers.
    pub tokens: Option<i64>,
    /// Millionths of a dollar.
    pub microdollars: Option<i64>,
}

impl Caps {
    /// Whether there is no cap at all.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// Whether `amount` is within the caps.
    pub fn allow(self, amount: Amount) -> bool {
        self.tokens.is_none_or(|cap| amount.tokens <= cap)
            && self.microdollars.is_none_or(|cap| amount.microdollars <= cap)
    }
}

/// Who reserves, and against what.
#[derive(Clone, Debug)]
pub struct Spender {
    /// The process.
    pub worker: WorkerId,
    /// The stage that it works on.
    pub stage: StageId,
    /// All stages under the cap.
    pub stages: Vec<StageId>,
    /// The cap.
    pub caps: Caps,
}

/// What became of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// What was granted.
    pub granted: Option<Amount>,
    /// What all stages under the cap have spent.
    pub spent: Amount,
    /// What others have reserved, and soon spend or give back: live workers, and this one's other stages.
    pub elsewhere: Amount,
    /// What batches may cost that are out.
    pub batched: Amount,
}

/// What a stage that asks a model has spent, over all runs.
#[derive(Clone, Debug, sqlx::FromRow, serde::Serialize)]
pub struct SpentFigure {
    /// The stage.
    pub stage_id: StageId,
    /// Its model.
    pub model: Option<String>,
    /// Calls that used tokens.
    pub calls: i64,
    /// Tokens of the prompts.
    pub prompt_tokens: i64,
    /// Tokens of the answers.
    pub completion_tokens: i64,
    /// Millionths of a dollar.
    pub cost_microdollars: i64,
}

/// What `$1`, stages, have spent, with the checks before runs of their models.
const SPENT: &str = "select (sum(tokens))::bigint as tokens, (sum(microdollars))::bigint as microdollars from (
        select coalesce(sum(prompt_tokens + completion_tokens), 0) as tokens,
               coalesce(sum(cost_microdollars), 0) as microdollars from spending where stage_id = any($1)
        union all
        select coalesce(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)), 0),
               coalesce(sum(cost_microdollars), 0)
        from preflights where model in (select model from stages where id = any($1))) s";

impl Store {
    /// `caps`, or lower ones of a run that goes on beside this one on any of `stages`.
    pub async fn joined_caps(&self, caps: Caps, stages: &[StageId]) -> StoreResult<Caps> {
        let (tokens, dollars): (Option<i64>, Option<f64>) = self
            .retrying(|| async {
                sqlx::query_as(
                    "select min((u.options->>'max_tokens')::bigint), min((u.options->>'max_cost')::float8) from runs u
                     where u.state = 'running' and (u.options ? 'max_tokens' or u.options ? 'max_cost')
                       and exists (select from run_stages s where s.run_id = u.id and s.stage_id = any($1)
                           and s.kind in ('describe', 'generate'))
                       and exists (select from workers w join pg_locks l on l.locktype = 'advisory'
                           and l.database = (select oid from pg_database where datname = current_database())
                           and l.classid = x'636d70'::int and l.objid::bigint = w.id where w.run_id = u.id)",
                )
                .bind(stages)
                .fetch_one(self.pool())
                .await
            })
            .await?;
        let microdollars = dollars.map(|dollars| (dollars * 1e6).round() as i64);
        let lower = |one: Option<i64>, other: Option<i64>| one.into_iter().chain(other).min();
        Ok(Caps { tokens: lower(caps.tokens, tokens), microdollars: lower(caps.microdollars, microdollars) })
    }

    /// Sets what `spender` has reserved to `held` and the first of `wishes` that the cap leaves room for; to `held` alone
    /// if there is none.
    pub async fn reserve(&self, spender: &Spender, held: Amount, wishes: &[Amount]) -> StoreResult<Reserved> {
        let Spender { worker, stage, stages, caps } = spender;
        self.retrying(|| async {
            let mut tx = self.pool().begin().await?;
            sqlx::query("select pg_advisory_xact_lock($1, 0)").bind(BUDGET_LOCK).execute(&mut *tx).await?;
            // Both in one statement, and so in one snapshot: a call that is committed meanwhile is in one of them.
            let statement = format!(
                "with spent as ({SPENT}),
                 live as (
                     select coalesce(sum(r.tokens), 0) as tokens, coalesce(sum(r.cost_microdollars), 0) as microdollars
                     from reservations r where r.stage_id = any($1) and (r.worker_id, r.stage_id) <> ($2, $3)
                       and exists (select from pg_locks l where l.locktype = 'advisory'
                           and l.database = (select oid from pg_database where datname = current_database())
                           and l.classid = x'636d70'::int and l.objid::bigint = r.worker_id)),
                 batched as (
                     select coalesce(sum(reserved_tokens), 0) as tokens,
                            coalesce(sum(reserved_microdollars), 0) as microdollars
                     from batches where stage_id = any($1) and state not in ('imported', 'released'))
                 select s.tokens, s.microdollars, l.tokens::bigint, l.microdollars::bigint, b.tokens::bigint,
                        b.microdollars::bigint
                 from spent s, live l, batched b"
            );
            let sums: (i64, i64, i64, i64, i64, i64) = sqlx::query_as(sqlx::AssertSqlSafe(statement))
                .bind(stages)
                .bind(worker)
                .bind(stage)
                .fetch_one(&mut *tx)
                .await?;
            let amount = |tokens, microdollars| Amount { tokens, microdollars };
            let (spent, elsewhere, batched) = (amount(sums.0, sums.1), amount(sums.2, sums.3), amount(sums.4, sums.5));
            let used = spent + elsewhere + batched + held;
            let granted = wishes.iter().copied().find(|wish| caps.allow(used + *wish));
            let mine = held + granted.unwrap_or_default();
            sqlx::query(
                "insert into reservations (worker_id, stage_id, tokens, cost_microdollars) values ($1, $2, $3, $4)
                 on conflict (worker_id, stage_id) do update set tokens = $3, cost_microdollars = $4",
            )
            .bind(worker)
            .bind(stage)
            .bind(mine.tokens)
            .bind(mine.microdollars)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(Reserved { granted, spent, elsewhere, batched })
        })
        .await
    }

    /// Gives back all that `worker` has reserved for `stage`.
    pub async fn give_back(&self, worker: WorkerId, stage: StageId) -> StoreResult<()> {
        self.retrying(|| async {
            sqlx::query("delete from reservations where worker_id = $1 and stage_id = $2")
                .bind(worker)
                .bind(stage)
                .execute(self.pool())
                .await
        })
        .await?;
        Ok(())
    }

    /// What `stages` have spent, over all runs.
    pub async fn spent(&self, stages: &[StageId]) -> StoreResult<Amount> {
        self.retrying(|| async { sqlx::query_as(SPENT).bind(stages).fetch_one(self.pool()).await }).await
    }

    /// What each of `stages` has spent, over all runs; those that have spent nothing are left out.
    pub async fn spent_by_stage(&self, stages: &[StageId]) -> StoreResult<Vec<SpentFigure>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select stage_id, model, calls, prompt_tokens, completion_tokens, cost_microdollars
                 from spent_by_stage where stage_id = any($1) order by stage_id",
            )
            .bind(stages)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// Merges rows of `spending`, so that adding them up stays cheap.
    pub async fn merge_spending(&self, stage: StageId) -> StoreResult<()> {
        self.retrying(|| async {
            sqlx::query(
                "with few as (select id from spending where stage_id = $1 order by id limit $2 for update skip locked),
                 gone as (delete from spending s using few where s.id = few.id and (select count(*) from few) > 1
                     returning s.*)
                 insert into spending (stage_id, calls, prompt_tokens, completion_tokens, cost_microdollars)
                 select stage_id, sum(calls), sum(prompt_tokens), sum(completion_tokens), sum(cost_microdollars)
                 from gone group by stage_id",
            )
            .bind(stage)
            .bind(MERGED)
            .execute(self.pool())
            .await
        })
        .await?;
        Ok(())
    }
}

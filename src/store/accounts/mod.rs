//! Limits of accounts, kept for all processes on the database, by its clock.
//!
//! Whoever wants to send asks a few times a second for all its calls at once. The account's row is locked, what the last
//! minute's slots hold is read, a grant is booked in the present slot, and that is committed: so grants are made one after
//! the other, and each is on disk before it is used. A grant is good for [`books::VALID`] from a moment before the
//! clock was read, so the difference between clocks does not matter. [`books`] has the arithmetic.
//!
//! While an account is paused, nothing is granted out of it. Whoever has no limits asks about pauses alone, now and then.

pub mod books;

use std::time::Duration;

use sqlx::Row as _;
use tokio::time::Instant;

use self::books::{Amount, Books, Lease, PerMinute, SLOTS, Want};
use super::lock::WORKER_LOCKS;
use super::{Store, StoreResult};
use crate::ids::WorkerId;

/// How long slots are kept, for people to look at.
const KEPT: i64 = 6000;

/// The longest pause that is believed.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// What a process asks of an account.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Requests, tokens of both kinds, of prompts, of answers, in any 60 seconds.
    pub per_minute: PerMinute,
    /// Calls in flight of all workers.
    pub concurrency: Option<u32>,
    /// What the waiting calls need, and those that are expected.
    pub want: Want,
    /// What was granted in a slot and not used; negative where more was used.
    pub unused: Vec<(i64, Amount)>,
    /// What was expected to be used of what was granted, and was not.
    pub unexpected: Amount,
    /// Calls in flight of this worker.
    pub in_flight: u32,
    /// Calls in flight, and those that wait to be.
    pub calls: u32,
}

/// What it is granted.
#[derive(Clone, Copy, Debug)]
pub struct Granted {
    /// What it is booked under.
    pub slot: i64,
    /// What may be sent.
    pub amount: Amount,
    /// Until when.
    pub until: Instant,
    /// Calls that the worker may have in flight.
    pub calls: u32,
    /// Until when nothing may be sent.
    pub paused_until: Option<Instant>,
}

impl Asked {
    fn has_limits(&self) -> bool {
        self.concurrency.is_some() || self.per_minute.iter().any(Option::is_some)
    }
}

impl Store {
    /// Enters an account, unless it is there.
    pub async fn enter_account(&self, account: &str) -> StoreResult<()> {
        self.retrying(|| async {
            sqlx::query("insert into accounts (name) values ($1) on conflict do nothing")
                .bind(account)
                .execute(self.pool())
                .await
        })
        .await?;
        Ok(())
    }

    /// Pauses an account for all processes, for so long from now or as long as it is paused already.
    pub async fn pause_account(&self, account: &str, wait: Duration) -> StoreResult<()> {
        self.retrying(|| async {
            sqlx::query(
                "update accounts set paused_until = greatest(paused_until, extract(epoch from clock_timestamp()) + $2)
                 where name = $1",
            )
            .bind(account)
            .bind(wait.as_secs_f64())
            .execute(self.pool())
            .await
        })
        .await?;
        Ok(())
    }

    /// Takes back what was not used, and grants what may be sent now.
    ///
    /// Of a commit whose reply is lost, the grant counts and is asked for anew, and what was given back is not given back a
    /// second time: both err on the side of the limit.
    ///
    /// # Errors
    /// Whatever the database says; nothing was granted then.
    pub async fn grant(&self, account: &str, worker: WorkerId, asked: &Asked) -> StoreResult<Granted> {
        let mut once = Some(asked.clone());
        self.retrying(|| {
            let unused = || Asked { unused: Vec::new(), unexpected: Amount::default(), ..asked.clone() };
            let asked = once.take().unwrap_or_else(unused);
            async move { self.try_grant(account, worker, &asked).await }
        })
        .await
    }

    async fn try_grant(&self, account: &str, worker: WorkerId, asked: &Asked) -> sqlx::Result<Granted> {
        if !asked.has_limits() {
            let paused = "select paused_until - extract(epoch from clock_timestamp())::double precision
                          from accounts where name = $1";
            let left = sqlx::query_scalar(paused).bind(account).fetch_one(self.pool()).await?;
            let none = Granted {
                slot: 0,
                amount: Amount::default(),
                until: Instant::now(),
                calls: u32::MAX,
                paused_until: None,
            };
            return Ok(Granted { paused_until: pause(left), ..none });
        }
        let mut tx = self.pool().begin().await?;
        let due = sqlx::query(
            "select requests_due, tokens_due, input_due, output_due, paused_until from accounts where name = $1 for update",
        )
        .bind(account)
        .fetch_one(&mut *tx)
        .await?;
        let mut books = Books { due: [due.get(0), due.get(1), due.get(2), due.get(3)], ..Books::default() };
        if !asked.unused.is_empty() {
            let column = |of: fn(Amount) -> i64| asked.unused.iter().map(|(_, unused)| of(*unused)).collect::<Vec<_>>();
            sqlx::query(
                "update account_slots s set requests = s.requests - u.requests,
                     input_tokens = s.input_tokens - u.input, output_tokens = s.output_tokens - u.output
                 from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) u (slot, requests, input, output)
                 where s.account = $1 and s.slot = u.slot",
            )
            .bind(account)
            .bind(asked.unused.iter().map(|(slot, _)| *slot).collect::<Vec<_>>())
            .bind(column(|unused| unused.requests))
            .bind(column(|unused| unused.input))
            .bind(column(|unused| unused.output))
            .execute(&mut *tx)
            .await?;
        }
        books.take_back(&asked.per_minute, asked.unexpected);
        // Before the clock is read, and after the wait for the row.
        let until = Instant::now() + books::VALID;
        let row = sqlx::query(
            "with clock as materialized (select extract(epoch from clock_timestamp())::double precision as now)
             select now, coalesce(sum(requests), 0)::bigint, coalesce(sum(input_tokens), 0)::bigint,
                    coalesce(sum(output_tokens), 0)::bigint
             from clock left join account_slots on account = $1 and slot > floor(now * 10)::bigint - $2 group by now",
        )
        .bind(account)
        .bind(SLOTS)
        .fetch_one(&mut *tx)
        .await?;
        books.now = row.get(0);
        books.window = Amount { requests: row.get(1), input: row.get(2), output: row.get(3) };
        let slot = books::slot(books.now);
        let paused_until = pause(due.get::<f64, _>(4) - books.now);
        let wanted = if paused_until.is_none() { asked.want } else { Want::default() };
        let amount = books.grant(&asked.per_minute, &wanted);
        if amount != Amount::default() {
            sqlx::query(
                "with old as (delete from account_slots where account = $1 and slot < $2 - $6)
                 insert into account_slots as s (account, slot, requests, input_tokens, output_tokens)
                 values ($1, $2, $3, $4, $5)
                 on conflict (account, slot) do update set requests = s.requests + excluded.requests,
                     input_tokens = s.input_tokens + excluded.input_tokens,
                     output_tokens = s.output_tokens + excluded.output_tokens",
            )
            .bind(account)
            .bind(slot)
            .bind(amount.requests)
            .bind(amount.input)
            .bind(amount.output)
            .bind(KEPT)
            .execute(&mut *tx)
            .await?;
        }
        sqlx::query(
            "update accounts set requests_due = $2, tokens_due = $3, input_due = $4, output_due = $5 where name = $1",
        )
        .bind(account)
        .bind(books.due[0])
        .bind(books.due[1])
        .bind(books.due[2])
        .bind(books.due[3])
        .execute(&mut *tx)
        .await?;
        let calls = match asked.concurrency {
            Some(limit) => lease(&mut tx, account, worker, limit, asked).await?,
            None => u32::MAX,
        };
        tx.commit().await?;
        Ok(Granted { slot, amount, until, calls, paused_until })
    }
}

/// The end of a pause of which so many seconds are left.
fn pause(left: f64) -> Option<Instant> {
    (left > 0.0).then(|| Instant::now() + Duration::from_secs_f64(left.min(LONGEST_PAUSE.as_secs_f64())))
}

/// Settles how many calls the worker may have in flight. Workers whose lock is free have none.
async fn lease(
    connection: &mut sqlx::PgConnection,
    account: &str,
    worker: WorkerId,
    limit: u32,
    asked: &Asked,
) -> sqlx::Result<u32> {
    let others: Vec<(i32, i32)> = sqlx::query_as(
        "select calls, wanted from account_leases l where account = $1 and worker_id <> $2 and exists (
             select from pg_locks k where k.locktype = 'advisory' and k.classid = $3::oid and k.objsubid = 2
                 and k.objid = l.worker_id::int::oid and k.granted
                 and k.database = (select oid from pg_database where datname = current_database()))",
    )
    .bind(account)
    .bind(worker)
    .bind(WORKER_LOCKS)
    .fetch_all(&mut *connection)
    .await?;
    let others: Vec<_> =
        others.into_iter().map(|(calls, wanted)| Lease { calls: calls as u32, wanted: wanted as u32 }).collect();
    let calls = books::lease(limit, asked.calls, &others);
    sqlx::query(
        "insert into account_leases (account, worker_id, calls, wanted) values ($1, $2, $3, $4)
         on conflict (account, worker_id) do update set calls = excluded.calls, wanted = excluded.wanted",
    )
    .bind(account)
    .bind(worker)
    .bind(calls.max(asked.in_flight) as i32)
    .bind(asked.calls as i32)
    .execute(connection)
    .await?;
    Ok(calls)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

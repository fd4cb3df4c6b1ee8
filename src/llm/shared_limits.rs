//! An account's limits as all processes on a database keep them together.
//!
//! A [`Keeper`], which `stages` makes of the database, is asked a few times a second for what the next calls will need, all
//! at once; what it grants lies in a pool that calls draw from. A grant must be used within a quarter of a second, so that
//! the keeper knows to that much when its units were sent, and a killed process takes no more than that with it. What was
//! not used in time, and what a call did not use of its estimate, goes back with the next question.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

use super::{Limits, Units};

/// Time between two questions to the keeper.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// After a keeper that could not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How old an answer about calls in flight may grow, so that other processes get their share.
const LEASE_AGE: Duration = Duration::from_secs(2);

/// Keeps an account's limits for all processes.
pub trait Keeper: Send + Sync {
    /// Takes back what `ask` returns, and grants of what it wants as much as may be sent now.
    fn ask<'k>(&'k self, account: &'k str, ask: Ask) -> BoxFuture<'k, Result<Grant, KeeperError>>;
}

/// A keeper that could not answer; nothing was granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limits of the account cannot be asked for: {0}")]
pub struct KeeperError(pub String);

/// What a process asks of a keeper.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// The account's limits.
    pub limits: Limits,
    /// What the waiting calls need, and those that are expected before the next question.
    pub want: Units,
    /// What the first of them needs: less is of no use. Nothing if no call waits.
    pub least: Units,
    /// Units that were not used, by the slot of their grant; negative where more was used.
    pub unused: Vec<(i64, Units)>,
    /// Calls that are in flight.
    pub in_flight: u32,
    /// Calls that are in flight or wait to be.
    pub calls: u32,
}

/// What a keeper grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What the units are returned by.
    pub slot: i64,
    /// What may be sent.
    pub units: Units,
    /// Until when.
    pub until: Instant,
    /// Calls that may be in flight, until the next answer.
    pub calls: u32,
}

/// The units of one call, by the slots of the grants that they came from.
#[derive(Debug)]
pub(super) struct Taken {
    slots: Vec<(i64, Units)>,
}

/// One account in one process.
pub(super) struct SharedLimits {
    keeper: Arc<dyn Keeper>,
    account: String,
    limits: Limits,
    pool: Mutex<Pool>,
}

#[derive(Debug, Default)]
struct Pool {
    grants: VecDeque<Grant>,
    unused: BTreeMap<i64, Units>,
    /// Needs of the calls that wait, and their number.
    waiting: Units,
    calls_waiting: u32,
    in_flight: u32,
    /// Taken since the last question.
    taken: Units,
    lease: u32,
    asked: Option<Instant>,
    next: Option<Instant>,
}

/// What a call that cannot be sent now has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Wait.
    For(Duration),
    /// Ask the keeper.
    Ask,
}

impl fmt::Debug for SharedLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLimits").field("account", &self.account).field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl SharedLimits {
    pub(super) fn new(keeper: Arc<dyn Keeper>, account: String, limits: Limits) -> Self {
        Self { keeper, account, limits, pool: Mutex::default() }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call among those that wait, until the result is dropped.
    pub(super) fn wait(&self, units: Units) -> Waiting<'_> {
        let mut pool = self.pool();
        pool.waiting += units;
        pool.calls_waiting += 1;
        Waiting { shared: self, units }
    }

    /// Takes a call's units out of the pool, or says what to do to get them.
    pub(super) fn take(&self, units: Units, now: Instant) -> Result<Taken, Hold> {
        let mut pool = self.pool();
        pool.expire(now);
        let stale = || pool.asked.is_none_or(|asked| now.duration_since(asked) >= LEASE_AGE);
        let has_slot = self.limits.concurrency.is_none() || pool.in_flight < pool.lease && !stale();
        let has_units = !self.limits.has_rates() || units.within(pool.held());
        if has_slot && has_units {
            pool.in_flight += 1;
            pool.taken += units;
            return Ok(pool.draw(units));
        }
        match pool.next {
            Some(next) if next > now => Err(Hold::For(next - now)),
            _ => Err(Hold::Ask),
        }
    }

    /// Asks the keeper for what waits; `least` is what the first call needs.
    pub(super) async fn ask(&self, least: Units) {
        let least = if self.limits.has_rates() { least } else { Units::default() };
        let ask = self.pool().question(self.limits, least, Instant::now());
        self.put(ask).await;
    }

    /// Gives everything back, if no call is under way or waits.
    pub(super) async fn rest(&self) {
        let ask = {
            let mut pool = self.pool();
            if pool.in_flight > 0 || pool.calls_waiting > 0 {
                return;
            }
            let now = Instant::now();
            for grant in pool.grants.drain(..).collect::<Vec<_>>() {
                pool.give_back(grant.slot, grant.units);
            }
            if pool.unused.is_empty() && pool.lease == 0 {
                return;
            }
            (pool.taken, pool.lease) = (Units::default(), 0);
            pool.question(self.limits, Units::default(), now)
        };
        self.put(ask).await;
    }

    async fn put(&self, ask: Ask) {
        match self.keeper.ask(&self.account, ask).await {
            Ok(grant) => {
                let mut pool = self.pool();
                if self.limits.concurrency.is_some() {
                    pool.lease = grant.calls;
                }
                if grant.units != Units::default() {
                    pool.grants.push_back(grant);
                }
            }
            Err(error) => {
                tracing::warn!(account = %self.account, "{error}; nothing is sent until they can be");
                self.pool().next = Some(Instant::now() + ASK_AGAIN);
            }
        }
    }

    /// Takes note that a call is over. Without `used` its estimate stands, as it must for a call of which it is not known
    /// what the server counted.
    pub(super) fn end(&self, taken: &Taken, used: Option<Units>) {
        let mut pool = self.pool();
        pool.in_flight -= 1;
        let Some((used, (last, _))) = used.zip(taken.slots.last()) else { return };
        let mut difference = Units::default();
        for (_, units) in &taken.slots {
            difference += *units;
        }
        difference -= used;
        pool.give_back(*last, difference);
    }
}

impl Pool {
    fn expire(&mut self, now: Instant) {
        while let Some(grant) = self.grants.front().copied()
            && (grant.until <= now || grant.units == Units::default())
        {
            self.grants.pop_front();
            self.give_back(grant.slot, grant.units);
        }
    }

    fn give_back(&mut self, slot: i64, units: Units) {
        if units != Units::default() {
            *self.unused.entry(slot).or_default() += units;
        }
    }

    fn held(&self) -> Units {
        self.grants.iter().fold(Units::default(), |mut sum, grant| {
            sum += grant.units;
            sum
        })
    }

    /// Takes units out of the oldest grants; as much as there is, where nothing limits them.
    fn draw(&mut self, units: Units) -> Taken {
        let (mut left, mut slots) = (units, Vec::new());
        for grant in &mut self.grants {
            let part = left.min(grant.units);
            if part != Units::default() {
                grant.units -= part;
                left -= part;
                slots.push((grant.slot, part));
            }
        }
        Taken { slots }
    }

    /// Puts together what is asked now. Calls come back faster than the keeper is asked, so one and a half times what was
    /// taken since the last question is asked for on top of what waits.
    fn question(&mut self, limits: Limits, least: Units, now: Instant) -> Ask {
        self.expire(now);
        let mut want = self.waiting;
        want += self.taken;
        want += Units { requests: self.taken.requests / 2, input: self.taken.input / 2, output: self.taken.output / 2 };
        let held = self.held();
        want -= held.min(want);
        if !limits.has_rates() {
            want = Units::default();
        }
        want = Units {
            requests: want.requests.max(least.requests),
            input: want.input.max(least.input),
            output: want.output.max(least.output),
        };
        self.taken = Units::default();
        self.asked = Some(now);
        // Not to the beat, so that processes take turns.
        self.next = Some(now + ASK_EVERY.mul_f64(rand::random_range(0.85..1.15)));
        Ask {
            limits,
            want,
            least,
            unused: std::mem::take(&mut self.unused).into_iter().collect(),
            in_flight: self.in_flight,
            calls: self.in_flight + self.calls_waiting,
        }
    }
}

/// A call that waits.
pub(super) struct Waiting<'s> {
    shared: &'s SharedLimits,
    units: Units,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut pool = self.shared.pool();
        pool.waiting -= self.units;
        pool.calls_waiting -= 1;
    }
}

#[cfg(test)]
#[path = "shared_limits_tests.rs"]
mod tests;

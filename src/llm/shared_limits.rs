//! An account's limits as all processes on a database keep them together.
//!
//! A [`Keeper`], which `stages` makes of the database, is asked a few times a second for what the next calls will need, all
//! at once; what it grants lies in a pool that calls draw from. A grant must be used within a quarter of a second, so that
//! the keeper knows to that much when its units were sent, and a killed process takes no more than that with it. What was
//! not used in time, and what a call did not use of its booking, goes back with the next question.
//!
//! A pause that one process hears of, the keeper is told at once; the others hear of it with the answer to their next question,
//! which an account without limits puts every second.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

use super::learnt::Need;
use super::{Limits, Units};

/// Time between two questions to the keeper.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// After a keeper that could not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How old an answer about calls in flight may grow, so that other processes get their share.
const LEASE_AGE: Duration = Duration::from_secs(2);
/// How old an answer about pauses may grow.
const NEWS_AGE: Duration = Duration::from_secs(1);
/// A pause is told to others if it is longer than the last one by this.
const WORTH_TELLING: Duration = Duration::from_millis(250);

/// Keeps an account's limits for all processes.
pub trait Keeper: Send + Sync {
    /// Takes back what `ask` returns, and grants of what it wants as much as may be sent now.
    fn ask<'k>(&'k self, account: &'k str, ask: Ask) -> BoxFuture<'k, Result<Grant, KeeperError>>;

    /// Lets nobody send anything for so long.
    fn pause<'k>(&'k self, account: &'k str, wait: Duration) -> BoxFuture<'k, Result<(), KeeperError>>;
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
    /// What they are expected to use of it.
    pub expected: Units,
    /// What the first of them needs: less is of no use. Nothing if no call waits.
    pub least: Units,
    /// What is to be left free, as a call may use more than what is booked for it.
    pub free: Units,
    /// Units that were not used, by the slot of their grant; negative where more was used.
    pub unused: Vec<(i64, Units)>,
    /// Units that were expected to be used, and were not; negative where more was used.
    pub unexpected: Units,
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
    /// Until when nothing may be sent, as some process was told.
    pub paused_until: Option<Instant>,
}

/// The units of one call, by the slots of the grants that they came from.
#[derive(Debug)]
pub(super) struct Taken {
    slots: Vec<(i64, Units)>,
    /// What it is expected to use of them, as the keeper was told.
    expected: Units,
}

/// A grant, and what its question expected to be used of it.
#[derive(Clone, Copy, Debug)]
struct Granted {
    grant: Grant,
    /// Of prompts and of answers.
    used: [f64; 2],
}

impl Granted {
    fn expected(&self, part: Units) -> Units {
        let share = |part: i64, used: f64| (part as f64 * used).round() as i64;
        Units {
            requests: part.requests,
            input: share(part.input, self.used[0]),
            output: share(part.output, self.used[1]),
        }
    }
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
    grants: VecDeque<Granted>,
    unused: BTreeMap<i64, Units>,
    unexpected: Units,
    /// Some call has used more than its booking, and the keeper does not know.
    owes: bool,
    /// Needs of the calls that wait, and their number.
    waiting: Need,
    calls_waiting: u32,
    in_flight: u32,
    /// Taken since the last question.
    taken: Need,
    lease: u32,
    asked: Option<Instant>,
    next: Option<Instant>,
    /// As the keeper last said.
    paused_until: Option<Instant>,
    /// The end of the last pause that the keeper was told.
    told: Option<Instant>,
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
    pub(super) fn wait(&self, need: Need) -> Waiting<'_> {
        let mut pool = self.pool();
        pool.waiting.booked += need.booked;
        pool.waiting.expected += need.expected;
        pool.calls_waiting += 1;
        Waiting { shared: self, need }
    }

    /// Takes a call's units out of the pool, or says what to do to get them.
    pub(super) fn take(&self, need: Need, now: Instant) -> Result<Taken, Hold> {
        let mut pool = self.pool();
        let units = need.booked;
        pool.expire(now);
        let older = |age| pool.asked.is_none_or(|asked| now.duration_since(asked) >= age);
        let paused = pool.paused_until.filter(|until| *until > now);
        let has_news = self.limits.any() || !older(NEWS_AGE);
        let has_slot = self.limits.concurrency.is_none() || pool.in_flight < pool.lease && !older(LEASE_AGE);
        let has_units = !self.limits.has_rates() || units.within(pool.held());
        if paused.is_none() && has_news && has_slot && has_units {
            pool.in_flight += 1;
            pool.taken.booked += units;
            pool.taken.expected += need.expected;
            return Ok(pool.draw(units));
        }
        match pool.next {
            Some(next) if next > now => Err(Hold::For(paused.map_or(next, |until| until.min(next)) - now)),
            _ => Err(Hold::Ask),
        }
    }

    /// Whether the keeper may be asked by now.
    pub(super) fn may_ask(&self) -> bool {
        self.pool().next.is_none_or(|next| next <= Instant::now())
    }

    /// Tells the keeper of a pause, unless it knows.
    pub(super) async fn pause(&self, wait: Duration) {
        {
            let (mut pool, until) = (self.pool(), Instant::now() + wait);
            let known = pool.told.max(pool.paused_until);
            if wait < WORTH_TELLING || known.is_some_and(|known| until < known + WORTH_TELLING) {
                return;
            }
            pool.told = Some(until);
        }
        if let Err(error) = self.keeper.pause(&self.account, wait).await {
            tracing::warn!(account = %self.account, "other processes do not hear of a pause: {error}");
        }
    }

    /// Asks the keeper for what waits; `first` is what the first call needs.
    pub(super) async fn ask(&self, first: Need) {
        let first = if self.limits.has_rates() { first } else { Need::default() };
        let ask = self.pool().question(self.limits, first, Instant::now());
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
            for granted in pool.grants.drain(..).collect::<Vec<_>>() {
                pool.lapse(granted);
            }
            if pool.unused.is_empty() && pool.lease == 0 || !self.limits.any() {
                return;
            }
            (pool.taken, pool.lease) = (Need::default(), 0);
            pool.question(self.limits, Need::default(), now)
        };
        self.put(ask).await;
    }

    async fn put(&self, ask: Ask) {
        let share = |used: i64, all: i64| if all > 0 { used as f64 / all as f64 } else { 1.0 };
        let used = [share(ask.expected.input, ask.want.input), share(ask.expected.output, ask.want.output)];
        match self.keeper.ask(&self.account, ask).await {
            Ok(grant) => {
                let mut pool = self.pool();
                if self.limits.concurrency.is_some() {
                    pool.lease = grant.calls;
                }
                pool.paused_until = grant.paused_until;
                if grant.paused_until.is_some() {
                    pool.next = Some(Instant::now() + NEWS_AGE);
                }
                if grant.units != Units::default() {
                    pool.grants.push_back(Granted { grant, used });
                }
            }
            Err(error) => {
                let outcome = if self.limits.any() { "nothing is sent until they can be" } else { "it has none" };
                tracing::warn!(account = %self.account, "{error}; {outcome}");
                self.pool().next = Some(Instant::now() + ASK_AGAIN);
            }
        }
    }

    /// Whether a call has used more than its booking, which the keeper is to know soon, and may be asked now.
    pub(super) fn owes(&self) -> bool {
        let owes = self.pool().owes;
        owes && self.may_ask()
    }

    /// Takes note that a call is over. Without `used` its booking stands, as it must for a call of which it is not known
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
        pool.owes |= difference.input < 0 || difference.output < 0;
        pool.give_back(*last, difference);
        pool.unexpected += taken.expected;
        pool.unexpected -= used;
    }
}

impl Pool {
    fn expire(&mut self, now: Instant) {
        while let Some(granted) = self.grants.front().copied()
            && (granted.grant.until <= now || granted.grant.units == Units::default())
        {
            self.grants.pop_front();
            self.lapse(granted);
        }
    }

    /// Gives back what is left of a grant.
    fn lapse(&mut self, granted: Granted) {
        self.give_back(granted.grant.slot, granted.grant.units);
        self.unexpected += granted.expected(granted.grant.units);
    }

    fn give_back(&mut self, slot: i64, units: Units) {
        if units != Units::default() {
            *self.unused.entry(slot).or_default() += units;
        }
    }

    fn held(&self) -> Units {
        self.grants.iter().fold(Units::default(), |mut sum, granted| {
            sum += granted.grant.units;
            sum
        })
    }

    /// Takes units out of the oldest grants; as much as there is, where nothing limits them.
    fn draw(&mut self, units: Units) -> Taken {
        let (mut left, mut slots, mut expected) = (units, Vec::new(), Units::default());
        for granted in &mut self.grants {
            let part = left.min(granted.grant.units);
            if part != Units::default() {
                granted.grant.units -= part;
                left -= part;
                expected += granted.expected(part);
                slots.push((granted.grant.slot, part));
            }
        }
        Taken { slots, expected }
    }

    /// Puts together what is asked now. Calls come back faster than the keeper is asked, so one and a half times what was
    /// taken since the last question is asked for on top of what waits.
    fn question(&mut self, limits: Limits, first: Need, now: Instant) -> Ask {
        self.expire(now);
        let sum = |waiting: Units, taken: Units| {
            let mut sum = waiting;
            sum += taken;
            sum += Units { requests: taken.requests / 2, input: taken.input / 2, output: taken.output / 2 };
            sum
        };
        let all = sum(self.waiting.booked, self.taken.booked);
        let used = sum(self.waiting.expected, self.taken.expected).min(all);
        let mut want = all;
        let held = self.held();
        want -= held.min(want);
        if !limits.has_rates() {
            want = Units::default();
        }
        let least = first.booked;
        want = Units {
            requests: want.requests.max(least.requests),
            input: want.input.max(least.input),
            output: want.output.max(least.output),
        };
        // In proportion: what is held already is of the same calls.
        let part = |want: i64, used: i64, all: i64| if all > 0 { want.saturating_mul(used) / all } else { want };
        let expected = Units {
            requests: want.requests,
            input: part(want.input, used.input, all.input),
            output: part(want.output, used.output, all.output),
        };
        self.taken = Need::default();
        self.owes = false;
        self.asked = Some(now);
        // Not to the beat, so that processes take turns.
        self.next = Some(now + ASK_EVERY.mul_f64(rand::random_range(0.85..1.15)));
        Ask {
            limits,
            want,
            expected,
            least,
            free: Units { output: first.beyond, ..Units::default() },
            unused: std::mem::take(&mut self.unused).into_iter().collect(),
            unexpected: std::mem::take(&mut self.unexpected),
            in_flight: self.in_flight,
            calls: self.in_flight + self.calls_waiting,
        }
    }
}

/// A call that waits.
pub(super) struct Waiting<'s> {
    shared: &'s SharedLimits,
    need: Need,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut pool = self.shared.pool();
        pool.waiting.booked -= self.need.booked;
        pool.waiting.expected -= self.need.expected;
        pool.calls_waiting -= 1;
    }
}

#[cfg(test)]
#[path = "shared_limits_tests.rs"]
mod tests;

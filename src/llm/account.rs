//! The account that endpoints share: its limits, what its server says about them, and pauses.
//!
//! Calls pass one after the other, in the order they came: the one at the head waits for all limits, and the last step,
//! taken in one go with the decision that it may leave, is the permit to send. So the times of permits are the times of
//! sending, and the bounds of [`super::pace`] and [`super::tokens`] hold for what leaves the program. Waiting is done with
//! tokio's timers, since `governor`'s own cannot be stopped in tests.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use chrono::Utc;
use reqwest::header::HeaderMap;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::learnt::{Need, Needed};
use super::local_limits::LocalLimits;
use super::server_limits::ServerLimits;
use super::shared_limits::{Hold, Keeper, SharedLimits, Taken};
use super::tokens::Reservation;
use super::{Limits, Units};

/// An account in this process, shared by all its endpoints.
#[derive(Debug)]
pub struct Account {
    limits: Limits,
    local: LocalLimits,
    shared: OnceLock<SharedLimits>,
    server: Mutex<ServerLimits>,
    paused_until: Mutex<Option<Instant>>,
    /// Held by the call at the head while it waits.
    head: tokio::sync::Mutex<()>,
    /// Wakes the head after a call has ended, which may have made room.
    ended: Notify,
}

/// One call's place in the account, to settle it by.
#[derive(Debug)]
pub(super) struct Admission {
    units: Units,
    expected: Units,
    /// All that the account had sent by then.
    sent: Units,
    place: Place,
    used: Option<Units>,
}

#[derive(Debug)]
enum Place {
    Local(Vec<Reservation>),
    Shared(Taken),
}

impl Account {
    /// An account with limits that this process keeps by itself, until [`Account::share`] says otherwise.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            local: LocalLimits::new(&limits),
            shared: OnceLock::new(),
            server: Mutex::default(),
            paused_until: Mutex::new(None),
            head: tokio::sync::Mutex::new(()),
            ended: Notify::new(),
        })
    }

    /// From now on has the limits and pauses kept by `keeper`, under that name, for all processes. Only the first call of
    /// this counts.
    pub fn share(&self, name: &str, keeper: impl FnOnce() -> Arc<dyn Keeper>) {
        self.shared.get_or_init(|| SharedLimits::new(keeper(), name.to_owned(), self.limits));
    }

    /// Gives back what this process holds of the shared limits, if none of its calls is under way or waits.
    pub async fn rest(&self) {
        // Not beside a call that asks, whose answer is about another number of calls.
        if let (Some(shared), Ok(_head)) = (self.shared.get(), self.head.try_lock()) {
            shared.rest().await;
        }
    }

    /// Its limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Tells the keeper without delay what calls have used beyond their booking.
    pub(super) async fn pay_back(&self) {
        if let Some(shared) = self.shared.get().filter(|shared| shared.owes())
            && let Ok(_head) = self.head.try_lock()
        {
            shared.ask(Need::default()).await;
        }
    }

    /// Waits until a call may be sent. Dropping the future gives up the place in the queue.
    pub(super) async fn admit(&self, call: impl Needed) -> Admission {
        let shared = self.shared.get();
        let _waiting = shared.map(|shared| shared.wait(self.clamped(call.need())));
        let _head = if self.limits.any() { Some(self.head.lock().await) } else { None };
        loop {
            let ended = self.ended.notified();
            // By what was learnt while it waited.
            let need = self.clamped(call.need());
            match (self.try_admit(need, shared), shared) {
                (Ok(admission), _) => return admission,
                (Err(Hold::Ask), Some(shared)) => {
                    // Without limits calls do not queue, and one asks for all.
                    let _one = if self.limits.any() { None } else { Some(self.head.lock().await) };
                    if shared.may_ask() {
                        shared.ask(need).await;
                    }
                }
                (Err(Hold::For(wait)), _) => tokio::select! {
                    () = sleep(wait) => {}
                    () = ended => {}
                },
                (Err(Hold::Ask), None) => unreachable!("only shared limits are asked for"),
            }
        }
    }

    fn clamped(&self, mut need: Need) -> Need {
        need.booked = need.booked.clamped(&self.limits);
        need.expected = need.expected.min(need.booked);
        need
    }

    /// Takes every permit at this instant, or says what to wait for.
    fn try_admit(&self, need: Need, shared: Option<&SharedLimits>) -> Result<Admission, Hold> {
        let (now, units) = (Instant::now(), need.booked);
        if let Some(until) = *lock(&self.paused_until)
            && until > now
        {
            return Err(Hold::For(until - now));
        }
        let mut server = lock(&self.server);
        server.ready(units, now).map_err(Hold::For)?;
        let place = match shared {
            Some(shared) => Place::Shared(shared.take(need, now)?),
            None => Place::Local(self.local.take(units, now).map_err(Hold::For)?),
        };
        Ok(Admission { units, expected: need.expected, sent: server.send(units), place, used: None })
    }

    /// Lets nothing leave before `wait` has passed, from no process.
    pub(super) async fn pause(&self, wait: Duration) {
        {
            let until = Instant::now() + wait;
            let mut paused = lock(&self.paused_until);
            *paused = Some(paused.map_or(until, |before| before.max(until)));
        }
        if let Some(shared) = self.shared.get() {
            shared.pause(wait).await;
        }
    }

    /// Reads what the server says about its limits in the answer to a call. If another such call would find nothing left, the
    /// other processes wait as well, until it would.
    pub(super) async fn read(&self, headers: &HeaderMap, admission: &Admission) {
        let ready = {
            let (mut server, now) = (lock(&self.server), Instant::now());
            server.read(headers, admission.sent, Utc::now(), now);
            server.ready(admission.expected, now)
        };
        if let (Err(wait), Some(shared)) = (ready, self.shared.get()) {
            shared.pause(wait).await;
        }
    }

    /// Takes note that a call is over.
    pub(super) fn end(&self, admission: &Admission) {
        match (&admission.place, admission.used, self.shared.get()) {
            (Place::Shared(taken), used, Some(shared)) => shared.end(taken, used),
            (Place::Local(reservations), Some(used), _) => self.local.settle(reservations, used),
            _ => {}
        }
        if self.limits.any() {
            self.ended.notify_one();
        }
    }
}

impl Admission {
    /// Puts the tokens that the call really used in place of its booking. Without this the booking stands, as it must for a
    /// call of which it is not known what the server counted.
    pub(super) fn settle(&mut self, usage: super::Usage) {
        self.used = Some(self.units.settled(usage));
    }
}

/// Locks past a panic elsewhere: the numbers inside are whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Tokens per minute: reserved by estimate before a call, settled by the server's count after it.
//!
//! Two rules admit a call of estimate `e`:
//! - *The pace.* Tokens are bought from a `governor` into `balance`, and the call takes `e` out of it. Settlement puts back
//!   what was not used, which the calls after it draw first, or takes what was used beyond the estimate, which they must buy
//!   first. (`governor` cannot take units back, hence the balance.)
//! - *The window.* The tokens of the calls sent in the last [`WINDOW`], each by its estimate until it is settled and by its
//!   use thereafter, and `e`, must not exceed the allowance. This alone keeps the bound: refunds only ever spread what the
//!   window has room for. A call that used more than its estimate is the one way past it; those after it wait it off.
//!
//! The pace is there for smoothness: without it a minute's tokens would leave in one burst, minute after minute.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::pace::{Pace, WINDOW};

/// Tokens of one endpoint.
#[derive(Debug)]
pub(super) struct TokenBudget {
    allowance: u32,
    pace: Pace,
    /// Tokens bought or given back, and not yet used; negative after underestimates.
    balance: i64,
    /// Calls of the window, oldest first, with their tokens.
    sent: VecDeque<(Instant, u32)>,
    /// Number of the oldest call in `sent`, counted from the first call ever.
    first: u64,
    /// Tokens of the calls in `sent`.
    used: u64,
}

/// A call's place in the budget, to settle it by.
#[derive(Debug)]
pub(super) struct Reservation {
    number: u64,
    estimate: u32,
}

impl TokenBudget {
    pub(super) fn new(allowance: u32) -> Self {
        Self { allowance, pace: Pace::smooth(allowance), balance: 0, sent: VecDeque::new(), first: 0, used: 0 }
    }

    /// An estimate above the whole allowance could never be sent; it is clamped, and settled like any other.
    fn clamp(&self, estimate: u32) -> u32 {
        estimate.min(self.allowance)
    }

    /// Whether a call may be sent now; else how long to wait before asking again.
    pub(super) fn ready(&mut self, estimate: u32, now: Instant) -> Result<(), Duration> {
        let estimate = self.clamp(estimate);
        while let Some(&(at, tokens)) = self.sent.front()
            && now.duration_since(at) >= WINDOW
        {
            self.sent.pop_front();
            self.first += 1;
            self.used -= u64::from(tokens);
        }
        while self.balance < i64::from(estimate) {
            let units = (i64::from(estimate) - self.balance).min(i64::from(self.pace.burst())) as u32;
            self.pace.take(units)?;
            self.balance += i64::from(units);
        }
        match self.sent.front() {
            Some(&(at, _)) if self.used + u64::from(estimate) > u64::from(self.allowance) => {
                Err(WINDOW.saturating_sub(now.duration_since(at)))
            }
            _ => Ok(()),
        }
    }

    /// Notes that a call for which [`TokenBudget::ready`] held is sent now.
    pub(super) fn send(&mut self, estimate: u32, now: Instant) -> Reservation {
        let estimate = self.clamp(estimate);
        self.balance -= i64::from(estimate);
        self.used += u64::from(estimate);
        self.sent.push_back((now, estimate));
        Reservation { number: self.first + self.sent.len() as u64 - 1, estimate }
    }

    /// Puts a call's real use in place of its estimate.
    pub(super) fn settle(&mut self, reservation: &Reservation, used: u32) {
        let refund = i64::from(reservation.estimate) - i64::from(used);
        self.balance = (self.balance + refund).min(i64::from(self.allowance));
        let place = reservation.number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some((_, tokens)) = place.and_then(|place| self.sent.get_mut(place)) {
            self.used = self.used - u64::from(*tokens) + u64::from(used);
            *tokens = used;
        }
    }
}

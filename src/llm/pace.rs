//! How fast units (requests, or tokens) may leave, so that no window of 60 seconds holds more than the allowance.
//!
//! `governor`'s cell-rate algorithm with burst `b` and one unit per `t` lets the n-th unit after a first one go no earlier
//! than `(n - b) t` after it. So any half-open window `w` holds at most `b + ceil(w / t) - 1` units. With
//! `t = w / (a - b + 1)` that is the allowance `a` exactly, and the lasting rate is `a - b + 1` per window.
//!
//! - `b = 1 + a / 200` costs at most 0.5 % of the allowance, and lets a unit that left late (timers tick in milliseconds)
//!   be made up for. Below 200 a minute units are at least 300 ms apart and a tick is lost in that.
//! - `w` is [`WINDOW`], 60.15 s, not 60: the server counts arrivals, and the first request of a window may have arrived later
//!   after its sending than the last one, above all when it had to connect first. The 150 ms cost another 0.25 %.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::clock::TokioClock;

/// The window that allowances are kept in: a minute, and 150 ms by which requests may bunch up on their way.
pub(super) const WINDOW: Duration = Duration::from_millis(60_150);

/// A pace at which units may leave.
#[derive(Debug)]
pub(super) struct Pace {
    governor: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>,
    clock: TokioClock,
    burst: u32,
}

impl Pace {
    /// At most `allowance` units in any window.
    pub(super) fn exact(allowance: u32) -> Self {
        let burst = 1 + allowance / 200;
        Self::new(burst, allowance.saturating_sub(burst).saturating_add(1))
    }

    /// `allowance` units per window on average, with a tenth of it at once; the bound itself is then kept elsewhere.
    pub(super) fn smooth(allowance: u32) -> Self {
        Self::new((allowance / 10).max(1), allowance)
    }

    fn new(burst: u32, per_window: u32) -> Self {
        let clock = TokioClock::new();
        let spacing = Duration::from_nanos((WINDOW.as_nanos() as u64).div_ceil(u64::from(per_window.max(1))));
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(spacing).expect("rounded up, so not zero").allow_burst(burst);
        Self { governor: RateLimiter::new(quota, InMemoryState::default(), clock), clock, burst: burst.get() }
    }

    /// The most units that can be taken at once.
    pub(super) fn burst(&self) -> u32 {
        self.burst
    }

    /// Takes `units` now, at most [`Pace::burst`] of them, or says how long to wait before trying again.
    pub(super) fn take(&self, units: u32) -> Result<(), Duration> {
        let Some(units) = NonZeroU32::new(units) else { return Ok(()) };
        match self.governor.check_n(units) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(not_until.wait_time_from(self.clock.now())),
            Err(capacity) => unreachable!("{capacity}: callers take at most the burst"),
        }
    }
}

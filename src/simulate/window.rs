//! Limits over 60 seconds, kept exactly: no window of that length ever holds more than what is allowed.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const WINDOW: Duration = Duration::from_mins(1);

/// What remains of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    pub limit: u32,
    pub remaining: u32,
    /// Until all of the limit is there again.
    pub reset: Duration,
}

/// One limit with what was admitted under it in the last 60 seconds.
#[derive(Debug)]
pub(super) struct Window {
    limit: u32,
    admitted: VecDeque<(Instant, u32)>,
    sum: u64,
}

impl Window {
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, admitted: VecDeque::new(), sum: 0 }
    }

    /// How long to wait until `cost` fits; zero if it does now. What costs more than the limit itself never fits: it
    /// is told to wait a whole window.
    pub(super) fn wait(&mut self, now: Instant, cost: u32) -> Duration {
        while let Some((at, old)) = self.admitted.front()
            && now.duration_since(*at) >= WINDOW
        {
            self.sum -= u64::from(*old);
            self.admitted.pop_front();
        }
        let limit = u64::from(self.limit);
        if self.sum + u64::from(cost) <= limit {
            return Duration::ZERO;
        }
        let mut left = self.sum;
        for (at, old) in &self.admitted {
            left -= u64::from(*old);
            if left + u64::from(cost) <= limit {
                return (*at + WINDOW).duration_since(now);
            }
        }
        WINDOW
    }

    pub(super) fn admit(&mut self, now: Instant, cost: u32) {
        self.admitted.push_back((now, cost));
        self.sum += u64::from(cost);
    }

    /// What remains, as of the last call to [`Window::wait`].
    pub(super) fn allowance(&self, now: Instant) -> Allowance {
        let remaining = u64::from(self.limit).saturating_sub(self.sum) as u32;
        let last = self.admitted.back().map_or(now, |(at, _)| *at + WINDOW);
        Allowance { limit: self.limit, remaining, reset: last.saturating_duration_since(now) }
    }
}

/// Both limits of one model.
#[derive(Debug)]
pub(super) struct Quota {
    requests: Option<Window>,
    tokens: Option<Window>,
}

/// What [`Quota::take`] decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// `None` if the request is admitted, else how long to wait and which limit is in the way.
    pub refused: Option<(Duration, &'static str)>,
    pub requests: Option<Allowance>,
    pub tokens: Option<Allowance>,
}

impl Quota {
    pub(super) fn new(requests: Option<u32>, tokens: Option<u32>) -> Self {
        Self { requests: requests.map(Window::new), tokens: tokens.map(Window::new) }
    }

    /// Admits a request under both limits or refuses it under both; a refused one costs nothing.
    pub(super) fn take(&mut self, now: Instant, tokens: u32) -> Verdict {
        let requests_wait = self.requests.as_mut().map_or(Duration::ZERO, |window| window.wait(now, 1));
        let tokens_wait = self.tokens.as_mut().map_or(Duration::ZERO, |window| window.wait(now, tokens));
        let wait = requests_wait.max(tokens_wait);
        let refused =
            (wait > Duration::ZERO).then_some((wait, if requests_wait >= tokens_wait { "requests" } else { "tokens" }));
        if refused.is_none() {
            for (window, cost) in [(&mut self.requests, 1), (&mut self.tokens, tokens)] {
                if let Some(window) = window {
                    window.admit(now, cost);
                }
            }
        }
        Verdict {
            refused,
            requests: self.requests.as_ref().map(|window| window.allowance(now)),
            tokens: self.tokens.as_ref().map(|window| window.allowance(now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: f64) -> Duration {
        Duration::from_secs_f64(n)
    }

    #[tokio::test(start_paused = true)]
    async fn no_window_of_a_minute_holds_more_than_the_limit() {
        let start = Instant::now();
        let mut quota = Quota::new(Some(7), None);
        let mut admitted: Vec<Instant> = Vec::new();
        let mut dice = super::super::dice::Dice::of(&[b"times"]);
        let mut now = start;
        for _ in 0..5000 {
            now += seconds(dice.unit() * 3.0);
            if quota.take(now, 0).refused.is_none() {
                admitted.push(now);
            }
        }
        assert!(admitted.windows(8).all(|w| w[7].duration_since(w[0]) >= WINDOW));
        let minutes = now.duration_since(start).as_secs_f64() / 60.0;
        assert!(admitted.len() as f64 > minutes * 7.0 * 0.9, "the allowance is used");
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_as_long_as_told_is_enough_and_less_is_not() {
        let now = Instant::now();
        let mut quota = Quota::new(Some(2), Some(100));
        assert_eq!(quota.take(now, 40).refused, None);
        assert_eq!(quota.take(now + seconds(10.0), 40).refused, None);
        let refused = quota.take(now + seconds(20.0), 10).refused;
        assert_eq!(refused, Some((seconds(40.0), "requests")));
        assert!(quota.take(now + seconds(59.9), 10).refused.is_some());
        let verdict = quota.take(now + seconds(60.0), 60);
        assert_eq!(verdict.refused, None);
        assert_eq!(verdict.tokens.map(|allowance| allowance.remaining), Some(0));
        assert_eq!(verdict.requests.map(|allowance| allowance.reset), Some(WINDOW));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_request_costs_nothing_and_one_above_the_limit_never_fits() {
        let now = Instant::now();
        let mut quota = Quota::new(Some(5), Some(100));
        assert_eq!(quota.take(now, 101).refused, Some((WINDOW, "tokens")));
        assert_eq!(quota.take(now, 100).requests.map(|allowance| allowance.remaining), Some(4));
    }
}

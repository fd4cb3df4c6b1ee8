//! How many calls at once an endpoint bears: additive up, multiplicative down, between 1 and the setting.
//!
//! The idea is that of Vector's adaptive request concurrency, which takes it from TCP: about once in the time of an answer
//! the calls that ended are looked at together. If they took much longer than those before, or many were met with 429, 5xx
//! or no answer in time, the limit goes down to nine tenths; else, if it was reached, it goes up by a sixteenth of the setting.
//! Unlike Vector's it starts at the setting, since a batch client's user has set what the server bears, and it bears
//! a tenth of failures, since single ones are faults rather than overload.

use std::time::Duration;

use tokio::time::Instant;

/// What goes down to.
const DOWN: f64 = 0.9;
/// The setting over a step up.
const STEPS: f64 = 16.0;
/// Share of calls met with overload that is taken for chance.
const TOLERATED: f64 = 0.1;
/// Latency has grown if it is this many times what it was, and beyond chance.
const GROWTH: f64 = 1.5;
/// Standard errors that are taken for chance.
const ERRORS: f64 = 2.5;
/// Weight of the last look in what is expected of the next.
const WEIGHT: f64 = 0.2;
/// Calls that are looked at together, at least.
const FEWEST: u32 = 5;

/// What a call says about the load of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// It was answered.
    Answered,
    /// 429, 5xx, or no answer in time.
    Overloaded,
    /// Nothing, as when the request itself was wrong.
    Neither,
}

/// The limit of one endpoint, and what it follows from.
#[derive(Debug)]
pub(super) struct Adaptive {
    most: f64,
    limit: f64,
    /// Seconds, mean and variance over the last looks.
    past: Option<(f64, f64)>,
    since: Option<Instant>,
    calls: u32,
    overloaded: u32,
    answered: u32,
    sum: f64,
    squares: f64,
    full: bool,
}

impl Adaptive {
    pub(super) fn new(most: u32) -> Self {
        let most = f64::from(most);
        Self {
            most,
            limit: most,
            past: None,
            since: None,
            calls: 0,
            overloaded: 0,
            answered: 0,
            sum: 0.0,
            squares: 0.0,
            full: false,
        }
    }

    /// Takes note of a call; the new limit, if it changed. `full` says whether all slots were taken.
    pub(super) fn observe(&mut self, now: Instant, latency: Duration, signal: Signal, full: bool) -> Option<u32> {
        let since = *self.since.get_or_insert(now);
        let seconds = latency.as_secs_f64();
        match signal {
            Signal::Neither => return None,
            Signal::Overloaded => self.overloaded += 1,
            Signal::Answered => {
                self.answered += 1;
                self.sum += seconds;
                self.squares += seconds * seconds;
            }
        }
        self.calls += 1;
        self.full |= full;
        let round = self.past.map_or(seconds, |(mean, _)| mean);
        let fewest = FEWEST.min(self.limit as u32 * 2);
        if self.calls < fewest || now.duration_since(since).as_secs_f64() < round {
            return None;
        }
        let before = self.limit as u32;
        self.look();
        self.since = Some(now);
        let after = self.limit as u32;
        (after != before).then_some(after)
    }

    fn look(&mut self) {
        let overloaded = f64::from(self.overloaded) > f64::from(self.calls) * TOLERATED;
        let slower = self.has_slowed();
        if overloaded || slower {
            self.limit = (self.limit * DOWN).max(1.0);
        } else if self.full {
            self.limit = (self.limit + (self.most / STEPS).max(1.0)).min(self.most);
        }
        if self.answered > 0 {
            let (mean, variance) = self.answers();
            self.past = Some(self.past.map_or((mean, variance), |(old, spread)| {
                (old + WEIGHT * (mean - old), spread + WEIGHT * (variance - spread))
            }));
        }
        (self.calls, self.overloaded, self.answered, self.sum, self.squares, self.full) = (0, 0, 0, 0.0, 0.0, false);
    }

    /// Mean and variance of the answers' times since the last look.
    fn answers(&self) -> (f64, f64) {
        let count = f64::from(self.answered);
        let mean = self.sum / count;
        (mean, (self.squares / count - mean * mean).max(0.0))
    }

    fn has_slowed(&self) -> bool {
        let Some((past, variance)) = self.past.filter(|_| self.answered > 0) else { return false };
        let error = (variance / f64::from(self.answered)).sqrt();
        self.answers().0 > (past * GROWTH).max(past + ERRORS * error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers `limit` calls at once in rounds; the limits after each round.
    fn rounds(adaptive: &mut Adaptive, now: &mut Instant, count: u32, of: impl Fn(u32) -> (u64, Signal)) -> u32 {
        for _ in 0..count {
            let calls = adaptive.limit as u32;
            let (millis, _) = of(0);
            *now += Duration::from_millis(millis);
            for call in 0..calls {
                let (millis, signal) = of(call);
                adaptive.observe(*now, Duration::from_millis(millis), signal, true);
            }
        }
        adaptive.limit as u32
    }

    #[test]
    fn a_healthy_endpoint_keeps_every_slot() {
        let (mut adaptive, mut now) = (Adaptive::new(256), Instant::now());
        // Answers of very different lengths.
        let limit = rounds(&mut adaptive, &mut now, 200, |call| (200 + u64::from(call * 7919 % 400), Signal::Answered));
        assert_eq!(limit, 256);
    }

    #[test]
    fn single_faults_cost_nothing_and_many_halve_it_within_a_few_answers() {
        let (mut adaptive, mut now) = (Adaptive::new(64), Instant::now());
        let faulty =
            |share: u32| move |call: u32| (100, if call % 100 < share { Signal::Overloaded } else { Signal::Answered });
        let sporadic = |call: u32| (100, if call % 20 == 7 { Signal::Overloaded } else { Signal::Answered });
        assert_eq!(rounds(&mut adaptive, &mut now, 50, sporadic), 64);
        let limit = rounds(&mut adaptive, &mut now, 8, faulty(50));
        assert!(limit <= 32, "{limit}");
        assert_eq!(rounds(&mut adaptive, &mut now, 200, faulty(100)), 1);
        let back = rounds(&mut adaptive, &mut now, 20, faulty(0));
        assert_eq!(back, 64);
    }

    #[test]
    fn latency_that_grows_lowers_it_and_it_comes_back_step_by_step() {
        let (mut adaptive, mut now) = (Adaptive::new(64), Instant::now());
        rounds(&mut adaptive, &mut now, 20, |_| (100, Signal::Answered));
        let low = rounds(&mut adaptive, &mut now, 3, |_| (400, Signal::Answered));
        assert!((40..64).contains(&low), "{low}");
        // What is expected has grown, so a look takes a little longer.
        let step = rounds(&mut adaptive, &mut now, 3, |_| (100, Signal::Answered));
        assert!((low + 4..=low + 12).contains(&step), "{low} {step}");
        assert_eq!(rounds(&mut adaptive, &mut now, 20, |_| (100, Signal::Answered)), 64);
    }

    #[test]
    fn what_is_wrong_with_a_request_says_nothing_and_unused_slots_do_not_grow() {
        let mut adaptive = Adaptive::new(32);
        let now = Instant::now();
        for _ in 0..1000 {
            assert_eq!(adaptive.observe(now, Duration::from_secs(9), Signal::Neither, true), None);
        }
        adaptive.limit = 8.0;
        for call in 0..1000_u32 {
            let later = now + Duration::from_millis(u64::from(call) * 50);
            adaptive.observe(later, Duration::from_millis(100), Signal::Answered, false);
        }
        assert_eq!(adaptive.limit as u32, 8);
    }
}

//! What calls use of what they may use, learnt from the last answers of an endpoint.
//!
//! Before a call its answer may be as long as `max_tokens`; most are far shorter. Booked at their bound, calls in flight keep
//! others from being sent: of a limit by tokens `latency / 60 s x (bound / used - 1)` is lost. So a call is booked at what
//! nearly all of the last [`RECENT`] answers stayed within ([`QUANTILE`], and an eighth more), which its `usage` then
//! corrects. That some use more is made up for by the others, which use less; and of the window there is always left what one
//! call may use beyond its booking.
//!
//! Answers that all at once are longer than what was learnt are the way past a limit: at most the calls in flight, each by
//! its bound less its booking, until the sixth of them has come back. What they used too much is paid back before the next
//! call is sent. Those who must be sure, or whose server counts `max_tokens` and not what was used, have calls booked at
//! their bound ([`Booking::Most`]).

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Units, Usage};

/// Answers that are remembered.
const RECENT: usize = 256;
/// Fewer answers teach nothing.
const ENOUGH: usize = 32;
/// The share of answers that stay within the booking.
const QUANTILE: f64 = 0.98;
/// Answers after which numbers are worked out anew.
const RENEW: usize = 8;

/// How the tokens of a call are booked before it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Booking {
    /// By what the last answers used.
    #[default]
    Learnt,
    /// By the most that the answer may have.
    Most,
}

/// What a call needs of its account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    /// What is booked.
    pub booked: Units,
    /// What it uses on average.
    pub expected: Units,
    /// Tokens of the answer that it may use beyond its booking.
    pub beyond: i64,
}

/// A call whose need may change while it waits.
pub(super) trait Needed {
    /// What it needs by now.
    fn need(&self) -> Need;
}

/// A call by what was learnt, and its bound.
impl Needed for (&Learnt, Units) {
    fn need(&self) -> Need {
        self.0.need(self.1)
    }
}

/// A call of which nothing is known but its bound.
impl Needed for Units {
    fn need(&self) -> Need {
        (*self).into()
    }
}

impl From<Units> for Need {
    /// A call of which nothing is known but its bound.
    fn from(units: Units) -> Self {
        Self { booked: units, expected: units, beyond: 0 }
    }
}

/// What was learnt of an endpoint, by the bound of its answers: stages whose answers differ in length differ in it.
#[derive(Debug)]
pub(super) struct Learnt {
    booking: Booking,
    kinds: Mutex<HashMap<i64, Kind>>,
}

/// Answers of one bound.
#[derive(Debug, Default)]
struct Kind {
    /// Tokens of the prompt over their estimate.
    input: Recent,
    /// Tokens of the answer.
    output: Recent,
}

/// The last numbers of a kind.
#[derive(Debug, Default)]
struct Recent {
    seen: VecDeque<f64>,
    since: usize,
    known: Option<Known>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Known {
    mean: f64,
    nearly_all: f64,
    largest: f64,
}

impl Recent {
    fn note(&mut self, number: f64) {
        if self.seen.len() == RECENT {
            self.seen.pop_front();
        }
        self.seen.push_back(number);
        self.since += 1;
        let surprise = self.known.is_some_and(|known| number > known.nearly_all);
        if self.seen.len() < ENOUGH || self.known.is_some() && self.since < RENEW && !surprise {
            return;
        }
        self.since = 0;
        let mut sorted: Vec<f64> = self.seen.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = ((sorted.len() - 1) as f64 * QUANTILE).ceil() as usize;
        let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
        self.known = Some(Known { mean, nearly_all: sorted[at], largest: sorted[sorted.len() - 1] });
    }
}

impl Learnt {
    pub(super) fn new(booking: Booking) -> Self {
        Self { booking, kinds: Mutex::default() }
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<i64, Kind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a call needs whose bound is `most`.
    pub(super) fn need(&self, most: Units) -> Need {
        let mut need = Need::from(most);
        let kinds = self.kinds();
        let Some(kind) = kinds.get(&most.output) else { return need };
        if let Some(known) = kind.input.known {
            let part = |of: f64| (most.input as f64 * of).ceil() as i64;
            need.expected.input = part(known.mean);
            need.booked.input = if self.booking == Booking::Learnt { part(known.nearly_all) } else { most.input };
        }
        if let Some(known) = kind.output.known {
            need.expected.output = known.mean.ceil() as i64;
            if self.booking == Booking::Learnt {
                // Without a bound in the request answers may be longer than what is taken for it.
                let most = most.output.max(known.largest as i64);
                need.booked.output = ((known.nearly_all * 1.125).ceil() as i64).min(most);
                need.beyond = most - need.booked.output;
            }
        }
        need.expected = need.expected.min(need.booked);
        need
    }

    /// Takes note of what a call used whose bound was `most`.
    pub(super) fn note(&self, most: Units, usage: Usage) {
        let mut kinds = self.kinds();
        let kind = kinds.entry(most.output).or_default();
        if let Some(used) = usage.prompt_tokens.filter(|_| most.input > 0) {
            kind.input.note(f64::from(used) / most.input as f64);
        }
        if let Some(used) = usage.completion_tokens {
            kind.output.note(f64::from(used));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Units = Units { requests: 1, input: 200, output: 1000 };

    fn used(input: u32, output: u32) -> Usage {
        Usage { prompt_tokens: Some(input), completion_tokens: Some(output) }
    }

    fn taught(booking: Booking, answers: impl Iterator<Item = u32>) -> Learnt {
        let learnt = Learnt::new(booking);
        answers.for_each(|output| learnt.note(MOST, used(100, output)));
        learnt
    }

    #[test]
    fn a_call_is_booked_at_its_bound_until_enough_is_known() {
        let learnt = taught(Booking::Learnt, (0..31).map(|_| 100));
        assert_eq!(learnt.need(MOST), Need::from(MOST));
        learnt.note(MOST, used(100, 100));
        let booked = Units { requests: 1, input: 100, output: 113 };
        let expected = Units { requests: 1, input: 100, output: 100 };
        assert_eq!(learnt.need(MOST), Need { booked, expected, beyond: 887 });
        let other = Units { output: 999, ..MOST };
        assert_eq!(learnt.need(other), Need::from(other), "another bound is another kind of call");
    }

    #[test]
    fn nearly_all_answers_stay_within_the_booking() {
        let learnt = taught(Booking::Learnt, (0..256).map(|n| 100 + n * 7 % 100));
        let need = learnt.need(MOST);
        assert!((220..=226).contains(&need.booked.output), "{need:?}");
        assert!((149..=151).contains(&need.expected.output), "{need:?}");
    }

    #[test]
    fn answers_that_become_longer_are_known_after_the_sixth() {
        let learnt = taught(Booking::Learnt, (0..256).map(|_| 100));
        (0..5).for_each(|_| learnt.note(MOST, used(100, 900)));
        assert_eq!(learnt.need(MOST).booked.output, 113);
        learnt.note(MOST, used(100, 900));
        assert_eq!(learnt.need(MOST).booked.output, 1000);
    }

    #[test]
    fn whoever_must_be_sure_has_the_bound_booked_and_is_paced_by_what_is_used() {
        let need = taught(Booking::Most, (0..64).map(|_| 100)).need(MOST);
        assert_eq!((need.booked, need.beyond), (MOST, 0));
        assert_eq!(need.expected, Units { requests: 1, input: 100, output: 100 });
    }

    #[test]
    fn an_answer_longer_than_what_was_taken_for_its_bound_is_booked_as_such() {
        let need = taught(Booking::Learnt, (0..64).map(|_| 3000)).need(MOST);
        assert_eq!((need.booked.output, need.beyond), (3000, 0));
    }
}

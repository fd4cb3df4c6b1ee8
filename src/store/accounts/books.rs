//! How much of an account may be granted now: arithmetic alone, on what the database holds.
//!
//! Two rules, for each limit:
//! - *The window.* Grants are booked in slots of [`SLOT`]. One made in the slot that begins at `s` is used between `s` and
//!   `s + SLOT + VALID`. So two slots can meet in a window of 60 seconds, and [`BUNCHING`], only if they begin less than
//!   [`SLOTS`] slots apart: what so many successive slots hold never exceeds the limit. What a call did not use of its
//!   booking is taken off its own slot, so that the sum is what was really sent.
//! - *The pace.* A generic cell rate algorithm at the rate of the limit, with one second's worth at once: so that a minute's
//!   allowance does not leave in one burst, minute after minute. It goes by what calls are expected to use, not by their
//!   bookings: else those in flight would run ahead of it by what they give back later, and a second's worth of that would
//!   hold up all others.
//!
//! The window costs `(SLOT + VALID + BUNCHING) / 60 s`, 0.8 % of the limit.

use std::time::Duration;

/// Length of a slot.
pub const SLOT: Duration = Duration::from_millis(100);
/// How long a grant may be used.
pub const VALID: Duration = Duration::from_millis(250);
/// By how much requests may bunch up on their way to the server, which counts arrivals.
pub const BUNCHING: Duration = Duration::from_millis(150);
/// Slots whose grants may meet in one window: `ceil((60 s + BUNCHING + SLOT + VALID) / SLOT)`.
pub const SLOTS: i64 = 605;

/// What may be granted at once where the pace has been idle, in seconds.
const BURST: f64 = 1.0;
/// The most that is left free of a window, as a part of the limit.
const FREE: i64 = 32;

/// Requests and tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Requests.
    pub requests: i64,
    /// Tokens of prompts.
    pub input: i64,
    /// Tokens of answers.
    pub output: i64,
}

/// What is limited, in the order of all arrays here: requests, tokens of both kinds, of prompts, of answers.
const MEASURES: [fn(Amount) -> i64; 4] =
    [|amount| amount.requests, |amount| amount.input + amount.output, |amount| amount.input, |amount| amount.output];

/// What is wanted of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// What the calls need.
    pub booked: Amount,
    /// What they are expected to use of it.
    pub expected: Amount,
    /// What the first of them needs: less is of no use.
    pub least: Amount,
    /// What is to be left free of the window, as one call may use more than its booking.
    pub free: Amount,
}

impl From<(Amount, Amount)> for Want {
    /// Calls that use all that they need, and the first of them.
    fn from((booked, least): (Amount, Amount)) -> Self {
        Self { booked, expected: booked, least, free: Amount::default() }
    }
}

impl Want {
    /// What is expected to be used of a part of what is booked, by a measure.
    fn expected(&self, part: Amount, of: fn(Amount) -> i64) -> f64 {
        let share =
            |part: i64, expected: i64, all: i64| if all > 0 { part.saturating_mul(expected) / all } else { part };
        let Amount { requests, input, output } = part;
        of(Amount {
            requests,
            input: share(input, self.expected.input, self.booked.input),
            output: share(output, self.expected.output, self.booked.output),
        }) as f64
    }
}

/// Limits per minute, in the order of measures.
pub type PerMinute = [Option<u32>; 4];

/// An account at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Books {
    /// Seconds since 1970.
    pub now: f64,
    /// What the last [`SLOTS`] slots hold, the present one included.
    pub window: Amount,
    /// When what was granted so far is due at an even pace, in the order of measures.
    pub due: [f64; 4],
}

/// The slot of a moment.
pub fn slot(now: f64) -> i64 {
    (now * 10.0).floor() as i64
}

impl Books {
    /// Takes back what was expected to be used and was not; negative where more was used. The slots are the caller's to
    /// correct; this is the pace.
    pub fn take_back(&mut self, limits: &PerMinute, unexpected: Amount) {
        for ((due, limit), of) in self.due.iter_mut().zip(limits).zip(MEASURES) {
            if let Some(limit) = limit {
                *due -= of(unexpected) as f64 * spacing(*limit);
            }
        }
    }

    /// Grants of what is wanted as much as may be sent now, but nothing if that is less than the first call needs.
    pub fn grant(&mut self, limits: &PerMinute, wanted: &Want) -> Amount {
        let (want, least) = (wanted.booked, wanted.least);
        let mut share: f64 = 1.0;
        for ((due, limit), of) in self.due.iter().zip(limits).zip(MEASURES) {
            let Some(limit) = limit else { continue };
            let all = i64::from(*limit);
            let free = of(wanted.free).min(all / FREE).min(all - of(least)).max(0);
            let room = all - free - of(self.window);
            let paced = (self.now - self.since(*due)) / spacing(*limit);
            let (need, all) = (wanted.expected(least, of), wanted.expected(want, of));
            // What is larger than a second's worth is sent when the pace allows anything.
            let paced = if *due <= self.now { paced.max(need) } else { paced };
            if room < of(least) || paced < need {
                return Amount::default();
            }
            if of(want) > of(least) {
                share = share.min((room - of(least)) as f64 / (of(want) - of(least)) as f64);
            }
            if all > need {
                share = share.min((paced - need) / (all - need));
            }
        }
        // Whole calls: what is left over of a grant lies idle until it lapses.
        let calls = want.requests - least.requests;
        if calls > 0 {
            share = (share * calls as f64).floor() / calls as f64;
        }
        let [requests, tokens, input, output] = limits.map(|limit| limit.is_some());
        let part = |limited: bool, want: i64, least: i64| {
            if limited { least + ((want - least) as f64 * share).floor() as i64 } else { want }
        };
        let granted = Amount {
            requests: part(requests, want.requests, least.requests),
            input: part(tokens || input, want.input, least.input),
            output: part(tokens || output, want.output, least.output),
        };
        let since = self.due.map(|due| self.since(due));
        for (((due, since), limit), of) in self.due.iter_mut().zip(since).zip(limits).zip(MEASURES) {
            if let Some(limit) = limit {
                *due = since + wanted.expected(granted, of) * spacing(*limit);
            }
        }
        granted
    }

    /// Since when the pace has been idle, or until when it is not; at most [`BURST`] ago. Questions come late, which is made up
    /// for by this.
    fn since(&self, due: f64) -> f64 {
        due.max(self.now - BURST)
    }
}

/// Seconds from one unit to the next.
fn spacing(limit: u32) -> f64 {
    60.0 / f64::from(limit.max(1))
}

/// Calls that a worker may have in flight of an account that allows `limit`. It may be less than it has: then it sends nothing
/// until enough of them have ended.
///
/// Others keep what they hold. If all together want more than there is, each is entitled to an equal part, and to what the
/// others leave of theirs.
pub fn lease(limit: u32, wanted: u32, others: &[Lease]) -> u32 {
    let limit = i64::from(limit);
    let held: i64 = others.iter().map(|other| i64::from(other.calls)).sum();
    let asked: i64 = others.iter().map(|other| i64::from(other.wanted.max(other.calls))).sum();
    let rivals = others.iter().filter(|other| other.wanted > 0).count() as i64;
    let fair = (limit / (rivals + 1)).max(limit - asked).max(1);
    fair.min(limit - held).min(i64::from(wanted)).max(0) as u32
}

/// What another worker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Calls that it may have in flight, or has still.
    pub calls: u32,
    /// Calls that it would have.
    pub wanted: u32,
}

#[cfg(test)]
#[path = "books_tests.rs"]
mod tests;

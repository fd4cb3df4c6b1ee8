//! What the simulator did, for tests to count.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::protocol::RequestKey;
use super::settings::FaultKind;

/// How often one request came and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KeyCount {
    /// Times it arrived.
    pub requests: u32,
    /// Times that the limits let it pass.
    pub admitted: u32,
    /// Times it was answered with status 200 and a whole body, whatever the body holds.
    pub answered: u32,
}

/// Counts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests for a chat completion that were understood.
    pub requests: u64,
    /// Answers with status 200 and a whole body.
    pub answered: u64,
    /// Requests that the limits refused.
    pub refused: u64,
    /// Answers about code that is not in the corpus.
    pub unknown: u64,
    /// Faults that were injected.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Counts for each different request.
    pub per_key: BTreeMap<RequestKey, KeyCount>,
}

#[derive(Default)]
pub(super) struct Counters(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    refused: u64,
    unknown: u64,
    faults: BTreeMap<FaultKind, u64>,
    per_key: HashMap<RequestKey, KeyCount>,
}

/// Something to count.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Refused,
    Admitted,
    Fault(FaultKind),
    Answered { known: bool },
}

impl Counters {
    /// Counts the arrival of a request or what became of it; returns the counts of that request.
    pub(super) fn arrived(&self, key: RequestKey) -> KeyCount {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inner.per_key.entry(key).or_default();
        count.requests += 1;
        *count
    }

    pub(super) fn note(&self, key: RequestKey, event: Event) -> KeyCount {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inner.per_key.entry(key).or_default();
        match event {
            Event::Admitted => count.admitted += 1,
            Event::Answered { .. } => count.answered += 1,
            Event::Refused | Event::Fault(_) => {}
        }
        let count = *count;
        match event {
            Event::Refused => inner.refused += 1,
            Event::Fault(kind) => *inner.faults.entry(kind).or_default() += 1,
            Event::Answered { known: false } => inner.unknown += 1,
            Event::Answered { known: true } | Event::Admitted => {}
        }
        count
    }

    pub(super) fn snapshot(&self) -> Stats {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total = |of: fn(&KeyCount) -> u32| inner.per_key.values().map(|c| u64::from(of(c))).sum();
        Stats {
            requests: total(|count| count.requests),
            answered: total(|count| count.answered),
            refused: inner.refused,
            unknown: inner.unknown,
            faults: inner.faults.clone(),
            per_key: inner.per_key.iter().map(|(key, count)| (*key, *count)).collect(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_are_written_as_json() {
        let counters = Counters::default();
        let (a, b) = (RequestKey(1), RequestKey(2));
        for key in [a, a, b] {
            counters.arrived(key);
        }
        counters.note(a, Event::Refused);
        assert_eq!(counters.note(a, Event::Admitted).admitted, 1);
        counters.note(a, Event::Answered { known: false });
        counters.note(b, Event::Fault(FaultKind::Drop));
        let json = serde_json::to_value(counters.snapshot()).unwrap();
        assert_eq!((&json["requests"], &json["answered"], &json["refused"]), (&3.into(), &1.into(), &1.into()));
        assert_eq!((&json["unknown"], &json["faults"]["drop"]), (&1.into(), &1.into()));
        assert_eq!(json["per_key"]["00000000000000000000000000000001"]["requests"], 2);
    }
}

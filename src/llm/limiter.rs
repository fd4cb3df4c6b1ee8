//! The gate in front of an endpoint: its concurrency, and behind that the limits of its account.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;

use super::account::{Account, Admission};
use super::adaptive::Signal;
use super::learnt::Needed;
use super::slots::{Slot, Slots};
use super::{EndpointSettings, Usage};

/// The gate of one endpoint, shared by all its calls.
#[derive(Debug)]
pub(super) struct Gate {
    slots: Slots,
    account: Arc<Account>,
}

/// The right to send one request now. Holds a slot of the concurrency until it is dropped.
#[derive(Debug)]
pub(super) struct Pass<'g> {
    gate: &'g Gate,
    admission: Admission,
    slot: Slot<'g>,
}

impl Gate {
    pub(super) fn new(settings: &EndpointSettings, account: Arc<Account>) -> Self {
        Self { slots: Slots::new(settings.concurrency, settings.adaptive_concurrency), account }
    }

    /// Waits until a request may be sent. Dropping the future gives up the place in the queue.
    pub(super) async fn enter(&self, call: impl Needed) -> Pass<'_> {
        let slot = self.slots.acquire().await;
        Pass { gate: self, admission: self.account.admit(call).await, slot }
    }

    /// Lets nothing of the account leave before `wait` has passed, from no process.
    pub(super) async fn pause(&self, wait: Duration) {
        self.account.pause(wait).await;
    }

    /// Requests that may be in flight at present.
    pub(super) fn concurrency(&self) -> u32 {
        self.slots.limit()
    }

    /// The limits behind it.
    pub(super) fn account(&self) -> &Arc<Account> {
        &self.account
    }
}

impl Pass<'_> {
    /// Puts the tokens that the call really used in place of its booking.
    pub(super) fn settle(&mut self, usage: Usage) {
        self.admission.settle(usage);
    }

    /// Reads what the server says about its limits.
    pub(super) async fn read(&self, headers: &HeaderMap) {
        self.gate.account.read(headers, &self.admission).await;
    }

    /// Takes note of how the call went, for the concurrency.
    pub(super) fn report(&self, latency: Duration, signal: Signal) {
        self.slot.report(latency, signal);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.account.end(&self.admission);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use proptest::prelude::*;
    use proptest::{collection, prop_assert, proptest};
    use tokio::runtime::Builder;
    use tokio::time::{Instant, sleep};

    use super::super::Units;
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn gate(requests: Option<u32>, tokens: Option<u32>) -> Arc<Gate> {
        let settings = EndpointSettings {
            requests_per_minute: requests,
            tokens_per_minute: tokens,
            concurrency: 1000,
            ..EndpointSettings::new("http://h", "m")
        };
        Arc::new(Gate::new(&settings, Account::new(settings.limits())))
    }

    /// One request of so many tokens, half of them the prompt's.
    fn units(tokens: u32) -> Units {
        Units { requests: 1, input: i64::from(tokens / 2), output: i64::from(tokens.div_ceil(2)) }
    }

    fn usage(tokens: u32) -> Usage {
        Usage { prompt_tokens: Some(tokens / 2), completion_tokens: Some(tokens.div_ceil(2)) }
    }

    fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most that any half-open window of a minute holds.
    fn fullest_minute(sent: &[(Instant, u32)]) -> u64 {
        let (mut end, mut held, mut most) = (0, 0, 0);
        for (start, (from, tokens)) in sent.iter().enumerate() {
            while end < sent.len() && sent[end].0 - *from < MINUTE {
                held += u64::from(sent[end].1);
                end += 1;
            }
            most = most.max(held);
            held -= u64::from(*tokens);
            debug_assert!(end > start);
        }
        most
    }

    #[tokio::test(start_paused = true)]
    async fn no_minute_holds_more_requests_than_allowed_and_99_percent_are_used() {
        for allowed in [1, 7, 60, 199, 200, 399, 600, 6000, 60_000] {
            let gate = gate(Some(allowed), None);
            let begin = Instant::now();
            let mut sent = Vec::new();
            loop {
                drop(gate.enter(units(0)).await);
                if begin.elapsed() >= 10 * MINUTE {
                    break;
                }
                sent.push((Instant::now(), 1));
            }
            assert!(fullest_minute(&sent) <= u64::from(allowed), "{allowed}: {}", fullest_minute(&sent));
            assert!(sent.len() as u64 * 100 >= u64::from(allowed) * 10 * 99, "{allowed}: {}", sent.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_bound_on_requests_holds_when_load_comes_and_goes() {
        let gate = gate(Some(600), None);
        let mut sent = Vec::new();
        for pause in [0, 90, 3, 45, 61, 0, 7] {
            sleep(Duration::from_secs(pause)).await;
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_secs(70) {
                drop(gate.enter(units(0)).await);
                sent.push((Instant::now(), 1));
            }
        }
        assert!(fullest_minute(&sent) <= 600, "{}", fullest_minute(&sent));
    }

    #[tokio::test(start_paused = true)]
    async fn no_minute_holds_more_tokens_than_allowed_and_99_percent_are_used() {
        for (allowed, estimate, used) in [(10_000, 20, 20), (1_000_000, 1500, 1500), (1_000_000, 3000, 1000)] {
            let gate = gate(None, Some(allowed));
            let begin = Instant::now();
            let mut sent = Vec::new();
            while begin.elapsed() < 10 * MINUTE {
                let mut pass = gate.enter(units(estimate)).await;
                sent.push((Instant::now(), used));
                pass.settle(usage(used));
            }
            assert!(fullest_minute(&sent) <= u64::from(allowed), "{allowed}: {}", fullest_minute(&sent));
            let total: u64 = sent.iter().map(|(_, tokens)| u64::from(*tokens)).sum();
            assert!(total * 100 >= u64::from(allowed) * 10 * 99, "{allowed} {estimate}: {total}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_given_back_late_by_calls_in_flight_break_no_minute() {
        let gate = gate(None, Some(100_000));
        let sent = Arc::new(Mutex::new(Vec::new()));
        let mut calls = tokio::task::JoinSet::new();
        for caller in 0..40_u32 {
            let (gate, sent) = (Arc::clone(&gate), Arc::clone(&sent));
            calls.spawn(async move {
                let begin = Instant::now();
                while begin.elapsed() < 10 * MINUTE {
                    let used = 200 + 40 * caller;
                    let mut pass = gate.enter(units(2000)).await;
                    lock(&sent).push((Instant::now(), used));
                    sleep(Duration::from_millis(u64::from(500 + 700 * caller))).await;
                    pass.settle(usage(used));
                }
            });
        }
        calls.join_all().await;
        let sent = lock(&sent);
        assert!(fullest_minute(&sent) <= 100_000, "{}", fullest_minute(&sent));
        assert!(sent.len() > 400, "{}", sent.len());
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_used_beyond_the_estimate_are_waited_for_by_later_calls() {
        let gate = gate(None, Some(60_000));
        gate.enter(units(100)).await.settle(usage(60_100));
        let begin = Instant::now();
        drop(gate.enter(units(100)).await);
        assert!(begin.elapsed() >= MINUTE, "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_leave_evenly_and_not_in_one_burst() {
        let gate = gate(None, Some(60_000));
        let begin = Instant::now();
        let mut sent = 0;
        while begin.elapsed() < Duration::from_secs(10) {
            drop(gate.enter(units(100)).await);
            sent += 100;
        }
        assert!((10_000..=16_200).contains(&sent), "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_estimate_above_the_whole_allowance_is_clamped() {
        let gate = gate(None, Some(1000));
        drop(gate.enter(units(5000)).await);
        let begin = Instant::now();
        drop(gate.enter(units(5000)).await);
        assert!(begin.elapsed() >= MINUTE);
    }

    #[tokio::test(start_paused = true)]
    async fn both_limits_hold_together() {
        let gate = gate(Some(60), Some(6000));
        let begin = Instant::now();
        let mut sent = Vec::new();
        while begin.elapsed() < 5 * MINUTE {
            let tokens = if sent.len() % 100 < 50 { 10 } else { 500 };
            gate.enter(units(tokens)).await.settle(usage(tokens));
            sent.push((Instant::now(), tokens));
        }
        assert!(fullest_minute(&sent) <= 6000);
        let requests: Vec<_> = sent.iter().map(|(at, _)| (*at, 1)).collect();
        assert!(fullest_minute(&requests) <= 60);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn no_load_breaks_either_bound(
            requests in 1..3000_u32,
            tokens in 500..200_000_u32,
            load in collection::vec((0..30_000_u64, 1..60_usize, 1..400_u32, 1..100_u32), 1..12),
        ) {
            let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let sent = runtime.block_on(async {
                let (gate, mut sent) = (gate(Some(requests), Some(tokens)), Vec::new());
                for (idle, calls, estimate, percent) in load {
                    sleep(Duration::from_millis(idle)).await;
                    let mut in_flight = Vec::new();
                    for call in 0..calls {
                        let used = estimate * percent / 100;
                        in_flight.push((gate.enter(units(estimate)).await, used));
                        sent.push((Instant::now(), used));
                        if call % 3 == 0 {
                            let (mut pass, used) = in_flight.swap_remove(in_flight.len() / 2);
                            pass.settle(usage(used));
                        }
                    }
                    for (mut pass, used) in in_flight {
                        pass.settle(usage(used));
                    }
                }
                sent
            });
            prop_assert!(fullest_minute(&sent) <= u64::from(tokens));
            let sent: Vec<_> = sent.into_iter().map(|(at, _)| (at, 1)).collect();
            prop_assert!(fullest_minute(&sent) <= u64::from(requests));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_back_every_call_and_the_longest_one_counts() {
        let gate = gate(None, None);
        gate.pause(Duration::from_secs(20)).await;
        gate.pause(Duration::from_secs(5)).await;
        let begin = Instant::now();
        let both = tokio::join!(gate.enter(units(0)), gate.enter(units(0)));
        assert!(begin.elapsed() >= Duration::from_secs(20));
        drop(both);
        drop(gate.enter(units(0)).await);
        assert!(begin.elapsed() < Duration::from_secs(21));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_call_that_is_dropped_lets_the_next_one_in() {
        let gate = gate(Some(1), None);
        drop(gate.enter(units(0)).await);
        let begin = Instant::now();
        assert!(tokio::time::timeout(Duration::from_secs(5), gate.enter(units(0))).await.is_err());
        drop(gate.enter(units(0)).await);
        assert!(begin.elapsed() < Duration::from_secs(61));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_calls_are_in_flight_than_allowed() {
        let settings = EndpointSettings { concurrency: 2, ..EndpointSettings::new("http://h", "m") };
        let gate = Gate::new(&settings, Account::new(settings.limits()));
        let held = (gate.enter(units(0)).await, gate.enter(units(0)).await);
        assert!(tokio::time::timeout(Duration::from_secs(5), gate.enter(units(0))).await.is_err());
        drop(held);
        drop(gate.enter(units(0)).await);
    }
}

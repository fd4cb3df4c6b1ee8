use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

/// An account as the database keeps it.
#[derive(Default)]
struct Ledger {
    slots: BTreeMap<i64, Amount>,
    due: [f64; 4],
}

impl Ledger {
    fn ask(&mut self, now: f64, limits: &PerMinute, want: Amount, least: Amount, unused: &[(i64, Amount)]) -> Amount {
        let mut books = Books { now, due: self.due, ..Books::default() };
        for (slot, amount) in unused {
            let held = self.slots.entry(*slot).or_default();
            held.requests -= amount.requests;
            held.input -= amount.input;
            held.output -= amount.output;
            books.take_back(limits, *amount);
        }
        for amount in self.slots.range(slot(now) - SLOTS + 1..).map(|(_, amount)| amount) {
            books.window.requests += amount.requests;
            books.window.input += amount.input;
            books.window.output += amount.output;
        }
        let granted = books.grant(limits, &Want::from((want, least)));
        self.due = books.due;
        let held = self.slots.entry(slot(now)).or_default();
        held.requests += granted.requests;
        held.input += granted.input;
        held.output += granted.output;
        granted
    }
}

fn requests(requests: i64) -> Amount {
    Amount { requests, ..Amount::default() }
}

/// The most that any 60 seconds hold of what was sent.
fn fullest(sent: &mut [(f64, i64)]) -> i64 {
    sent.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut end, mut held, mut most) = (0, 0, 0);
    for start in 0..sent.len() {
        while end < sent.len() && sent[end].0 - sent[start].0 < 60.0 {
            held += sent[end].1;
            end += 1;
        }
        most = most.max(held);
        held -= sent[start].1;
    }
    most
}

#[test]
fn the_number_of_slots_is_what_a_window_can_meet() {
    let met = (Duration::from_mins(1) + BUNCHING + SLOT + VALID).as_secs_f64() / SLOT.as_secs_f64();
    assert_eq!(SLOTS, met.ceil() as i64);
}

#[test]
fn one_process_and_many_use_99_percent_and_no_window_holds_more() {
    for (limit, processes) in [(60, 1), (600, 1), (6000, 1), (6000, 3), (600, 8), (60, 4), (1, 2)] {
        let (mut ledger, mut rng) = (Ledger::default(), StdRng::seed_from_u64(processes));
        let limits = [Some(limit), None, None, None];
        let mut sent = Vec::new();
        let minutes = 12.0;
        let mut next: Vec<f64> = (0..processes).map(|_| 1000.0 + rng.random_range(0.0..0.2)).collect();
        while let Some((at, now)) = next.iter().copied().enumerate().min_by(|one, other| one.1.total_cmp(&other.1))
            && now < 1000.0 + minutes * 60.0
        {
            let granted = ledger.ask(now, &limits, requests(200), requests(1), &[]).requests;
            // Used at the worst moments: at once, or as late as may be.
            let late = if rng.random() { 0.0 } else { VALID.as_secs_f64() };
            sent.extend((0..granted).map(|_| (now + late, 1)));
            next[at] = now + rng.random_range(0.17..0.23);
        }
        let total = sent.len() as f64;
        let most = fullest(&mut sent);
        assert!(most <= i64::from(limit), "{limit} {processes}: {most}");
        let share = total / (f64::from(limit) * minutes);
        let expected = match limit {
            1 => 0.95,
            2..100 => 0.98,
            _ => 0.99,
        };
        assert!(share >= expected, "{limit} {processes}: {share}");
    }
}

#[test]
fn grants_come_evenly_and_not_in_one_burst() {
    let (mut ledger, limits) = (Ledger::default(), [Some(6000), None, None, None]);
    let granted: i64 = (0..50)
        .map(|tick| ledger.ask(100.0 + f64::from(tick) * 0.2, &limits, requests(999), requests(1), &[]).requests)
        .sum();
    assert!((1000..=1100).contains(&granted), "{granted} in ten seconds");
}

#[test]
fn a_call_of_more_than_a_second_is_worth_is_granted_when_the_pace_is_idle() {
    let (mut ledger, limits) = (Ledger::default(), [None, None, Some(6000), None]);
    let call = Amount { requests: 1, input: 3000, output: 0 };
    assert_eq!(ledger.ask(100.0, &limits, call, call, &[]), call);
    assert_eq!(ledger.ask(110.0, &limits, call, call, &[]), Amount::default());
    assert_eq!(ledger.ask(130.1, &limits, call, call, &[]), call);
    assert_eq!(ledger.ask(160.2, &limits, call, call, &[]), Amount::default(), "the window is full");
    assert_eq!(ledger.ask(161.0, &limits, call, call, &[]), call);
}

#[test]
fn what_was_not_used_is_there_again_at_once() {
    let (mut ledger, limits) = (Ledger::default(), [None, Some(600), None, None]);
    let call = Amount { requests: 1, input: 100, output: 500 };
    assert_eq!(ledger.ask(50.0, &limits, call, call, &[]), call);
    let unused = [(slot(50.0), Amount { requests: 0, input: 0, output: 500 })];
    let small = Amount { requests: 1, input: 10, output: 10 };
    assert_eq!(ledger.ask(70.0, &limits, small, small, &[]), Amount::default());
    assert_eq!(ledger.ask(70.0, &limits, small, small, &unused), small);
}

#[test]
fn calls_in_flight_that_are_booked_far_above_their_use_do_not_hold_up_the_pace() {
    // Ten calls a second of 100 tokens each, booked at 600, whose answers take two seconds.
    let (mut books, limits) = (Books::default(), [None, Some(60_000), None, None]);
    let call = |calls, output| Amount { requests: calls, input: 0, output: calls * output };
    let mut sent = 0;
    for tick in 0..300 {
        books.now = 1000.0 + f64::from(tick) * 0.2;
        let want = Want { booked: call(5, 600), expected: call(5, 100), least: call(1, 600), free: Amount::default() };
        sent += books.grant(&limits, &want).output / 600;
    }
    assert!((590..=612).contains(&sent), "{sent} calls in a minute");
}

#[test]
fn what_one_call_may_use_beyond_its_booking_is_left_free_up_to_a_part_of_the_limit() {
    let limits = [None, None, None, Some(3200)];
    let output = |output| Amount { output, ..Amount::default() };
    let granted = |free, least| {
        let mut books = Books { now: 1e6, window: output(3000), ..Books::default() };
        let want = Want { booked: output(200), expected: output(1), least: output(least), free: output(free) };
        books.grant(&limits, &want).output
    };
    assert_eq!(granted(0, 1), 200);
    assert_eq!(granted(60, 1), 140);
    assert_eq!(granted(900, 1), 100);
    assert_eq!(granted(900, 101), 0);
    // A call that needs all there is finds room when there is nothing else.
    let mut books = Books { now: 1e6, ..Books::default() };
    let all = Want { free: output(900), ..Want::from((output(3200), output(3200))) };
    assert_eq!(books.grant(&limits, &all), output(3200));
}

#[test]
fn a_lease_leaves_others_what_they_hold_and_shares_what_there_is() {
    let other = |calls, wanted| Lease { calls, wanted };
    assert_eq!(lease(10, 50, &[]), 10);
    assert_eq!(lease(10, 4, &[]), 4);
    assert_eq!(lease(10, 50, &[other(10, 50)]), 0, "all is held: it waits");
    assert_eq!(lease(10, 50, &[other(0, 50)]), 5, "whoever holds all has to come down to its part");
    assert_eq!(lease(10, 50, &[other(2, 2)]), 8, "and has what the other leaves");
    assert_eq!(lease(10, 50, &[other(5, 50)]), 5);
    assert_eq!(lease(2, 9, &[other(0, 9), other(0, 9), other(1, 9)]), 1, "everybody's part is one at least");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Processes that come and go, die with their grants, use some of them late and some not at all, and use less than they
    /// estimated: no window of what was sent holds more than any limit.
    #[test]
    fn no_load_breaks_a_window(
        seed: u64,
        limits in (1..3000_u32, 500..90_000_u32, 500..60_000_u32, 500..60_000_u32),
        processes in 1..6_usize,
    ) {
        let (mut ledger, mut rng) = (Ledger::default(), StdRng::seed_from_u64(seed));
        let limits = [Some(limits.0), Some(limits.1), Some(limits.2), Some(limits.3)];
        let mut sent: Vec<(f64, Amount)> = Vec::new();
        let mut owed: Vec<Vec<(f64, i64, Amount)>> = vec![Vec::new(); processes];
        let mut now = 5000.0;
        while now < 5240.0 {
            now += rng.random_range(0.0..0.1);
            let process = rng.random_range(0..processes);
            let call = Amount { requests: 1, input: rng.random_range(1..400), output: rng.random_range(1..400) };
            let calls = rng.random_range(1..40);
            let want = Amount { requests: calls, input: call.input * calls, output: call.output * calls };
            let due: Vec<_> = owed[process].iter().filter(|owed| owed.0 <= now).map(|owed| (owed.1, owed.2)).collect();
            owed[process].retain(|owed| owed.0 > now);
            let mut granted = ledger.ask(now, &limits, want, call, &due);
            if rng.random_range(0..20) == 0 {
                owed[process].clear();
                continue; // killed with what it was granted and what it owed
            }
            while granted.requests >= 1 && granted.input >= call.input && granted.output >= call.output {
                granted.requests -= 1;
                granted.input -= call.input;
                granted.output -= call.output;
                let used = Amount { requests: 1, input: call.input, output: rng.random_range(0..=call.output) };
                sent.push((now + rng.random_range(0.0..VALID.as_secs_f64()), used));
                let rest = Amount { requests: 0, input: 0, output: call.output - used.output };
                owed[process].push((now + rng.random_range(0.3..20.0), slot(now), rest));
            }
            owed[process].push((now + 0.3, slot(now), granted));
        }
        for (limit, of) in limits.iter().zip(MEASURES) {
            let mut measured: Vec<_> = sent.iter().map(|(at, amount)| (*at, of(*amount))).collect();
            prop_assert!(fullest(&mut measured) <= i64::from(limit.unwrap_or(0)));
        }
    }
}

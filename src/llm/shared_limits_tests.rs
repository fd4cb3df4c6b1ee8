#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::learnt::{Booking, Learnt};
use super::super::limiter::Gate;
use super::super::{Account, EndpointSettings, Usage};
use super::*;
use crate::store::accounts::books::{self, Amount, Books, Lease, Want};

const MINUTE: Duration = Duration::from_mins(1);

/// An account as the database keeps it, by a clock that tests can stop.
struct Ledger {
    begun: Instant,
    books: Mutex<(BTreeMap<i64, Units>, [f64; 4])>,
    leases: Mutex<HashMap<usize, Lease>>,
    asked: AtomicU32,
    away: AtomicU32,
    paused: Mutex<Option<Instant>>,
}

/// The keeper of one process.
struct Process {
    ledger: Arc<Ledger>,
    number: usize,
}

impl Ledger {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            books: Mutex::default(),
            leases: Mutex::default(),
            asked: AtomicU32::new(0),
            away: AtomicU32::new(0),
            paused: Mutex::default(),
        })
    }

    fn grant(&self, number: usize, ask: &Ask) -> Grant {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let amount = |units: Units| Amount { requests: units.requests, input: units.input, output: units.output };
        let limits = [ask.limits.requests, ask.limits.tokens, ask.limits.input, ask.limits.output];
        let now = 1e6 + self.begun.elapsed().as_secs_f64();
        let slot = books::slot(now);
        let mut all = self.books.lock().unwrap();
        let (slots, due) = &mut *all;
        let mut books = Books { now, due: *due, ..Books::default() };
        for (slot, unused) in &ask.unused {
            *slots.entry(*slot).or_default() -= *unused;
        }
        books.take_back(&limits, amount(ask.unexpected));
        let mut window = Units::default();
        slots.range(slot - books::SLOTS + 1..).for_each(|(_, units)| window += *units);
        books.window = amount(window);
        let (booked, expected) = (amount(ask.want), amount(ask.expected));
        let want = Want { booked, expected, least: amount(ask.least), free: amount(ask.free) };
        let paused_until = self.paused.lock().unwrap().filter(|until| *until > Instant::now());
        let want = if paused_until.is_none() { want } else { Want::default() };
        let Amount { requests, input, output } = books.grant(&limits, &want);
        *due = books.due;
        let units = Units { requests, input, output };
        *slots.entry(slot).or_default() += units;
        let mut leases = self.leases.lock().unwrap();
        leases.remove(&number);
        let others: Vec<Lease> = leases.values().copied().collect();
        let calls = ask.limits.concurrency.map_or(u32::MAX, |limit| books::lease(limit, ask.calls, &others));
        leases.insert(number, Lease { calls: calls.max(ask.in_flight), wanted: ask.calls });
        Grant { slot, units, until: Instant::now() + books::VALID, calls, paused_until }
    }
}

impl Keeper for Process {
    fn ask<'k>(&'k self, _: &'k str, ask: Ask) -> BoxFuture<'k, Result<Grant, KeeperError>> {
        Box::pin(async move {
            if self.ledger.away.load(Ordering::Relaxed) > 0 {
                return Err(KeeperError("the server is away".to_owned()));
            }
            // There, the grant, and back.
            sleep(Duration::from_millis(2)).await;
            let grant = self.ledger.grant(self.number, &ask);
            sleep(Duration::from_millis(2)).await;
            Ok(grant)
        })
    }

    fn pause<'k>(&'k self, _: &'k str, wait: Duration) -> BoxFuture<'k, Result<(), KeeperError>> {
        Box::pin(async move {
            sleep(Duration::from_millis(2)).await;
            self.ledger.pause(wait);
            Ok(())
        })
    }
}

impl Ledger {
    fn pause(&self, wait: Duration) {
        let mut paused = self.paused.lock().unwrap();
        *paused = (*paused).max(Some(Instant::now() + wait));
    }
}

fn settings(toml: &str) -> EndpointSettings {
    toml::from_str(&format!("base_url = 'http://h'\nmodel = 'm'\nconcurrency = 1000\n{toml}")).unwrap()
}

/// The gate of a process of its own.
fn gate(ledger: &Arc<Ledger>, number: usize, settings: &EndpointSettings) -> Arc<Gate> {
    let account = Account::new(settings.limits());
    account.share("a", || Arc::new(Process { ledger: Arc::clone(ledger), number }));
    Arc::new(Gate::new(settings, account))
}

fn fullest_minute(sent: &[(Instant, i64)]) -> i64 {
    let (mut end, mut held, mut most) = (0, 0, 0);
    for (from, units) in sent {
        while end < sent.len() && sent[end].0 - *from < MINUTE {
            held += sent[end].1;
            end += 1;
        }
        most = most.max(held);
        held -= units;
    }
    most
}

/// What `callers` in each of several processes send within `minutes` when each call takes `latency`, as instants and
/// tokens.
async fn load(
    ledger: &Arc<Ledger>,
    settings: &EndpointSettings,
    processes: usize,
    callers: u64,
    latency: Duration,
    minutes: u32,
) -> Vec<(Instant, i64)> {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let end = Instant::now() + minutes * MINUTE;
    let mut tasks = JoinSet::new();
    for process in 0..processes {
        let gate = gate(ledger, process, settings);
        for caller in 0..callers {
            let (gate, sent) = (Arc::clone(&gate), Arc::clone(&sent));
            tasks.spawn(async move {
                let estimate = Units { requests: 1, input: 300, output: 700 };
                while Instant::now() < end {
                    let Ok(mut pass) = tokio::time::timeout_at(end, gate.enter(estimate)).await else { break };
                    let used =
                        Usage { prompt_tokens: Some(250), completion_tokens: Some(100 + 40 * caller as u32 % 400) };
                    sent.lock().unwrap().push((Instant::now(), i64::from(used.total().unwrap_or(0))));
                    sleep(latency.mul_f64(0.5 + caller as f64 / callers as f64)).await;
                    pass.settle(used);
                }
            });
        }
    }
    tasks.join_all().await;
    Arc::try_unwrap(sent).unwrap().into_inner().unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_process_or_several_use_99_percent_of_the_requests_and_no_minute_holds_more() {
    for (limit, processes) in [(600, 1), (6000, 1), (6000, 3), (1200, 8)] {
        let (ledger, settings) = (Ledger::new(), settings(&format!("requests_per_minute = {limit}")));
        let minutes = 4;
        let sent = load(&ledger, &settings, processes, 40, Duration::from_millis(150), minutes).await;
        let requests: Vec<_> = sent.iter().map(|(at, _)| (*at, 1)).collect();
        let most = fullest_minute(&requests);
        assert!(most <= limit, "{limit} {processes}: {most}");
        let share = sent.len() as f64 / (limit * i64::from(minutes)) as f64;
        assert!(share >= 0.99, "{limit} {processes}: {share}");
        let asked = f64::from(ledger.asked.load(Ordering::Relaxed));
        let rate = asked / f64::from(minutes * 60) / processes as f64;
        assert!(rate < 6.0, "each process asks {rate} times a second");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_are_settled_across_processes_and_97_percent_are_used() {
    for (limit, processes) in [("tokens_per_minute = 200000", 3), ("output_tokens_per_minute = 90000", 2)] {
        let (ledger, settings) = (Ledger::new(), settings(limit));
        let minutes = 5;
        let sent = load(&ledger, &settings, processes, 20, Duration::from_millis(300), minutes).await;
        let output = settings.output_tokens_per_minute.is_some();
        let tokens: Vec<_> = sent.iter().map(|(at, total)| (*at, if output { total - 250 } else { *total })).collect();
        let allowed = i64::from(settings.tokens_per_minute.or(settings.output_tokens_per_minute).unwrap());
        let most = fullest_minute(&tokens);
        assert!(most <= allowed, "{limit}: {most}");
        let total: i64 = tokens.iter().map(|(_, tokens)| tokens).sum();
        let share = total as f64 / (allowed * i64::from(minutes)) as f64;
        assert!(share >= 0.97, "{limit}: {share}");
    }
}

/// A stage in each of several processes whose answers may be `bound` tokens long, and are as long as `used` says; prompts
/// are estimated at 120 tokens and have 100.
async fn stage(
    ledger: &Arc<Ledger>,
    settings: &EndpointSettings,
    processes: usize,
    bound: i64,
    latency: Duration,
    minutes: u32,
    used: fn(u64, Duration) -> u32,
) -> Vec<(Instant, i64)> {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (begun, end) = (Instant::now(), Instant::now() + minutes * MINUTE);
    let mut tasks = JoinSet::new();
    for process in 0..processes {
        let (gate, learnt) = (gate(ledger, process, settings), Arc::new(Learnt::new(settings.token_booking)));
        for caller in 0..64_u64 {
            let (gate, learnt, sent) = (Arc::clone(&gate), Arc::clone(&learnt), Arc::clone(&sent));
            tasks.spawn(async move {
                let most = Units { requests: 1, input: 120, output: bound };
                for call in 0.. {
                    let Ok(mut pass) = tokio::time::timeout_at(end, gate.enter((&*learnt, most))).await else { break };
                    let output = used(caller * 7919 + call * 104_729, begun.elapsed());
                    let usage = Usage { prompt_tokens: Some(100), completion_tokens: Some(output) };
                    sent.lock().unwrap().push((Instant::now(), i64::from(output) + 100));
                    sleep(latency.mul_f64(0.5 + caller as f64 / 64.0)).await;
                    pass.settle(usage);
                    learnt.note(most, usage);
                    drop(pass);
                    gate.account().pay_back().await;
                }
            });
        }
    }
    tasks.join_all().await;
    Arc::try_unwrap(sent).unwrap().into_inner().unwrap()
}

fn share(sent: &[(Instant, i64)], allowed: i64, minutes: u32) -> f64 {
    sent.iter().map(|(_, tokens)| tokens).sum::<i64>() as f64 / (allowed * i64::from(minutes)) as f64
}

#[tokio::test(start_paused = true)]
async fn answers_far_below_max_tokens_use_the_limit_all_the_same() {
    // 100 to 300 tokens of 1000, one in a hundred up to the bound.
    let used = |call: u64, _| if call % 100 == 7 { 1000 } else { 100 + (call % 201) as u32 };
    for (processes, latency) in [(1, 300), (1, 1000), (3, 300), (3, 1000), (3, 8000)] {
        let (ledger, settings) = (Ledger::new(), settings("tokens_per_minute = 120000"));
        let sent = stage(&ledger, &settings, processes, 1000, Duration::from_millis(latency), 5, used).await;
        let (most, share) = (fullest_minute(&sent), share(&sent, 120_000, 5));
        eprintln!("learnt, {processes} processes, {latency} ms: {share:.3}, fullest {most}");
        assert!(most <= 120_000, "{processes} {latency}: {most}");
        assert!(share >= if latency > 1000 { 0.85 } else { 0.96 }, "{processes} {latency}: {share}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_booked_at_their_bound_lose_what_is_in_flight_and_no_more() {
    let used = |call: u64, _| 100 + (call % 201) as u32;
    for (processes, latency) in [(1, 300), (3, 300), (1, 1000), (3, 1000)] {
        let settings = settings("tokens_per_minute = 120000\ntoken_booking = 'most'");
        assert_eq!(settings.token_booking, Booking::Most);
        let sent = stage(&Ledger::new(), &settings, processes, 1000, Duration::from_millis(latency), 5, used).await;
        let (most, share) = (fullest_minute(&sent), share(&sent, 120_000, 5));
        eprintln!("most, {processes} processes, {latency} ms: {share:.3}, fullest {most}");
        assert!(most <= 120_000, "{processes} {latency}: {most}");
        // A call may use 1120 tokens and uses 300.
        let lost = (latency as f64 / 1000.0 + 0.3) / 60.0 * (1120.0 / 300.0 - 1.0);
        assert!(share >= 0.985 - lost, "{processes} {latency}: {share}, {lost} is lost");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_grow_pass_the_limit_by_the_calls_in_flight_at_most_and_that_is_paid_back() {
    let used = |_, elapsed: Duration| if elapsed < Duration::from_secs(150) { 200 } else { 1000 };
    for processes in [1, 3] {
        let settings = settings("tokens_per_minute = 120000");
        let sent = stage(&Ledger::new(), &settings, processes, 1000, Duration::from_secs(1), 6, used).await;
        let most = fullest_minute(&sent);
        eprintln!("{processes} processes: fullest {most}");
        // 400 calls a minute, and answers that take up to a second and a half: ten are in flight, and 113 were booked.
        let excess = 775 * 10 * 3 / 2;
        assert!(most <= 120_000 + excess, "{processes}: {most}");
        let later: Vec<_> = sent.iter().copied().filter(|(at, _)| *at >= sent[0].0 + 4 * MINUTE).collect();
        assert!(fullest_minute(&later) <= 120_000);
        assert!(share(&later, 120_000, 2) >= 0.85, "{}", share(&later, 120_000, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_not_reached_costs_a_fast_endpoint_little() {
    let (ledger, settings) = (Ledger::new(), settings("requests_per_minute = 60000"));
    // Eight callers at 20 ms each: 400 a second were possible.
    let sent = load(&ledger, &settings, 1, 8, Duration::from_millis(20), 1).await;
    assert!(sent.len() > 60 * 300, "{} in a minute", sent.len());
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_of_all_processes_stay_within_the_account_and_each_gets_its_part() {
    let (ledger, settings) = (Ledger::new(), settings("account_concurrency = 10"));
    let flying = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
    let done: Arc<Mutex<[u32; 3]>> = Arc::default();
    let mut tasks = JoinSet::new();
    for process in 0..3 {
        let gate = gate(&ledger, process, &settings);
        for _ in 0..20 {
            let (gate, flying, done) = (Arc::clone(&gate), Arc::clone(&flying), Arc::clone(&done));
            tasks.spawn(async move {
                sleep(Duration::from_secs(process as u64 * 5)).await;
                for _ in 0..100 {
                    let pass = gate.enter(Units { requests: 1, input: 1, output: 1 }).await;
                    let now = flying.0.fetch_add(1, Ordering::Relaxed) + 1;
                    flying.1.fetch_max(now, Ordering::Relaxed);
                    sleep(Duration::from_millis(300)).await;
                    flying.0.fetch_sub(1, Ordering::Relaxed);
                    drop(pass);
                    done.lock().unwrap()[process] += 1;
                }
            });
        }
    }
    sleep(Duration::from_secs(70)).await;
    let done = *done.lock().unwrap();
    assert!(done.iter().all(|done| *done > 300), "{done:?}");
    assert_eq!(flying.1.load(Ordering::Relaxed), 10);
    // Ten at once at 300 ms each.
    assert!(done.iter().sum::<u32>() > 70 * 33 * 85 / 100, "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_done_gives_its_lease_and_its_grants_back() {
    let (ledger, settings) = (Ledger::new(), settings("account_concurrency = 4\nrequests_per_minute = 60"));
    let (one, other) = (gate(&ledger, 0, &settings), gate(&ledger, 1, &settings));
    let call = Units { requests: 1, input: 1, output: 1 };
    let pass = one.enter(call).await;
    one.account().rest().await;
    assert_eq!(ledger.leases.lock().unwrap()[&0].calls, 1, "not while a call is under way");
    drop(pass);
    one.account().rest().await;
    assert_eq!(ledger.leases.lock().unwrap()[&0], Lease { calls: 0, wanted: 0 });
    let booked: i64 = ledger.books.lock().unwrap().0.values().map(|units| units.requests).sum();
    assert_eq!(booked, 1, "what was sent stays booked, the rest does not");
    drop(other.enter(call).await);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_the_keeper_is_away() {
    let (ledger, settings) = (Ledger::new(), settings("requests_per_minute = 600"));
    let gate = gate(&ledger, 0, &settings);
    ledger.away.store(1, Ordering::Relaxed);
    let call = Units { requests: 1, input: 1, output: 1 };
    assert!(tokio::time::timeout(Duration::from_secs(30), gate.enter(call)).await.is_err());
    ledger.away.store(0, Ordering::Relaxed);
    let begin = Instant::now();
    drop(gate.enter(call).await);
    assert!(begin.elapsed() <= Duration::from_secs(2));
}

/// Sends from a process as fast as it may until `end`.
fn sending(gate: &Arc<Gate>, end: Instant) -> tokio::task::JoinHandle<Vec<Instant>> {
    let gate = Arc::clone(gate);
    tokio::spawn(async move {
        let mut sent = Vec::new();
        while let Ok(pass) = tokio::time::timeout_at(end, gate.enter(CALL)).await {
            sent.push(Instant::now());
            sleep(Duration::from_millis(20)).await;
            drop(pass);
        }
        sent
    })
}

const CALL: Units = Units { requests: 1, input: 10, output: 10 };

/// A process goes on until another hears of a pause, within so long, and then waits for its end.
fn pauses_with(sent: &[Instant], told: Instant, within: Duration, pause: Duration) {
    assert!(sent.iter().any(|at| *at < told), "it sent before");
    let meanwhile = sent.iter().filter(|at| (told + within..told + pause).contains(at)).count();
    assert_eq!(meanwhile, 0, "sent while it was paused");
    let after = sent.iter().find(|at| **at >= told + pause).expect("it goes on afterwards");
    assert!(*after <= told + pause + Duration::from_secs(2), "{:?}", *after - told);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_one_process_is_told_holds_for_all() {
    let limits = ["", "requests_per_minute = 6000", "account_concurrency = 8", "tokens_per_minute = 90000"];
    for (limits, within) in limits.into_iter().zip([1100, 600, 2200, 600]) {
        let (ledger, settings) = (Ledger::new(), settings(limits));
        let (one, other) = (gate(&ledger, 0, &settings), gate(&ledger, 1, &settings));
        let end = Instant::now() + Duration::from_secs(60);
        let (first, second) = (sending(&one, end), sending(&other, end));
        sleep(Duration::from_secs(10)).await;
        let (told, pause) = (Instant::now(), Duration::from_secs(30));
        let asked = ledger.asked.load(Ordering::Relaxed);
        one.pause(pause).await;
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        pauses_with(&first, told, Duration::from_millis(3), pause);
        pauses_with(&second, told, Duration::from_millis(within), pause);
        let asked = ledger.asked.load(Ordering::Relaxed) - asked;
        assert!(asked < 2 * 35 + 2 * 6 * 21, "{limits}: {asked} questions");
    }
}

#[tokio::test(start_paused = true)]
async fn what_headers_say_is_left_holds_for_all_processes() {
    let (ledger, settings) = (Ledger::new(), settings(""));
    let (one, other) = (gate(&ledger, 0, &settings), gate(&ledger, 1, &settings));
    let second = sending(&other, Instant::now() + Duration::from_secs(40));
    sleep(Duration::from_secs(5)).await;
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("x-ratelimit-remaining-requests", reqwest::header::HeaderValue::from_static("0"));
    headers.insert("x-ratelimit-reset-requests", reqwest::header::HeaderValue::from_static("20s"));
    let pass = one.enter(CALL).await;
    let told = Instant::now();
    pass.read(&headers).await;
    drop(pass);
    pauses_with(&second.await.unwrap(), told, Duration::from_millis(1100), Duration::from_secs(20));
    // A pause that is over in no time is not worth telling.
    headers.insert("x-ratelimit-reset-requests", reqwest::header::HeaderValue::from_static("100ms"));
    let pass = one.enter(CALL).await;
    let before = *ledger.paused.lock().unwrap();
    pass.read(&headers).await;
    assert_eq!(*ledger.paused.lock().unwrap(), before);
}

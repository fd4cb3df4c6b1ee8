//! What a stage may spend on calls under a cap: reserved before a call, given back when the call is committed.
//!
//! Reserved is the most that a call can cost: each byte of its prompt as a token, and all the tokens that its answer may
//! have. So with `max_tokens` set the cap is never exceeded. Near the cap fewer calls are under way at once, as each waits
//! for what others have reserved and not used; when nothing is reserved any more and the next call still does not fit, the
//! cap is reached. A call that is sent again after an unusable answer is not reserved again: what it cost beyond its
//! reservation is the one way past the cap.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::llm::{ChatRequest, Prices, Usage, most_tokens};
use crate::store::budget::{Amount, Caps, Reserved, Spender};
use crate::store::{Store, StoreResult};

/// How long to wait for what others give back.
const WAIT: Duration = Duration::from_millis(100);

/// The cap leaves no room for another call.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the cap is reached: {} dollars and {} tokens are spent{}{}, and the next call may not fit; rows that are left stay to be done",
    dollars(spent.microdollars), spent.tokens, cap_in_words(*caps), batches_in_words(*batched)
)]
pub struct CapReached {
    /// The cap.
    pub caps: Caps,
    /// What all stages under it have spent.
    pub spent: Amount,
    /// What batches may cost that are out.
    pub batched: Amount,
}

/// Millionths of a dollar as dollars.
pub fn dollars(microdollars: i64) -> String {
    format!("{:.4}", microdollars as f64 / 1e6)
}

fn batches_in_words(batched: Amount) -> String {
    if batched == Amount::default() {
        return String::new();
    }
    format!(", batches that are out may take {} dollars and {} tokens", dollars(batched.microdollars), batched.tokens)
}

fn cap_in_words(caps: Caps) -> String {
    let money = caps.microdollars.map(|cap| format!("{} dollars", dollars(cap)));
    let tokens = caps.tokens.map(|cap| format!("{cap} tokens"));
    let caps: Vec<String> = money.into_iter().chain(tokens).collect();
    if caps.is_empty() { String::new() } else { format!(" of {}", caps.join(" and ")) }
}

/// The most that a call may cost, whose answer may come in so many parts: each further part is asked with those before it.
pub fn bound(request: &ChatRequest, parts: u8, context_tokens: Option<u32>, prices: Option<Prices>) -> Amount {
    let one = most_tokens(request, context_tokens);
    let (prompt, answer) = (one.prompt_tokens.unwrap_or(0), one.completion_tokens.unwrap_or(0));
    let parts = u32::from(parts.max(1));
    let again = answer.saturating_mul(parts * (parts - 1) / 2);
    let prompts = prompt.saturating_mul(parts).saturating_add(again);
    amount(Usage { prompt_tokens: Some(prompts), completion_tokens: Some(answer.saturating_mul(parts)) }, prices)
}

/// What tokens cost.
pub fn amount(usage: Usage, prices: Option<Prices>) -> Amount {
    let tokens = i64::from(usage.prompt_tokens.unwrap_or(0)) + i64::from(usage.completion_tokens.unwrap_or(0));
    Amount { tokens, microdollars: prices.map_or(0, |prices| prices.cost_microdollars(usage)) }
}

/// What one stage of one process has reserved, and for what.
#[derive(Debug)]
pub struct Purse {
    /// None: nothing is counted.
    spender: Option<Spender>,
    /// Reserved, and not for any call yet.
    free: Amount,
    /// Calls that are under way or not committed, with what they may cost.
    held: HashMap<[u8; 16], Amount>,
    held_sum: Amount,
    reserving: Option<JoinHandle<StoreResult<Reserved>>>,
    /// Nothing was granted: not to be tried before.
    again_at: Option<Instant>,
    /// Nothing was held when that was asked.
    held_nothing: bool,
    /// The database may hold a reservation.
    is_open: bool,
}

impl Purse {
    /// A purse of `spender`; one without a cap pays for everything.
    pub fn new(spender: Spender) -> Self {
        Self {
            spender: (!spender.caps.is_none()).then_some(spender),
            free: Amount::default(),
            held: HashMap::new(),
            held_sum: Amount::default(),
            reserving: None,
            again_at: None,
            held_nothing: false,
            is_open: false,
        }
    }

    /// Takes what a call may cost; false: more must be reserved first.
    pub fn take(&mut self, key: [u8; 16], cost: impl FnOnce() -> Amount) -> bool {
        if self.spender.is_none() {
            return true;
        }
        let cost = cost();
        if !self.free.covers(cost) {
            return false;
        }
        self.free -= cost;
        self.held_sum += cost;
        self.held.insert(key, cost);
        true
    }

    /// Gives back what was taken for a call that is committed. Not for further calls: they ask anew, as what this one cost
    /// is spent now.
    pub fn settle(&mut self, key: &[u8; 16]) {
        if let Some(cost) = self.held.remove(key) {
            self.held_sum -= cost;
        }
    }

    /// Starts to reserve, if nothing is under way: for all of `costs`, else for the first of them.
    pub fn reserve(&mut self, store: &Store, costs: impl Iterator<Item = Amount>) {
        let Some(spender) = self.spender.clone() else { return };
        if self.reserving.is_some() || self.again_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let mut costs = costs.peekable();
        let Some(&first) = costs.peek() else { return };
        // What is free does not cover the next call, and is part of the new reservation.
        self.free = Amount::default();
        let wishes = [costs.sum(), first];
        let (store, held) = (store.clone(), self.held_sum);
        self.held_nothing = held == Amount::default();
        self.is_open = true;
        self.reserving = Some(tokio::spawn(async move { store.reserve(&spender, held, &wishes).await }));
    }

    /// Waits until the reservation under way has come to something; for ever if there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reserved(&mut self) -> anyhow::Result<Result<(), CapReached>> {
        let reserved = match &mut self.reserving {
            Some(reserving) => reserving.await,
            None => std::future::pending().await,
        };
        self.reserving = None;
        let reserved = reserved.map_err(|error| anyhow::anyhow!("a bug: the reservation ended early: {error}"))??;
        let Some(spender) = &self.spender else { return Ok(Ok(())) };
        match reserved.granted {
            Some(granted) => {
                self.again_at = None;
                self.free += granted;
            }
            None if self.held_nothing && reserved.elsewhere == Amount::default() => {
                return Ok(Err(CapReached { caps: spender.caps, spent: reserved.spent, batched: reserved.batched }));
            }
            None => self.again_at = Some(Instant::now() + WAIT),
        }
        Ok(Ok(()))
    }

    /// Whether it waits for what others give back.
    pub fn is_waiting(&self) -> bool {
        self.again_at.is_some()
    }

    /// Gives everything back: with no call under way, what is reserved only keeps others waiting.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn close(&mut self, store: &Store) -> StoreResult<()> {
        let Some(spender) = self.spender.as_ref().filter(|_| self.is_open && self.held.is_empty()) else {
            return Ok(());
        };
        if let Some(reserving) = self.reserving.take() {
            let _ = reserving.await;
        }
        self.free = Amount::default();
        self.is_open = false;
        store.give_back(spender.worker, spender.stage).await
    }
}

//! An account's limits per minute as one process keeps them by itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::pace::Pace;
use super::tokens::{Reservation, TokenBudget};
use super::{Limits, Units};

/// Tokens of one kind.
type Kind = fn(Units) -> i64;

/// The limits of one account in one process.
#[derive(Debug)]
pub(super) struct LocalLimits {
    requests: Option<Pace>,
    budgets: Mutex<Vec<(Kind, TokenBudget)>>,
}

impl LocalLimits {
    pub(super) fn new(limits: &Limits) -> Self {
        let kinds: [(Option<u32>, Kind); 3] = [
            (limits.tokens, Units::tokens),
            (limits.input, |units| units.input),
            (limits.output, |units| units.output),
        ];
        let budget = |(limit, kind): (Option<u32>, Kind)| Some((kind, TokenBudget::new(limit?)));
        Self {
            requests: limits.requests.map(Pace::exact),
            budgets: Mutex::new(kinds.into_iter().filter_map(budget).collect()),
        }
    }

    /// Takes every permit at this instant, or says how long to wait. The permit for the request is taken last, when nothing
    /// else can hold the call back any more.
    pub(super) fn take(&self, units: Units, now: Instant) -> Result<Vec<Reservation>, Duration> {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, budget) in &mut *budgets {
            budget.ready(count(kind(units)), now)?;
        }
        if let Some(requests) = &self.requests {
            requests.take(count(units.requests))?;
        }
        Ok(budgets.iter_mut().map(|(kind, budget)| budget.send(count(kind(units)), now)).collect())
    }

    /// Puts what a call used in place of its estimate.
    pub(super) fn settle(&self, reservations: &[Reservation], used: Units) {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        for ((kind, budget), reservation) in budgets.iter_mut().zip(reservations) {
            budget.settle(reservation, count(kind(used)));
        }
    }
}

fn count(units: i64) -> u32 {
    u32::try_from(units.max(0)).unwrap_or(u32::MAX)
}

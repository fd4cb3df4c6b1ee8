//! The slots of an endpoint's concurrency, whose number may change while calls hold them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::adaptive::{Adaptive, Signal};

/// The slots of one endpoint.
#[derive(Debug)]
pub(super) struct Slots {
    semaphore: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: u32,
    /// Slots that are gone as soon as their calls end.
    surplus: u32,
    adaptive: Option<Adaptive>,
}

/// A slot, held until it is dropped.
#[derive(Debug)]
pub(super) struct Slot<'s> {
    slots: &'s Slots,
    permit: Option<SemaphorePermit<'s>>,
}

impl Slots {
    pub(super) fn new(most: u32, adapts: bool) -> Self {
        let adaptive = (adapts && most > 1).then(|| Adaptive::new(most));
        Self {
            semaphore: Semaphore::new(most as usize),
            state: Mutex::new(State { limit: most, surplus: 0, adaptive }),
        }
    }

    /// Waits for a slot.
    pub(super) async fn acquire(&self) -> Slot<'_> {
        let permit = self.semaphore.acquire().await.expect("never closed");
        Slot { slots: self, permit: Some(permit) }
    }

    /// How many there are at present.
    pub(super) fn limit(&self) -> u32 {
        self.state().limit
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resize(&self, state: &mut State, limit: u32) {
        if limit > state.limit {
            let more = limit - state.limit;
            let kept = more.min(state.surplus);
            state.surplus -= kept;
            self.semaphore.add_permits((more - kept) as usize);
        } else {
            let fewer = state.limit - limit;
            state.surplus += fewer - self.semaphore.forget_permits(fewer as usize) as u32;
        }
        tracing::debug!(from = state.limit, to = limit, "calls at once");
        state.limit = limit;
    }
}

impl Slot<'_> {
    /// Takes note of how the call in this slot went.
    pub(super) fn report(&self, latency: Duration, signal: Signal) {
        let mut state = self.slots.state();
        let full = self.slots.semaphore.available_permits() == 0;
        let limit = state.adaptive.as_mut().and_then(|all| all.observe(Instant::now(), latency, signal, full));
        if let Some(limit) = limit {
            self.slots.resize(&mut state, limit);
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        if state.surplus > 0
            && let Some(permit) = self.permit.take()
        {
            state.surplus -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slots_that_are_held_go_when_they_are_given_back() {
        let slots = Slots::new(4, true);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(slots.acquire().await);
        }
        slots.resize(&mut slots.state(), 2);
        assert_eq!((slots.limit(), slots.semaphore.available_permits()), (2, 0));
        held.pop();
        assert_eq!(slots.semaphore.available_permits(), 0);
        held.pop();
        assert_eq!(slots.semaphore.available_permits(), 1);
        slots.resize(&mut slots.state(), 4);
        held.pop();
        assert_eq!(slots.semaphore.available_permits(), 4);
    }
}

//! Rows whose request somebody else is asking: another stage, or another process on the database.
//!
//! They wait for that answer and hold neither a place in the concurrency nor a reservation meanwhile. When the other is done,
//! the answer is in the ledger; if it got none, or died, the first to look asks by its own settings.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Asking;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// With so many rows no further ones are claimed.
const MOST: usize = 4096;

/// The rows that wait.
#[derive(Default)]
pub struct Elsewhere {
    waiting: Vec<Asking>,
    /// When to look next.
    at: Option<Instant>,
}

impl Elsewhere {
    /// Puts a row to the others.
    pub fn wait(&mut self, asking: Asking) {
        self.at.get_or_insert_with(|| Instant::now() + LOOK_EVERY);
        self.waiting.push(asking);
    }

    /// All rows, which wait no longer.
    pub fn take(&mut self) -> Vec<Asking> {
        self.at = None;
        std::mem::take(&mut self.waiting)
    }

    /// Waits until it is time to look; for ever if there is no row.
    pub async fn due(&self) {
        match self.at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Whether it is time to look.
    pub fn is_due(&self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }

    /// Whether no row waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether there are enough.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= MOST
    }
}

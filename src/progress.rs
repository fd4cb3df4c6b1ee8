//! Counters that stages raise and the command line draws. Libraries report here; only the command line prints.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

/// Where a stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not started.
    Waiting,
    /// At work.
    Running,
    /// Ended, nothing left to do.
    Done,
    /// Ended by an error.
    Failed,
    /// Ended early because the run was stopped.
    Interrupted,
    /// Not selected.
    Skipped,
}

impl State {
    const ALL: [Self; 6] = [Self::Waiting, Self::Running, Self::Done, Self::Failed, Self::Interrupted, Self::Skipped];

    /// The form that `run_stages.state` holds.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Skipped => "skipped",
        }
    }
}

/// Counters of one stage in this process.
#[derive(Debug, Default)]
pub struct Meter {
    /// Name of the stage.
    pub name: String,
    /// Kind of the stage.
    pub kind: &'static str,
    done: AtomicU64,
    rejected: AtomicU64,
    reused: AtomicU64,
    total: AtomicU64,
    state: AtomicU8,
    clock: Mutex<(Option<Instant>, Option<Duration>)>,
    note: Mutex<String>,
}

impl Meter {
    /// A counter at zero.
    pub fn new(name: String, kind: &'static str) -> Arc<Self> {
        Arc::new(Self { name, kind, ..Self::default() })
    }

    /// Counts rows that are committed.
    pub fn add_done(&self, rows: u64) {
        self.done.fetch_add(rows, Ordering::Relaxed);
    }

    /// Counts rows that were rejected.
    pub fn add_rejected(&self, rows: u64) {
        self.rejected.fetch_add(rows, Ordering::Relaxed);
    }

    /// Counts answers taken from the ledger in place of a call.
    pub fn add_reused(&self, rows: u64) {
        self.reused.fetch_add(rows, Ordering::Relaxed);
    }

    /// Sets how many rows this run is expected to handle; 0: not known.
    pub fn set_total(&self, rows: u64) {
        self.total.store(rows, Ordering::Relaxed);
    }

    /// Sets what is shown beside the counts, e.g. a loss.
    pub fn set_note(&self, note: String) {
        *self.note.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = note;
    }

    /// What is shown beside the counts.
    pub fn note(&self) -> String {
        self.note.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Moves on to `state`, noting the time.
    pub fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
        let mut clock = self.clock.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match state {
            State::Running => clock.0 = Some(Instant::now()),
            State::Waiting => {}
            _ => clock.1 = clock.0.map(|start| start.elapsed()),
        }
    }

    /// Rows committed.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Rows rejected.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Answers from the ledger.
    pub fn reused(&self) -> u64 {
        self.reused.load(Ordering::Relaxed)
    }

    /// Rows expected, if known; an expectation that was surpassed is none.
    pub fn total(&self) -> Option<u64> {
        let handled = self.done() + self.rejected();
        Some(self.total.load(Ordering::Relaxed)).filter(|total| *total > 0 && *total >= handled)
    }

    /// Where the stage stands.
    pub fn state(&self) -> State {
        State::ALL[usize::from(self.state.load(Ordering::Relaxed)).min(State::ALL.len() - 1)]
    }

    /// Time since the start, or from start to end.
    pub fn elapsed(&self) -> Duration {
        let clock = self.clock.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        clock.1.or_else(|| clock.0.map(|start| start.elapsed())).unwrap_or_default()
    }
}

//! What a program in the cage may take.

use serde_json::{Value, json};

/// Limits of one answer; the same hold for its tests, which run beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Seconds of processor time, for each process.
    pub cpu_seconds: u64,
    /// Seconds that answer and tests may take together by the wall clock, after both were started.
    pub wall_seconds: u64,
    /// Bytes of address space, for each process.
    pub memory_bytes: u64,
    /// Processes and threads together, the first one included; at least 1.
    pub processes: u64,
    /// Bytes of all its files together, which are held in memory.
    pub file_bytes: u64,
    /// Bytes that it may print.
    pub output_bytes: u64,
}

impl Default for Limits {
    /// Generous for the functions of HumanEval and MBPP, of which the slowest take a few seconds. Wall time is twice the
    /// processor's, so that a busy machine fails no answer.
    fn default() -> Self {
        Self {
            cpu_seconds: 10,
            wall_seconds: 30,
            memory_bytes: 512 << 20,
            processes: 4,
            file_bytes: 16 << 20,
            output_bytes: 1 << 20,
        }
    }
}

/// Open files of each process.
const OPEN_FILES: u64 = 64;

impl Limits {
    /// As `inside/confine.py` takes them: resource limits by their names, and the filter.
    pub(super) fn order(&self, filter: &str) -> Value {
        json!({
            "AS": self.memory_bytes,
            "CPU": self.cpu_seconds,
            "FSIZE": self.file_bytes,
            "NOFILE": OPEN_FILES,
            "NPROC": self.processes + 1, // bubblewrap's own, which collects the dead
            "CORE": 0,
            "filter": filter,
        })
    }
}

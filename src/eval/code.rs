//! Programs are judged by running them: by whom is for others to say.

use crate::benchmark::CodeTest;

/// What became of an answer that was run against its tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passed them.
    Passed,
    /// It failed a test, or was stopped at a limit.
    Failed,
    /// It could not be judged, for a reason that is none of its own.
    Error(String),
}

/// Runs answers where they can do no harm.
pub trait Judge: Send + Sync {
    /// Runs an answer, as a generator wrote it, against the tests of its question. Blocks.
    fn judge(&self, test: &CodeTest, answer: &str) -> Verdict;
}

//! Programs are judged by running them: by whom is for others to say.

/// What became of a program that was run with its tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It ended well.
    Passed,
    /// It failed a test, or was stopped at a limit.
    Failed,
    /// It could not be judged.
    Error(String),
}

/// Runs programs where they can do no harm.
pub trait Judge: Send + Sync {
    /// Runs a whole program, tests included. Blocks.
    fn judge(&self, program: &str) -> Verdict;
}

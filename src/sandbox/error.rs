//! Why answers' code cannot be run here: what is missing, and what to do.

use std::io;

/// A sandbox that is not there, or does not hold. An answer that fails is no error but a verdict.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A program is not installed.
    #[error(
        "answers' code runs in a sandbox only, which needs {what}: run \
         `apt-get install --no-install-recommends bubblewrap python3`"
    )]
    Missing {
        /// The program, and what was looked at.
        what: String,
    },
    /// The cage could not be made.
    #[error(
        "the sandbox for answers' code cannot be made here: {message}; it needs user namespaces \
         (`sysctl kernel.unprivileged_userns_clone user.max_user_namespaces`), which containers often forbid"
    )]
    Start {
        /// What bubblewrap or Python said.
        message: String,
    },
    /// The cage could be made, but does not hold: what a trial could do from within.
    #[error("the sandbox for answers' code does not hold on this machine, so nothing is run in it: it {}", .found.join("; it "))]
    Leaks {
        /// Each thing that must not be possible.
        found: Vec<String>,
    },
    /// There is no filter of system calls for this processor.
    #[error("the sandbox for answers' code has no filter of system calls for processors of type {0}")]
    Processor(&'static str),
    /// Root needs an unprivileged user to become.
    #[error("the sandbox for answers' code runs as `nobody` where the program runs as root: there is no such user")]
    NoUser,
    /// The operating system refused something on the outside.
    #[error("sandbox for answers' code: {what}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl SandboxError {
    pub(super) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

//! Runs answers' code against their tests, in a cage: no network, no files but its own, bounded time, memory, processes.
//!
//! The cage is made by bubblewrap (`bwrap`: fresh user, pid, mount, network, ipc and host name spaces; files bound one by
//! one, read-only; a small file system in memory), resource limits, and a filter of system calls. Whether it holds on
//! this machine is tried before anything runs in it ([`Sandbox::find`]); where it does not, nothing is run.
//!
//! **A verdict cannot be forged from within.** An answer and its tests are two processes in two cages that see nothing
//! of each other. The tests call the answer's functions by messages, which this program hands to and fro; arguments and
//! results are plain data, copied. So an answer never sees what is expected of it, and nothing that it does to its own
//! process (leaving early, printing, patching builtins, results that equal everything) touches the verdict.
//!
//! An ordinary user makes the cage by a user namespace. Root becomes `nobody` first: Linux exempts the machine's root
//! from its limit of processes, also in a namespace where it has another name.
//!
//! Left to others: which items there are and what their scores mean.

mod cage;
mod error;
#[cfg(target_os = "linux")]
mod filter;
mod limits;
mod program;
mod proof;
mod python;
mod run;
#[cfg(test)]
mod tests;

/// Other systems have no such cages.
#[cfg(not(target_os = "linux"))]
mod filter {
    pub(super) fn filter() -> Result<String, super::SandboxError> {
        Err(super::SandboxError::Start { message: "it is made on Linux only".to_owned() })
    }
}

pub use error::SandboxError;
pub use limits::Limits;
pub use program::Program;
pub use run::{Sandbox, Verdict};

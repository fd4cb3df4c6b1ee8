//! The trial before the first use: a program inside tries what the cage must prevent.

use std::net::TcpListener;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;

use super::cage::{Cage, Heard, Role};
use super::{Limits, SandboxError};

/// The probe's message (`inside/probe.py`).
#[derive(Deserialize)]
struct Report {
    found: Vec<String>,
}

/// Small limits, so that reaching them takes no time.
const LIMITS: Limits = Limits {
    cpu_seconds: 10,
    wall_seconds: 30,
    memory_bytes: 256 << 20,
    processes: 3,
    file_bytes: 1 << 20,
    output_bytes: 1 << 16,
};

/// Proves that the network, others' files and processes, and what lies beyond the limits cannot be reached from within.
pub(super) async fn prove(cage: &Cage) -> Result<(), SandboxError> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(SandboxError::io("open a port to try the sandbox with"))?;
    let port = listener.local_addr().map_err(SandboxError::io("open a port to try the sandbox with"))?.port();
    let file = tempfile::NamedTempFile::new().map_err(SandboxError::io("write a file to try the sandbox with"))?;
    let places = [std::env::var_os("HOME").map(PathBuf::from), std::env::current_dir().ok()];
    let foreign =
        ["/etc", "/proc", "/home", "/root"].map(PathBuf::from).into_iter().chain(places.into_iter().flatten());
    let paths: Vec<_> = foreign.filter(|path| !cage.shows(path)).chain([file.path().to_owned()]).collect();
    let order = json!({"port": port, "paths": paths, "processes": LIMITS.processes});
    let mut probe = cage.start(Role::Probe, &LIMITS, order).await?;
    let end = tokio::time::timeout(std::time::Duration::from_secs(LIMITS.wall_seconds), probe.next()).await;
    let report = match end {
        Ok(Heard::Line(line)) => serde_json::from_slice::<Report>(&line).ok(),
        _ => None,
    };
    let said = probe.prints.tail();
    probe.end().await;
    match report {
        None => Err(SandboxError::Start { message: format!("a trial in it came to no end: {}", said.trim()) }),
        Some(Report { found }) if found.is_empty() => Ok(()),
        Some(Report { found }) => Err(SandboxError::Leaks { found }),
    }
}

//! The Python that answers run on: found on the system, with the few folders that it needs.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

use super::SandboxError;

/// Asks an interpreter for itself and its folders.
const ASK: &str = "
import bz2, ctypes, decimal, hashlib, json, lzma, os, resource, sys, sysconfig, zlib
parts = {os.path.realpath(sysconfig.get_path(part)) for part in ('stdlib', 'platstdlib')}
maps = [line.split(None, 5)[5].strip() for line in open('/proc/self/maps') if '/' in line]
libraries = {os.path.dirname(path) for path in maps if '.so' in path}
parts |= {path for path in libraries if not any(path.startswith(part + os.sep) for part in parts)}
print(json.dumps({'program': os.path.realpath(sys.executable), 'folders': sorted(parts)}))
";

/// An interpreter.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Python {
    /// The program itself, no link.
    pub program: PathBuf,
    /// Its standard library, and the folders of the shared libraries that it loads.
    pub folders: Vec<PathBuf>,
}

impl Python {
    /// The system's interpreter, else the first one on `PATH`, that the user who will run it may use.
    pub async fn find(become_user: Option<(u32, u32)>) -> Result<Self, SandboxError> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let candidates = [PathBuf::from("/usr/bin/python3")]
            .into_iter()
            .chain(std::env::split_paths(&paths).map(|f| f.join("python3")));
        for candidate in candidates {
            if let Some(found) = ask(&candidate, become_user).await {
                return Ok(found);
            }
        }
        Err(SandboxError::Missing { what: "python3 (in /usr/bin or on PATH, with ctypes)".to_owned() })
    }
}

async fn ask(program: &Path, become_user: Option<(u32, u32)>) -> Option<Python> {
    let mut command = Command::new(program);
    command.args(["-I", "-S", "-c", ASK]).env_clear().current_dir("/");
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    if let Some((user, group)) = become_user {
        command.uid(user).gid(group);
    }
    let output = command.output().await.ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

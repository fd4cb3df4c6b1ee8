//! Creates, starts and stops the server. To be called under the start lock, with no server running.
//!
//! The server's standard output is its log file, which this module locks before the start. The lock belongs to the
//! open file that all processes of the server inherit, so it is free exactly when the last of them has ended, seen
//! from any container on the machine.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::binaries::Binaries;
use super::error::ClusterError;
use super::location::Location;
use super::{Durability, USER, password, settings};

const LOG_LIMIT_BYTES: u64 = 16 << 20;
const TAIL_LINES: usize = 12;
/// Below the ports that the system hands to outgoing connections, so that none of them takes the server's while
/// it is down.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// Creates the data folder: whole or not at all.
pub(super) fn initialise(location: &Location, binaries: &Binaries, durability: Durability) -> Result<(), ClusterError> {
    let (home, owner) = (location.home(), location.owner());
    password::create(location)?;
    // A name of its own: an `initdb` whose parent was killed may still be at work on another.
    let name = format!("data.{}.tmp", std::process::id());
    sweep(home);
    let mut command = owner.command(&binaries.program("initdb"), home);
    command.args(["-U", USER, "-A", "scram-sha-256", "--pwfile=password"]);
    command.args(["-E", "UTF8", "--no-instructions", "-D", &name]);
    // C.UTF-8 sorts by code point on every machine; macOS does not have it.
    let locale = if cfg!(target_os = "macos") { "C" } else { "C.UTF-8" };
    command.arg(format!("--locale={locale}"));
    command.arg(match durability {
        Durability::Safe => "--data-checksums",
        Durability::Throwaway => "--no-sync",
    });
    let output = run(command, &binaries.dir)?;
    if !output.status.success() {
        let data = location.data();
        let output = said(&output);
        return Err(ClusterError::said(&output, home).unwrap_or(ClusterError::Initdb { data, output }));
    }
    let fresh = home.join(&name);
    let conf = fresh.join("postgresql.conf");
    owner
        .open_append(&conf)
        .and_then(|mut file| {
            writeln!(file, "include '{}'", settings::FILE)?;
            file.sync_all()
        })
        .map_err(ClusterError::io("write", &conf))?;
    fs::rename(&fresh, location.data()).map_err(ClusterError::io("rename", &fresh))?;
    File::open(home).and_then(|dir| dir.sync_all()).map_err(ClusterError::io("sync", home))
}

/// Removes what interrupted runs of `initdb` left; what resists is in nobody's way.
fn sweep(home: &Path) {
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("data.") && name.ends_with(".tmp") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Starts the server and returns its port: the last one if it is free. With `alone`, nobody relies on the last port,
/// and another is taken if it is not.
pub(super) fn start(
    location: &Location,
    binaries: &Binaries,
    durability: Durability,
    alone: bool,
) -> Result<u16, ClusterError> {
    let last = fs::read_to_string(location.port()).ok();
    let last: Option<u16> = last.and_then(|text| text.trim().parse().ok());
    if let Some(port) = last {
        if is_free(port) {
            match start_on(port, location, binaries, durability) {
                Err(ClusterError::PortTaken { .. }) if alone => {}
                other => return other.map(|()| port),
            }
        } else if !alone {
            return Err(ClusterError::PortTaken { port });
        }
    }
    let mut tries = 0;
    loop {
        let port = free_port()?;
        match start_on(port, location, binaries, durability) {
            Err(ClusterError::PortTaken { .. }) if tries < 5 => tries += 1,
            other => return other.map(|()| port),
        }
    }
}

fn start_on(port: u16, location: &Location, binaries: &Binaries, durability: Durability) -> Result<(), ClusterError> {
    let (home, owner, log_path) = (location.home(), location.owner(), location.log());
    let conf = location.data().join(settings::FILE);
    let socket = location.socket();
    if let Some(dir) = &socket {
        // A killed server leaves its socket's lock file, which names a process that may be a zombie by now.
        let _ = fs::remove_dir_all(dir);
        owner.create_dir(dir).map_err(ClusterError::io("create", dir))?;
    }
    owner.write(&conf, &settings::text(port, socket.as_deref(), durability, false))?;
    if knows_lz4(location, binaries) {
        owner.write(&conf, &settings::text(port, socket.as_deref(), durability, true))?;
    }
    if fs::metadata(&log_path).is_ok_and(|m| m.len() > LOG_LIMIT_BYTES) {
        let _ = fs::rename(&log_path, home.join("postgres.log.1"));
    }
    let log = owner.open_append(&log_path).map_err(ClusterError::io("open", &log_path))?;
    log.lock().map_err(ClusterError::io("lock", &log_path))?;
    let begin = log.metadata().map_or(0, |m| m.len());
    let mut command = owner.command(&binaries.program("pg_ctl"), home);
    command.args(["start", "-w", "-s", "-t", "600", "-D", "data"]).stdout(Stdio::from(log));
    let output = run(command, &binaries.dir)?;
    if output.status.success() {
        return owner.write(&location.port(), &format!("{port}\n"));
    }
    let tail = tail(&log_path, begin, &output);
    if let Some(full) = ClusterError::said(&tail, home) {
        return Err(full);
    }
    if tail.contains("Address already in use") {
        return Err(ClusterError::PortTaken { port });
    }
    if !owner.enters(home) {
        let user = owner.name();
        return Err(ClusterError::Unreachable { path: home.to_owned(), user });
    }
    Err(ClusterError::Start { log: log_path, tail })
}

/// Whether the server was built with lz4; only trying tells.
fn knows_lz4(location: &Location, binaries: &Binaries) -> bool {
    let mut command = location.owner().command(&binaries.program("postgres"), location.home());
    command.args(["-D", "data", "-c", "default_toast_compression=lz4"]);
    command.args(["-C", "default_toast_compression"]);
    command.output().is_ok_and(|output| output.status.success())
}

/// Stops the server: clients are cut off, what they committed is kept.
pub(super) fn stop(location: &Location, binaries: &Binaries, durability: Durability) -> Result<(), ClusterError> {
    let mut command = location.owner().command(&binaries.program("pg_ctl"), location.home());
    let mode = match durability {
        Durability::Safe => "fast",
        Durability::Throwaway => "immediate",
    };
    command.args(["stop", "-w", "-s", "-t", "600", "-m", mode, "-D", "data"]);
    let output = run(command, &binaries.dir)?;
    if output.status.success() {
        return Ok(());
    }
    let home = location.home().to_owned();
    Err(ClusterError::Stop { home, output: said(&output) })
}

fn run(mut command: Command, dir: &Path) -> Result<Output, ClusterError> {
    command.output().map_err(ClusterError::io("run a program of", dir))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// The last lines that this start added to the log, and what `pg_ctl` said.
fn tail(log: &Path, begin: u64, output: &Output) -> String {
    let mut text = String::new();
    if let Ok(mut file) = File::open(log)
        && file.seek(SeekFrom::Start(begin)).is_ok()
    {
        let mut bytes = Vec::new();
        let _ = file.read_to_end(&mut bytes);
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn free_port() -> Result<u16, ClusterError> {
    let mut port = PORTS.start;
    for _ in 0..200 {
        let [a, b] = password::random()?;
        port = PORTS.start + u16::from_le_bytes([a, b]) % (PORTS.end - PORTS.start);
        if is_free(port) {
            return Ok(port);
        }
    }
    Err(ClusterError::PortTaken { port })
}

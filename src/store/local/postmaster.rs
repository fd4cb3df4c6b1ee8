//! Tells whether a server runs on the data folder, and on which port.
//!
//! Postgres' pid file alone does not tell: it outlives a killed server, its number may be another process by now, and
//! in a container whose first process reaps nobody a dead server stays as a zombie that still answers signals. So the
//! number counts only while `/proc` shows a live process in the data folder. And whatever the pid file says, the
//! server's log is locked for as long as any of its processes lives (`launch` sees to that).

use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use super::error::ClusterError;
use super::location::Location;

const CHANGE_PATIENCE: Duration = Duration::from_mins(10);
const HELD_PATIENCE: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(15);

/// A server that accepts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Process id of the postmaster.
    pub pid: u32,
    /// Port on 127.0.0.1.
    pub port: u16,
}

/// What the pid file and the process table show.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Stale,
    Changing(&'static str),
    Ready(Running),
}

/// Waits until a server that starts or stops has done so. Without a running server, no process of an earlier one is
/// left either, and a stale pid file is gone. To be called under the start lock.
pub(super) fn settle(location: &Location) -> Result<Option<Running>, ClusterError> {
    let data = location.data();
    let begun = Instant::now();
    loop {
        let state = match look(&data)? {
            Seen::Ready(server) if accepts(server.port) => return Ok(Some(server)),
            Seen::Ready(_) => "not answering",
            Seen::Changing(state) => state,
            gone @ (Seen::Nothing | Seen::Stale) => {
                if !lives(&location.log()) {
                    if gone == Seen::Stale {
                        let file = data.join("postmaster.pid");
                        fs::remove_file(&file).map_err(ClusterError::io("remove", &file))?;
                    }
                    return Ok(None);
                }
                if begun.elapsed() > HELD_PATIENCE {
                    return Err(ClusterError::HeldElsewhere { data });
                }
                "ending"
            }
        };
        if begun.elapsed() > CHANGE_PATIENCE {
            return Err(ClusterError::NotSettled { state, seconds: CHANGE_PATIENCE.as_secs(), log: location.log() });
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// The server that runs now, if it accepts connections.
pub(super) fn running(location: &Location) -> Result<Option<Running>, ClusterError> {
    match look(&location.data())? {
        Seen::Ready(server) if accepts(server.port) => Ok(Some(server)),
        _ => Ok(None),
    }
}

fn accepts(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok()
}

/// Whether any process of a server that `launch` started is left.
fn lives(log: &Path) -> bool {
    // A shared lock, so that two that look at once do not mistake each other for the server.
    File::open(log).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Lines of `postmaster.pid`: pid, data folder, start time, port, socket folder, address, shared memory, state.
fn look(data: &Path) -> Result<Seen, ClusterError> {
    let path = data.join("postmaster.pid");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Seen::Nothing),
        Err(e) => return Err(ClusterError::io("read", &path)(e)),
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let Some(pid) = lines.first().and_then(|line| line.parse().ok()) else {
        return Ok(Seen::Stale);
    };
    if !runs_in(pid, data) {
        return Ok(Seen::Stale);
    }
    Ok(match (lines.get(7), lines.get(3).map(|line| line.parse())) {
        (Some(&"ready"), Some(Ok(port))) => Seen::Ready(Running { pid, port }),
        (Some(&"stopping"), _) => Seen::Changing("stopping"),
        _ => Seen::Changing("starting"),
    })
}

/// Whether `pid` is a live process whose working folder is `data`, as a postmaster's is.
#[cfg(target_os = "linux")]
fn runs_in(pid: u32, data: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    // The second field, the name, may hold blanks and brackets; the state follows its last bracket.
    let alive = fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
        !matches!(state, Some('Z' | 'X') | None)
    });
    let same = match (fs::metadata(format!("/proc/{pid}/cwd")), fs::metadata(data)) {
        (Ok(cwd), Ok(data)) => (cwd.dev(), cwd.ino()) == (data.dev(), data.ino()),
        _ => false,
    };
    alive && same
}

/// Whether `pid` is a process; other systems show no more without privileges.
#[cfg(not(target_os = "linux"))]
fn runs_in(pid: u32, _data: &Path) -> bool {
    let pid = nix::unistd::Pid::from_raw(pid as i32);
    nix::sys::signal::kill(pid, None) != Err(nix::errno::Errno::ESRCH)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::process::Command;

    fn pid_file(data: &Path, pid: u32, state: &str) {
        let text = format!("{pid}\n{}\n1700000000\n20001\n\n127.0.0.1\n1 2\n{state}\n", data.display());
        fs::write(data.join("postmaster.pid"), text).unwrap();
    }

    #[test]
    fn no_pid_file_and_an_unreadable_one_mean_no_server() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(look(data.path()).unwrap(), Seen::Nothing);
        fs::write(data.path().join("postmaster.pid"), "").unwrap();
        assert_eq!(look(data.path()).unwrap(), Seen::Stale);
    }

    #[test]
    fn a_zombie_and_a_process_elsewhere_are_not_the_server() {
        let data = tempfile::tempdir().unwrap();
        let mut zombie = Command::new("true").current_dir(data.path()).spawn().unwrap();
        let stat = format!("/proc/{}/stat", zombie.id());
        while !fs::read_to_string(&stat).unwrap().contains(") Z") {
            std::thread::yield_now();
        }
        pid_file(data.path(), zombie.id(), "ready");
        assert_eq!(look(data.path()).unwrap(), Seen::Stale);
        zombie.wait().unwrap();

        let mut elsewhere = Command::new("sleep").arg("60").current_dir("/").spawn().unwrap();
        pid_file(data.path(), elsewhere.id(), "ready");
        assert_eq!(look(data.path()).unwrap(), Seen::Stale);
        elsewhere.kill().unwrap();
        elsewhere.wait().unwrap();
    }

    #[test]
    fn a_process_in_the_data_folder_is_the_server_in_the_state_that_its_file_says() {
        let data = tempfile::tempdir().unwrap();
        let mut here = Command::new("sleep").arg("60").current_dir(data.path()).spawn().unwrap();
        let pid = here.id();
        pid_file(data.path(), pid, "ready");
        let ready = Seen::Ready(Running { pid, port: 20001 });
        assert_eq!(look(data.path()).unwrap(), ready);
        pid_file(data.path(), pid, "stopping");
        assert_eq!(look(data.path()).unwrap(), Seen::Changing("stopping"));
        here.kill().unwrap();
        here.wait().unwrap();
    }
}

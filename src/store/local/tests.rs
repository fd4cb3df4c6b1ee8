//! The cluster with real servers and real processes.
#![allow(clippy::unwrap_used)]

use super::*;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStderr, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A data folder that the server's user can enter, also when root runs the tests.
fn data_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

fn postmaster(data_dir: &Path) -> u32 {
    Cluster::status(data_dir).unwrap().running.unwrap().pid
}

/// Kills a process and waits until it is dead: reaped, or a zombie.
fn kill_9(pid: u32) {
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
    wait_for_death(pid);
}

fn wait_for_death(pid: u32) {
    while fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z")) {
        std::thread::yield_now();
    }
}

fn psql(cluster: &Cluster, query: &str) -> String {
    let mut command = cluster.psql("postgres").unwrap();
    let output = command.args(["-X", "-A", "-t", "-c", query]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Another process that opens the cluster, releases it when told, and reports both.
struct Other {
    child: Child,
    said: Lines<BufReader<ChildStderr>>,
}

impl Other {
    fn start(data_dir: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::local::tests::the_other_process", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.as_ref().unwrap(), "{}", data_dir.display()).unwrap();
        let said = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, said }
    }

    fn said(&mut self, what: &str) -> String {
        let mut all = String::new();
        for line in self.said.by_ref() {
            let line = line.unwrap();
            if let Some(value) = line.strip_prefix(what) {
                return value.trim().to_owned();
            }
            all.push_str(&line);
        }
        panic!("the other process did not say `{what}` but: {all}");
    }

    /// Tells it to release the cluster; returns what `release` returned.
    fn release(mut self) -> bool {
        drop(self.child.stdin.take());
        let stopped = self.said("stopped ") == "true";
        self.child.wait().unwrap();
        stopped
    }
}

#[test]
#[ignore = "not a test: the other processes of the tests here run it and speak to it"]
fn the_other_process() {
    let mut told = std::io::stdin().lines();
    let Some(Ok(dir)) = told.next() else { return };
    let cluster = Cluster::open(Path::new(&dir), Durability::Throwaway).unwrap();
    writeln!(std::io::stderr(), "\nport {}", cluster.port()).unwrap();
    assert!(told.next().is_none());
    let stopped = cluster.release().unwrap();
    writeln!(std::io::stderr(), "\nstopped {stopped}").unwrap();
}

#[test]
fn twelve_processes_at_once_share_one_server_and_the_last_one_out_stops_it() {
    let dir = data_dir();
    let mut others: Vec<_> = (0..12).map(|_| Other::start(dir.path())).collect();
    let ports: Vec<_> = others.iter_mut().map(|other| other.said("port ")).collect();
    assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    let server = postmaster(dir.path());

    // A killed process takes its share with it and leaves the server alone.
    let mut killed = others.pop().unwrap();
    kill_9(killed.child.id());
    killed.child.wait().unwrap();
    let cluster = Cluster::open(dir.path(), Durability::Throwaway).unwrap();
    assert_eq!(cluster.port().to_string(), ports[0]);
    assert_eq!(postmaster(dir.path()), server);
    assert_eq!(Cluster::status(dir.path()).unwrap().users.len(), 12);

    for other in others {
        assert!(!other.release());
    }
    assert_eq!(postmaster(dir.path()), server);
    assert!(cluster.release().unwrap());
    assert_eq!(Cluster::status(dir.path()).unwrap().running, None);
}

#[test]
fn a_killed_server_starts_again_on_its_port_whatever_its_pid_file_says() {
    let dir = data_dir();
    let cluster = Cluster::open(dir.path(), Durability::Throwaway).unwrap();
    psql(&cluster, "create table kept as select 7 as n");
    psql(&cluster, "checkpoint");
    let first = postmaster(dir.path());
    kill_9(first);
    cluster.ensure_running().unwrap();
    let second = postmaster(dir.path());
    assert_ne!(first, second);
    assert_eq!(psql(&cluster, "select n from kept"), "7");

    // The dead server's number now belongs to a zombie of the same user, which still answers signals.
    kill_9(second);
    let location = cluster.location();
    let mut zombie = location.owner().command(Path::new("/bin/true"), &location.data()).spawn().unwrap();
    wait_for_death(zombie.id());
    let pid_file = location.data().join("postmaster.pid");
    let text = fs::read_to_string(&pid_file).unwrap();
    let text = text.replacen(&second.to_string(), &zombie.id().to_string(), 1);
    fs::write(&pid_file, text).unwrap();
    cluster.ensure_running().unwrap();
    assert_eq!(psql(&cluster, "select n from kept"), "7");
    assert!(cluster.release().unwrap());
    zombie.wait().unwrap();
}

#[test]
fn a_throwaway_cluster_goes_when_its_only_user_is_killed() {
    let dir = data_dir();
    let mut other = Other::start(dir.path());
    other.said("port ");
    let server = postmaster(dir.path());
    kill_9(other.child.id());
    other.child.wait().unwrap();
    let location = Cluster::locate(dir.path()).unwrap();
    while location.data().exists() {
        std::thread::yield_now();
    }
    let stat = fs::read_to_string(format!("/proc/{server}/stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z"), "{stat}");
}

#[test]
fn a_safe_cluster_keeps_its_data_stays_when_told_to_and_stops_for_no_one_who_is_connected() {
    let dir = data_dir();
    let port = Cluster::start_detached(dir.path()).unwrap();
    let cluster = Cluster::open(dir.path(), Durability::Safe).unwrap();
    assert_eq!(cluster.port(), port);
    psql(&cluster, "create table kept as select 7 as n");
    assert_eq!(psql(&cluster, "show fsync"), "on");
    assert_eq!(psql(&cluster, "show data_checksums"), "on");
    assert_eq!(psql(&cluster, "show timezone"), "UTC");
    let password = fs::metadata(cluster.location().password()).unwrap();
    assert_eq!(password.permissions().mode() & 0o777, 0o600);
    assert!(!cluster.release().unwrap(), "it was started to stay");

    let mut connected = cluster.psql("postgres").unwrap().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(connected.stdin.as_ref().unwrap(), "\\echo in").unwrap();
    let mut line = String::new();
    BufReader::new(connected.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let error = Cluster::stop(dir.path(), false).unwrap_err();
    assert!(matches!(error, ClusterError::InUse { clients: 1, .. }), "{error}");
    let location = cluster.location().clone();
    fs::remove_file(location.kept_on()).unwrap();
    let again = Cluster::open(dir.path(), Durability::Safe).unwrap();
    assert!(!again.release().unwrap(), "someone else is connected");
    drop(connected.stdin.take());
    connected.wait().unwrap();
    assert!(Cluster::stop(dir.path(), false).unwrap());
    assert!(!Cluster::stop(dir.path(), false).unwrap());

    // The next start finds the data; a setting that the server refuses is shown out of its log.
    let cluster = Cluster::open(dir.path(), Durability::Safe).unwrap();
    assert_eq!(cluster.port(), port);
    assert_eq!(psql(&cluster, "select n from kept"), "7");
    assert!(cluster.release().unwrap());
    let auto = location.data().join("postgresql.auto.conf");
    fs::write(&auto, "work_mem = 'much'\n").unwrap();
    let error = Cluster::open(dir.path(), Durability::Safe).unwrap_err();
    assert!(matches!(&error, ClusterError::Start { tail, .. } if tail.contains("work_mem")), "{error}");
    fs::remove_file(location.password()).unwrap();
    let error = Cluster::open(dir.path(), Durability::Safe).unwrap_err();
    assert!(matches!(error, ClusterError::NoPassword { .. }), "{error}");
}

#[test]
fn data_of_a_version_that_is_not_installed_names_the_package() {
    let dir = data_dir();
    let location = Location::create(dir.path()).unwrap();
    fs::create_dir(location.data()).unwrap();
    fs::write(location.data().join("PG_VERSION"), "99\n").unwrap();
    let error = Cluster::open(dir.path(), Durability::Safe).unwrap_err().to_string();
    assert!(error.contains("postgresql-99"), "{error}");
}

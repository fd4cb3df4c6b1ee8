//! What can go wrong with the embedded cluster: what, where, and what to do next.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of the embedded cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No folder with `initdb`, `postgres` and `pg_ctl` was found.
    #[error(
        "no postgres server programs found: run `apt-get install --no-install-recommends postgresql`, \
         or name their folder in {}, or a server in {}",
        crate::env::POSTGRES_BIN,
        crate::env::DATABASE_URL
    )]
    NoBinaries,
    /// The folder that the environment names lacks a program.
    #[error("{}={} has no `{missing}`: name a folder with initdb, postgres and pg_ctl", crate::env::POSTGRES_BIN, dir.display())]
    IncompleteBinaries {
        /// The folder that was named.
        dir: PathBuf,
        /// The first program that is not in it.
        missing: &'static str,
    },
    /// All that was found is older than the oldest version that works.
    #[error(
        "postgres {found} in {} is too old, {minimum} is the minimum: run \
         `apt-get install --no-install-recommends postgresql` for a newer one", dir.display()
    )]
    TooOld {
        /// Where the programs lie.
        dir: PathBuf,
        /// Their major version.
        found: u32,
        /// The oldest major version that works.
        minimum: u32,
    },
    /// The data was made by a major version whose programs are not here.
    #[error(
        "{} was made by postgres {wanted}, whose programs are not here (found: {found}): run \
         `apt-get install --no-install-recommends postgresql-{wanted}`", data.display()
    )]
    OtherMajor {
        /// The data folder.
        data: PathBuf,
        /// The major version that made it.
        wanted: u32,
        /// The major versions that were found, for the message.
        found: String,
    },
    /// Root may not run Postgres, and there is no one to run it as.
    #[error(
        "postgres refuses to run as root, and there is neither a user `postgres` nor `nobody`: run \
         `useradd --system postgres`, or run codepmp as an ordinary user"
    )]
    NoUser,
    /// The cluster belongs to someone else.
    #[error("{} belongs to user {owner}: run as that user or as root, or choose another --data-dir", path.display())]
    OtherOwner {
        /// What belongs to someone else.
        path: PathBuf,
        /// Whom it belongs to.
        owner: String,
    },
    /// The user that runs the server cannot enter its folder any more.
    #[error("user {user} runs the server but cannot enter {}: let others enter the folders above it (chmod o+x)", path.display())]
    Unreachable {
        /// The folder.
        path: PathBuf,
        /// The user.
        user: String,
    },
    /// The data folder is there, but it is not one that `initdb` finished.
    #[error("{} is not a postgres data folder (no PG_VERSION): move it away and run again", data.display())]
    NotACluster {
        /// The folder.
        data: PathBuf,
    },
    /// The password of an existing cluster is lost.
    #[error(
        "{} is missing, and only it opens the database beside it: put it back, or move {} away to begin anew",
        path.display(), path.parent().unwrap_or(path).display()
    )]
    NoPassword {
        /// The password file.
        path: PathBuf,
    },
    /// No space is left.
    #[error("the disk is full at {}: free some space and run again, nothing that was committed is lost", path.display())]
    DiskFull {
        /// Where it was being written.
        path: PathBuf,
    },
    /// `initdb` failed.
    #[error("initdb could not create {}: {output}", data.display())]
    Initdb {
        /// The folder it was to create.
        data: PathBuf,
        /// What it said.
        output: String,
    },
    /// The server ended while it started.
    #[error("postgres did not start; the end of {} says:\n{tail}", log.display())]
    Start {
        /// The server's log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// Another program listens where others of our processes expect the server.
    #[error(
        "port {port} of 127.0.0.1 is taken by another program, and running codepmp processes expect postgres there: end either"
    )]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// The server is up but does not get ready, or does not go away.
    #[error("postgres has been {state} for {seconds} s; see {}", log.display())]
    NotSettled {
        /// What it is doing.
        state: &'static str,
        /// For how long it was waited for.
        seconds: u64,
        /// The server's log.
        log: PathBuf,
    },
    /// Processes of a server hold the data, but not where this process could see them.
    #[error(
        "a postgres that cannot be seen from here still uses {}: another container or a busy query of a killed \
         server; stop it there, or wait and run again", data.display()
    )]
    HeldElsewhere {
        /// The data folder.
        data: PathBuf,
    },
    /// Another process keeps the start lock.
    #[error("another codepmp process{} has been starting or stopping postgres for {seconds} s ({} is locked)", pids(holders), path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, where the system tells.
        holders: Vec<u32>,
        /// For how long it was waited for.
        seconds: u64,
    },
    /// Others use the server that was to be stopped.
    #[error(
        "postgres in {} is in use by codepmp{} and {clients} other connections: end them, or stop it with --force",
        home.display(), pids(processes)
    )]
    InUse {
        /// The cluster's folder.
        home: PathBuf,
        /// Processes of ours that use it, where the system tells.
        processes: Vec<u32>,
        /// Other connections.
        clients: u32,
    },
    /// `pg_ctl stop` failed.
    #[error("postgres in {} did not stop: {output}", home.display())]
    Stop {
        /// The cluster's folder.
        home: PathBuf,
        /// What `pg_ctl` said.
        output: String,
    },
    /// Anything else that the operating system refuses.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl ClusterError {
    /// Adds what was being done to a refusal of the operating system.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path: path.to_owned() },
            _ => Self::Io { doing, path: path.to_owned(), source },
        }
    }

    /// What a failed program said, told apart where the cause has a cure of its own.
    pub(super) fn said(output: &str, path: &Path) -> Option<Self> {
        ["No space left on device", "Check free disk space"]
            .iter()
            .any(|sign| output.contains(sign))
            .then(|| Self::DiskFull { path: path.to_owned() })
    }
}

fn pids(list: &[u32]) -> String {
    if list.is_empty() {
        return String::new();
    }
    let list: Vec<_> = list.iter().map(u32::to_string).collect();
    format!(" (process {})", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_failures_however_postgres_words_it() {
        let home = Path::new("/data");
        for output in [
            "initdb: error: could not write file: No space left on device",
            "FATAL:  could not extend file: wrote only 4096 of 8192 bytes\nHINT:  Check free disk space.",
        ] {
            let error = ClusterError::said(output, home);
            assert!(matches!(error, Some(ClusterError::DiskFull { .. })), "{output}");
        }
        assert!(ClusterError::said("FATAL:  out of memory", home).is_none());
        let refused = io::Error::from(io::ErrorKind::StorageFull);
        let error = ClusterError::io("write", home)(refused);
        assert!(matches!(error, ClusterError::DiskFull { .. }), "{error}");
    }
}

//! Two locks that the kernel frees with their process: one starter or stopper at a time, and every user of the
//! server holding a share of another, so that the last one out can tell that it is the last.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::error::ClusterError;
use super::location::Location;

// Longer than a recovery after a crash, which another process may be waiting for.
const PATIENCE: Duration = Duration::from_mins(11);
const LOOK_AGAIN: Duration = Duration::from_millis(15);

/// Held while a server is being created, started, or stopped.
pub(super) struct StartLock(File);

impl StartLock {
    pub(super) fn take(location: &Location) -> Result<Self, ClusterError> {
        let path = location.start_lock();
        let file = open(location, &path)?;
        let begun = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::Error(e)) => return Err(ClusterError::io("lock", &path)(e)),
                Err(TryLockError::WouldBlock) => {}
            }
            if begun.elapsed() > PATIENCE {
                return Err(ClusterError::Locked { holders: holders(&path), path, seconds: PATIENCE.as_secs() });
            }
            if begun.elapsed() > Duration::from_secs(3) && !told {
                told = true;
                tracing::info!("waiting for another process that starts or stops postgres");
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for StartLock {
    /// Unlocks rather than closes: a child that another thread is just forking may hold a copy of the file.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// A share in the use of the server. Taken and tried under the start lock only.
pub(super) struct UsersLock {
    file: File,
    path: std::path::PathBuf,
}

impl UsersLock {
    /// Opens the lock without taking a share.
    pub(super) fn open(location: &Location) -> Result<Self, ClusterError> {
        let path = location.users_lock();
        let file = open(location, &path)?;
        Ok(Self { file, path })
    }

    /// Tries to turn the share, if any, into sole use; without success the share is gone too.
    pub(super) fn alone(&self) -> Result<bool, ClusterError> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(e)) => Err(ClusterError::io("lock", &self.path)(e)),
        }
    }

    /// Takes a share, in place of sole use too.
    pub(super) fn share(&self) -> Result<(), ClusterError> {
        self.file.lock_shared().map_err(ClusterError::io("lock", &self.path))
    }
}

impl Drop for UsersLock {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

fn open(location: &Location, path: &Path) -> Result<File, ClusterError> {
    let file = location.owner().open_append(path);
    file.map_err(ClusterError::io("open", path))
}

/// The processes that hold a lock on the file, where the system tells (Linux).
pub(super) fn holders(path: &Path) -> Vec<u32> {
    let (Ok(meta), Ok(table)) = (fs::metadata(path), fs::read_to_string("/proc/locks")) else {
        return Vec::new();
    };
    holders_in(&table, meta.ino())
}

/// Reads lines like `7: FLOCK  ADVISORY  READ 1234 fe:00:98765 0 EOF`; those that wait have `->` before `FLOCK`.
fn holders_in(table: &str, inode: u64) -> Vec<u32> {
    let inode = inode.to_string();
    let held = table.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (kind, _, _, pid, file) = (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
        let same = kind == "FLOCK" && file.rsplit(':').next() == Some(&inode);
        same.then(|| pid.parse().ok()).flatten()
    });
    let mut held: Vec<u32> = held.collect();
    held.sort_unstable();
    held.dedup();
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_read_from_the_kernels_table_without_those_that_wait() {
        let table = "1: POSIX  ADVISORY  WRITE 11 fe:00:500 0 EOF\n\
                     2: FLOCK  ADVISORY  READ 14 fe:00:500 0 EOF\n\
                     3: FLOCK  ADVISORY  READ 12 fe:00:500 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 13 fe:00:500 0 EOF\n\
                     4: FLOCK  ADVISORY  READ 15 fe:00:5001 0 EOF\n";
        assert_eq!(holders_in(table, 500), [12, 14]);
    }
}

//! A Postgres cluster of the project's own, run from the machine's Postgres programs and shared by all its processes.
//!
//! Invariants:
//! - At most one server runs on a data folder; twelve processes that open it at once make one server.
//! - The last process that releases it stops it, unless other clients are connected or it was started to stay.
//! - A process that is killed leaves the server to the next one. A server that is killed is started again on the same
//!   port by whoever notices first.
//! - What was committed is on the disk (`Durability::Safe`), and a data folder is never removed or replaced.
//!
//! Blocking calls throughout; connections, databases and migrations are left to `pool` and `migrate`.

mod binaries;
mod clients;
mod error;
mod launch;
mod location;
mod locks;
mod owner;
mod password;
mod postmaster;
mod settings;
mod status;
mod watchdog;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

pub use binaries::{Binaries, MINIMUM_MAJOR};
pub use clients::application_name;
pub use error::ClusterError;
pub use location::Location;
pub use owner::Owner;
pub use postmaster::Running;
pub use status::Status;

use clients::{clients, psql_arguments};
use locks::{StartLock, UsersLock};

/// The cluster's superuser, and the name of the program's own database.
pub const USER: &str = "codepmp";

/// What a committed transaction survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the machine.
    Safe,
    /// A crash of the server only, and nothing survives its end: for tests.
    Throwaway,
}

/// A running server and this process's share in its use.
pub struct Cluster {
    location: Location,
    durability: Durability,
    port: u16,
    password: SecretString,
    share: Mutex<Option<UsersLock>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let home = self.location.home();
        write!(f, "Cluster({} on port {})", home.display(), self.port)
    }
}

impl Cluster {
    /// Where the cluster of `data_dir` lies or would lie; creates nothing.
    ///
    /// # Errors
    /// `OtherOwner` and `NoUser`.
    pub fn locate(data_dir: &Path) -> Result<Location, ClusterError> {
        Location::find(data_dir)
    }

    /// Attaches to the cluster of `data_dir`; creates it and starts its server where needed.
    ///
    /// # Errors
    /// Each case of `ClusterError` that creating and starting can meet.
    pub fn open(data_dir: &Path, durability: Durability) -> Result<Self, ClusterError> {
        Self::open_at(Location::create(data_dir)?, durability)
    }

    fn open_at(location: Location, durability: Durability) -> Result<Self, ClusterError> {
        let _gate = StartLock::take(&location)?;
        let share = UsersLock::open(&location)?;
        let alone = share.alone()?;
        share.share()?;
        let throwaway = durability == Durability::Throwaway;
        if throwaway {
            let binaries = find_binaries(&location)?;
            watchdog::start(&location, &binaries)?;
        }
        let port = if let Some(server) = postmaster::settle(&location)? {
            server.port
        } else {
            if throwaway && alone {
                // The machine may have crashed under it, and nothing of it was synced.
                remove_data(&location)?;
            }
            start(&location, durability, alone)?
        };
        let password = password::read(&location)?;
        Ok(Self { location, durability, port, password, share: Mutex::new(Some(share)) })
    }

    /// Starts the cluster of `data_dir` and leaves it running after this process, until [`Cluster::stop`] or the end
    /// of the machine's session. Returns the port.
    ///
    /// # Errors
    /// As [`Cluster::open`].
    pub fn start_detached(data_dir: &Path) -> Result<u16, ClusterError> {
        let cluster = Self::open(data_dir, Durability::Safe)?;
        let (location, mark) = (&cluster.location, cluster.location.kept_on());
        location.owner().write(&mark, &boot())?;
        Ok(cluster.port)
    }

    /// Stops the cluster of `data_dir`, whoever started it; false if it was not running.
    ///
    /// # Errors
    /// `InUse` while other processes of ours or other clients use it, unless `force`: then they are cut off, and
    /// processes of ours start the server again when they notice.
    pub fn stop(data_dir: &Path, force: bool) -> Result<bool, ClusterError> {
        let location = Location::find(data_dir)?;
        if !location.home().is_dir() {
            return Ok(false);
        }
        let _gate = StartLock::take(&location)?;
        let alone = UsersLock::open(&location)?.alone()?;
        let Some(server) = postmaster::settle(&location)? else {
            let _ = std::fs::remove_file(location.kept_on());
            return Ok(false);
        };
        let binaries = find_binaries(&location)?;
        if !force {
            let clients = clients(&location, &binaries, server.port);
            if !alone || clients > 0 {
                return Err(ClusterError::InUse {
                    home: location.home().to_owned(),
                    processes: locks::holders(&location.users_lock()),
                    clients,
                });
            }
        }
        let _ = std::fs::remove_file(location.kept_on());
        launch::stop(&location, &binaries, Durability::Safe)?;
        Ok(true)
    }

    /// What there is to know about the cluster of `data_dir`; starts and creates nothing.
    ///
    /// # Errors
    /// As [`Cluster::locate`], and files that cannot be read.
    pub fn status(data_dir: &Path) -> Result<Status, ClusterError> {
        Status::of(Location::find(data_dir)?)
    }

    /// The folder and the owner.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The server's port on 127.0.0.1; it stays the same while anyone uses the cluster.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the server's socket, if there is one: what connects there spares the network stack.
    pub fn socket(&self) -> Option<PathBuf> {
        self.location.socket().filter(|dir| dir.join(format!(".s.PGSQL.{}", self.port)).exists())
    }

    /// The URL of a database of the cluster, password included.
    pub fn url(&self, database: &str) -> SecretString {
        let (port, password) = (self.port, self.password.expose_secret());
        // Encryption on the loopback address would only cost time.
        let url = format!("postgres://{USER}:{password}@127.0.0.1:{port}/{database}?sslmode=disable");
        SecretString::from(url)
    }

    /// A `psql` on a database of the cluster, as the calling user, ready for more arguments.
    ///
    /// # Errors
    /// As [`Binaries::find`].
    pub fn psql(&self, database: &str) -> Result<Command, ClusterError> {
        let binaries = find_binaries(&self.location)?;
        let mut command = Command::new(binaries.program("psql"));
        psql_arguments(&mut command, self.port, database, &self.password);
        Ok(command)
    }

    /// Starts the server again, on the same port, if it died while this process uses it.
    ///
    /// # Errors
    /// As [`Cluster::open`]; `PortTaken` if another program took the port meanwhile.
    pub fn ensure_running(&self) -> Result<(), ClusterError> {
        if self.share().is_none() {
            return Ok(());
        }
        let _gate = StartLock::take(&self.location)?;
        let port = match postmaster::settle(&self.location)? {
            Some(server) => server.port,
            None => start(&self.location, self.durability, false)?,
        };
        if port == self.port { Ok(()) } else { Err(ClusterError::PortTaken { port: self.port }) }
    }

    /// Gives up this process's share, and stops the server if no other process of ours has one, no other client is
    /// connected, and it was not started to stay. True if it is stopped now. Dropping does the same, without a word.
    ///
    /// # Errors
    /// When the server does not stop, or its files cannot be read; the share is given up all the same.
    pub fn release(&self) -> Result<bool, ClusterError> {
        let Some(share) = self.share().take() else {
            return Ok(false);
        };
        let location = &self.location;
        let _gate = StartLock::take(location)?;
        if !share.alone()? || is_kept_on(location) {
            return Ok(false);
        }
        let Some(server) = postmaster::settle(location)? else {
            return Ok(true);
        };
        let binaries = find_binaries(location)?;
        if self.durability == Durability::Safe {
            // Connections of processes that have just ended vanish within moments.
            let mut tries = 0;
            while clients(location, &binaries, server.port) > 0 {
                tries += 1;
                if tries == 5 {
                    return Ok(false);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        launch::stop(location, &binaries, self.durability)?;
        Ok(true)
    }

    fn share(&self) -> std::sync::MutexGuard<'_, Option<UsersLock>> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.release() {
            tracing::debug!("{error}");
        }
    }
}

fn find_binaries(location: &Location) -> Result<Binaries, ClusterError> {
    let data = location.data();
    let major = location.major()?;
    Binaries::find(major.map(|major| (data.as_path(), major)))
}

fn start(location: &Location, durability: Durability, alone: bool) -> Result<u16, ClusterError> {
    let binaries = find_binaries(location)?;
    if location.major()?.is_none() {
        tracing::debug!("creating a postgres cluster in {}", location.home().display());
        launch::initialise(location, &binaries, durability)?;
    }
    // Asked before the start: without it the server would run and be of no use.
    password::read(location)?;
    launch::start(location, &binaries, durability, alone)
}

fn remove_data(location: &Location) -> Result<(), ClusterError> {
    let data = location.data();
    match std::fs::remove_dir_all(&data) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(ClusterError::io("remove", &data)(e)),
        _ => Ok(()),
    }
}

/// Names the time since the machine was started; a mark from before does not count any more.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

fn is_kept_on(location: &Location) -> bool {
    std::fs::read_to_string(location.kept_on()).is_ok_and(|mark| mark == boot())
}

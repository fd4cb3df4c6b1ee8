//! What there is to know about a cluster without touching it.

use super::binaries::Binaries;
use super::error::ClusterError;
use super::location::Location;
use super::postmaster::Running;
use super::{find_binaries, is_kept_on, locks, postmaster};

/// The state of a cluster at one moment.
#[derive(Debug)]
pub struct Status {
    /// The folder and the owner.
    pub location: Location,
    /// The major version that made the data; none if there is no data yet.
    pub major: Option<u32>,
    /// The server, if it runs and accepts connections.
    pub running: Option<Running>,
    /// Whether it was started to stay (`db start`).
    pub kept_on: bool,
    /// Processes of ours that use it, where the system tells.
    pub users: Vec<u32>,
    /// The programs that would run it, or why there are none.
    pub binaries: Result<Binaries, ClusterError>,
}

impl Status {
    pub(super) fn of(location: Location) -> Result<Self, ClusterError> {
        Ok(Self {
            major: location.major()?,
            running: postmaster::running(&location)?,
            kept_on: is_kept_on(&location),
            users: locks::holders(&location.users_lock()),
            binaries: find_binaries(&location),
            location,
        })
    }
}

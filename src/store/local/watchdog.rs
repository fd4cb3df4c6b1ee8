//! A shell that waits until nobody uses a throwaway cluster any more, then stops it and removes its data.
//!
//! Test processes end without running destructors, or by a kill; their locks end with them, so a process that waits
//! for the lock always learns of it. It ends with the cluster. Every user of the cluster starts one, and all but the
//! first see that one is there and end.

use std::process::Stdio;

use super::binaries::Binaries;
use super::error::ClusterError;
use super::location::Location;

// The watchdog's own lock goes before the users' lock does: a process that gets in next must not take this
// watchdog, which is ending, for one that will look after it. The data goes in one step, so that nobody meets half of it.
const SCRIPT: &str = r#"
command -v flock >/dev/null || exit 0
(
    trap '' HUP INT
    exec 9>>watchdog.lock 8>>users.lock
    flock -n 9 || exit 0
    flock 8
    "$0" stop -D data -m immediate -s -t 30
    mv data data.$$.tmp
    rm -rf data data.*.tmp socket password port kept-on postgres.log postgres.log.1
    exec 9>&-
) &
"#;

/// Starts a watchdog. To be called by a holder of a share of the users' lock.
pub(super) fn start(location: &Location, binaries: &Binaries) -> Result<(), ClusterError> {
    let shell = std::path::Path::new("/bin/sh");
    let mut command = location.owner().command(shell, location.home());
    command.args(["-c", SCRIPT]).arg(binaries.program("pg_ctl"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status();
    status.map(drop).map_err(ClusterError::io("run", shell))
}

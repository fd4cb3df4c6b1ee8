//! Where a project's cluster lies: `<data-dir>/postgres`, or, where root runs the program and the server's user
//! cannot enter the project, a folder below the system's state folder that a pointer file in the data folder names.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::ClusterError;
use super::owner::Owner;

const STATE: &str = "/var/lib/codepmp";
const POINTER: &str = "postgres-location";

/// The folder of one cluster and who owns it.
#[derive(Clone, Debug)]
pub struct Location {
    home: PathBuf,
    owner: Owner,
}

impl Location {
    /// Where the cluster of `data_dir` lies or would lie; creates nothing.
    ///
    /// # Errors
    /// `OtherOwner` and `NoUser`.
    pub fn find(data_dir: &Path) -> Result<Self, ClusterError> {
        Self::find_below(data_dir, Path::new(STATE))
    }

    /// Finds the cluster's folder or creates it, empty.
    pub(super) fn create(data_dir: &Path) -> Result<Self, ClusterError> {
        Self::create_below(data_dir, Path::new(STATE))
    }

    fn find_below(data_dir: &Path, state: &Path) -> Result<Self, ClusterError> {
        let home = match fs::read_to_string(data_dir.join(POINTER)) {
            Ok(text) => PathBuf::from(text.trim()),
            Err(_) => data_dir.join("postgres"),
        };
        // A pointer that someone planted must not lead root anywhere else.
        let home = if home.parent() == Some(state) { home } else { data_dir.join("postgres") };
        let home = fs::canonicalize(&home).unwrap_or(home);
        let owner = Owner::of(&home)?;
        Ok(Self { home, owner })
    }

    pub(super) fn create_below(data_dir: &Path, state: &Path) -> Result<Self, ClusterError> {
        fs::create_dir_all(data_dir).map_err(ClusterError::io("create", data_dir))?;
        let data_dir = &fs::canonicalize(data_dir).map_err(ClusterError::io("enter", data_dir))?;
        let found = Self::find_below(data_dir, state)?;
        if found.home.is_dir() {
            found.owner.create_dir(&found.home).map_err(ClusterError::io("take over", &found.home))?;
            return Ok(found);
        }
        let Self { home, owner } = found;
        let outside = home.parent() == Some(state);
        if !outside && owner.enters(data_dir) {
            match owner.create_dir(&home) {
                Ok(()) => return Ok(Self { home, owner }),
                // A file system that keeps no owners, as shared folders of virtual machines do.
                Err(e) if nix::unistd::geteuid().is_root() => {
                    tracing::debug!("{} cannot be given to {}: {e}", home.display(), owner.name());
                    fs::remove_dir(&home).map_err(ClusterError::io("remove", &home))?;
                }
                Err(e) => return Err(ClusterError::io("create", &home)(e)),
            }
        }
        let home = state.join(name_of(data_dir));
        fs::create_dir_all(state).map_err(ClusterError::io("create", state))?;
        let owner = Owner::of(&home)?;
        owner.create_dir(&home).map_err(ClusterError::io("create", &home))?;
        if !owner.enters(&home) {
            let user = owner.name();
            return Err(ClusterError::Unreachable { path: home, user });
        }
        let pointer = data_dir.join(POINTER);
        fs::write(&pointer, format!("{}\n", home.display())).map_err(ClusterError::io("write", &pointer))?;
        Ok(Self { home, owner })
    }

    /// The cluster's folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Who runs the server.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Postgres' own data folder.
    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// The server's log; see `launch` on why it is locked while the server lives.
    pub fn log(&self) -> PathBuf {
        self.home.join("postgres.log")
    }

    pub(super) fn password(&self) -> PathBuf {
        self.home.join("password")
    }

    pub(super) fn port(&self) -> PathBuf {
        self.home.join("port")
    }

    pub(super) fn kept_on(&self) -> PathBuf {
        self.home.join("kept-on")
    }

    pub(super) fn start_lock(&self) -> PathBuf {
        self.home.join("start.lock")
    }

    pub(super) fn users_lock(&self) -> PathBuf {
        self.home.join("users.lock")
    }

    /// The socket's folder, unless the path is too long for a socket (107 bytes, `/.s.PGSQL.12345` of them).
    pub(super) fn socket(&self) -> Option<PathBuf> {
        let dir = self.home.join("socket");
        (dir.as_os_str().len() < 90).then_some(dir)
    }

    /// The major version that made the data, none if there is no data yet.
    pub(super) fn major(&self) -> Result<Option<u32>, ClusterError> {
        let data = self.data();
        match fs::read_to_string(data.join("PG_VERSION")) {
            Ok(text) => match text.trim().parse() {
                Ok(major) => Ok(Some(major)),
                Err(_) => Err(ClusterError::NotACluster { data }),
            },
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && data.exists() => {
                Err(ClusterError::NotACluster { data })
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(ClusterError::io("read", &data)(e)),
        }
    }
}

/// A name for the cluster of `data_dir` that is the same every time.
fn name_of(data_dir: &Path) -> String {
    let hash = blake3::hash(data_dir.as_os_str().as_encoded_bytes());
    hash.to_hex()[..16].to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn open_to_all(dir: &Path) {
        fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_folder_that_the_server_cannot_enter_gets_its_data_in_the_state_folder() {
        let root = tempfile::tempdir().unwrap();
        open_to_all(root.path());
        let project = root.path().join("closed");
        fs::create_dir(&project).unwrap();
        fs::set_permissions(&project, PermissionsExt::from_mode(0o700)).unwrap();
        let state = root.path().join("state");
        let made = Location::create_below(&project.join(".codepmp"), &state).unwrap();
        if nix::unistd::geteuid().is_root() {
            assert_eq!(made.home().parent(), Some(state.as_path()));
            assert!(made.owner().enters(made.home()));
        } else {
            assert_eq!(made.home(), project.join(".codepmp/postgres"));
        }
        let again = Location::find_below(&project.join(".codepmp"), &state).unwrap();
        assert_eq!(again.home(), made.home());
    }

    #[test]
    fn a_pointer_out_of_the_state_folder_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(POINTER), "/etc\n").unwrap();
        let found = Location::find(root.path()).unwrap();
        assert_eq!(found.home(), root.path().join("postgres"));
    }

    #[test]
    fn a_data_folder_that_initdb_did_not_finish_is_named() {
        let root = tempfile::tempdir().unwrap();
        open_to_all(root.path());
        let made = Location::create(root.path()).unwrap();
        assert_eq!(made.major().unwrap(), None);
        fs::create_dir(made.data()).unwrap();
        let error = made.major().unwrap_err();
        assert!(matches!(error, ClusterError::NotACluster { .. }), "{error}");
    }
}

//! Who runs the server. Postgres refuses root: as root the server runs as the cluster's owner, or as `postgres`,
//! or as `nobody`; files that root writes for it are handed over.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::fcntl::OFlag;
use nix::unistd::{Uid, User, geteuid};

use super::error::ClusterError;

/// The user that runs the server and owns its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User and group to become; none when this process runs as the owner already.
    become_user: Option<(u32, u32)>,
}

impl Owner {
    /// The owner of `home`, which need not be there yet.
    pub(super) fn of(home: &Path) -> Result<Self, ClusterError> {
        let found = fs::metadata(home).ok().map(|m| (m.uid(), m.gid()));
        let me = geteuid();
        if !me.is_root() {
            return match found {
                Some((uid, _)) if uid != me.as_raw() => {
                    Err(ClusterError::OtherOwner { path: home.to_owned(), owner: user_name(uid) })
                }
                _ => Ok(Self { become_user: None }),
            };
        }
        let become_user =
            found.filter(|(uid, _)| *uid != 0).or_else(|| ["postgres", "nobody"].into_iter().find_map(ids_of));
        match become_user {
            Some(ids) => Ok(Self { become_user: Some(ids) }),
            None => Err(ClusterError::NoUser),
        }
    }

    /// The owner's name, for messages.
    pub fn name(self) -> String {
        user_name(self.become_user.map_or(geteuid().as_raw(), |(uid, _)| uid))
    }

    /// A program that runs as the owner, in `dir`, with nothing of the caller's Postgres settings or terminal.
    pub(super) fn command(self, program: &Path, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(dir).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        // English messages, since a few are told apart; the cluster's own locale is set by initdb.
        command.env("LC_ALL", "C");
        // Ctrl-C on the terminal must not reach the server.
        command.process_group(0);
        if let Some((uid, gid)) = self.become_user {
            command.uid(uid).gid(gid).env("HOME", dir);
        }
        command
    }

    /// Whether the owner can enter `dir`.
    pub(super) fn enters(self, dir: &Path) -> bool {
        self.become_user.is_none()
            || self
                .command(Path::new("/bin/sh"), dir)
                .args(["-c", ":"])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
    }

    /// Hands an open file over to the owner.
    pub(super) fn hand_over(self, file: &File) -> std::io::Result<()> {
        match self.become_user {
            Some((uid, gid)) if file.metadata()?.uid() != uid => fchown(file, Some(uid), Some(gid)),
            _ => Ok(()),
        }
    }

    /// Creates a folder that only the owner may enter.
    pub(super) fn create_dir(self, dir: &Path) -> std::io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        match fs::DirBuilder::new().mode(0o700).create(dir) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        self.hand_over(&File::open(dir)?)
    }

    /// Opens a file that only the owner may read, creating it where needed, to append to it.
    pub(super) fn open_append(self, path: &Path) -> std::io::Result<File> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path)?;
        self.hand_over(&file)?;
        Ok(file)
    }

    /// Replaces a file that only the owner may read: whole or not at all.
    pub(super) fn write(self, path: &Path, text: &str) -> Result<(), ClusterError> {
        let fail = |e| ClusterError::io("write", path)(e);
        let new = path.with_extension("new");
        match fs::remove_file(&new) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(fail(e)),
            _ => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new).map_err(fail)?;
        self.hand_over(&file).map_err(fail)?;
        file.write_all(text.as_bytes()).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        fs::rename(&new, path).map_err(fail)
    }
}

fn ids_of(name: &str) -> Option<(u32, u32)> {
    let user = User::from_name(name).ok()??;
    Some((user.uid.as_raw(), user.gid.as_raw()))
}

fn user_name(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

//! Finds the machine's Postgres programs. An existing data folder decides the major version.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::ClusterError;

/// The oldest major version that the program's SQL works with.
pub const MINIMUM_MAJOR: u32 = 15;

const NEEDED: [&str; 3] = ["initdb", "postgres", "pg_ctl"];
const DEBIAN: &str = "/usr/lib/postgresql";

/// A folder with Postgres' programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// The folder.
    pub dir: PathBuf,
    /// The programs' major version.
    pub major: u32,
}

impl Binaries {
    /// Looks in the environment's folder, or else where `pg_config` says, in Debian's folders (highest version
    /// first), and along `PATH`. With `data`, a folder and the major version that made it, only that version will do.
    ///
    /// # Errors
    /// `NoBinaries`, `IncompleteBinaries`, `TooOld`, `OtherMajor`: each says what to install.
    pub fn find(data: Option<(&Path, u32)>) -> Result<Self, ClusterError> {
        if let Some(dir) = std::env::var_os(crate::env::POSTGRES_BIN).filter(|v| !v.is_empty()) {
            return named(PathBuf::from(dir), data);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        choose(candidates(Path::new(DEBIAN), &path), data)
    }

    /// The full path of one of the programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn named(dir: PathBuf, data: Option<(&Path, u32)>) -> Result<Binaries, ClusterError> {
    if let Some(missing) = NEEDED.into_iter().find(|name| !dir.join(name).is_file()) {
        return Err(ClusterError::IncompleteBinaries { dir, missing });
    }
    choose(std::iter::once(dir), data)
}

/// The first candidate that is new enough, and of the data's version if there is data.
fn choose(candidates: impl Iterator<Item = PathBuf>, data: Option<(&Path, u32)>) -> Result<Binaries, ClusterError> {
    let mut passed_over: Vec<Binaries> = Vec::new();
    for dir in candidates {
        if passed_over.iter().any(|seen| seen.dir == dir) {
            continue;
        }
        let Some(major) = major_of(&dir) else {
            continue;
        };
        let found = Binaries { dir, major };
        let fits = data.is_none_or(|(_, wanted)| wanted == major);
        if fits && major >= MINIMUM_MAJOR {
            return Ok(found);
        }
        passed_over.push(found);
    }
    match (data, passed_over.first()) {
        (Some((data, wanted)), seen) if seen.is_some_and(|b| b.major != wanted) => {
            let majors: Vec<_> = passed_over.iter().map(|b| b.major.to_string()).collect();
            Err(ClusterError::OtherMajor { data: data.to_owned(), wanted, found: majors.join(", ") })
        }
        (_, Some(old)) => Err(ClusterError::TooOld { dir: old.dir.clone(), found: old.major, minimum: MINIMUM_MAJOR }),
        (Some((data, wanted)), None) => {
            Err(ClusterError::OtherMajor { data: data.to_owned(), wanted, found: "none".into() })
        }
        (None, None) => Err(ClusterError::NoBinaries),
    }
}

fn candidates(debian: &Path, path: &OsStr) -> impl Iterator<Item = PathBuf> {
    let configured = Command::new("pg_config")
        .arg("--bindir")
        .output()
        .ok()
        .filter(|o| o.status.success())
        .map(|o| PathBuf::from(String::from_utf8_lossy(&o.stdout).trim()));
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(debian)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let major = entry.file_name().to_str()?.parse().ok()?;
            Some((major, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    // A `postgres` on the path is often a link into the folder that holds the others.
    let on_path: Vec<PathBuf> = std::env::split_paths(path)
        .filter_map(|dir| {
            let program = std::fs::canonicalize(dir.join("postgres")).ok()?;
            Some(program.parent()?.to_owned())
        })
        .collect();
    configured.into_iter().chain(versions.into_iter().map(|(_, dir)| dir)).chain(on_path)
}

/// The major version of the server programs in `dir`, if all of them are there and run.
fn major_of(dir: &Path) -> Option<u32> {
    if !NEEDED.iter().all(|name| dir.join(name).is_file()) {
        return None;
    }
    let output = Command::new(dir.join("postgres")).arg("--version").output().ok()?;
    parse_major(&String::from_utf8_lossy(&output.stdout))
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian ...)`; a beta says `17beta1`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_whitespace().nth(2)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A folder of programs that say they are Postgres `major`.
    fn pretend(root: &Path, major: u32) -> PathBuf {
        let dir = root.join(major.to_string()).join("bin");
        std::fs::create_dir_all(&dir).unwrap();
        for name in NEEDED {
            let program = dir.join(name);
            let text = format!("#!/bin/sh\necho 'postgres (PostgreSQL) {major}.3'\n");
            std::fs::write(&program, text).unwrap();
            std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        }
        dir
    }

    #[test]
    fn versions_of_releases_and_betas_are_read() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0)"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(parse_major("command not found"), None);
    }

    #[test]
    fn the_highest_version_wins_by_number_and_data_decides_otherwise() {
        let root = tempfile::tempdir().unwrap();
        let dirs: Vec<_> = [15, 16, 100].map(|m| pretend(root.path(), m)).into();
        let found = |data| {
            let mut all: Vec<_> = candidates(root.path(), OsStr::new("")).collect();
            all.retain(|dir| dir.starts_with(root.path()));
            choose(all.into_iter(), data)
        };
        assert_eq!(found(None).unwrap().dir, dirs[2]);
        assert_eq!(found(Some((Path::new("d"), 16))).unwrap().dir, dirs[1]);
        let error = found(Some((Path::new("d"), 17))).unwrap_err().to_string();
        assert!(error.contains("postgresql-17") && error.contains("100, 16, 15"), "{error}");
    }

    #[test]
    fn an_old_version_an_empty_machine_and_a_wrong_folder_each_say_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let old = choose(std::iter::once(pretend(root.path(), 13)), None).unwrap_err();
        assert!(matches!(old, ClusterError::TooOld { found: 13, .. }), "{old}");
        let none = choose(std::iter::empty(), None).unwrap_err().to_string();
        assert!(none.contains("apt-get install --no-install-recommends postgresql"), "{none}");
        let wrong = named(root.path().to_owned(), None).unwrap_err().to_string();
        assert!(wrong.contains("has no `initdb`"), "{wrong}");
    }
}

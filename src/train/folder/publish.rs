//! Making what was written appear: whole, under its name, or not at all.
//!
//! Files are written beside their final place, put on disk, and renamed; a crash or a full disk leaves a `.partial-` folder
//! that the next attempt removes, and what was there before.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::disk::{remove_folder, sync_folder};
use super::error::FolderError;

/// What names of unfinished folders begin with.
pub const PARTIAL: &str = ".partial-";
/// What names of folders begin with that are being replaced.
const OLD: &str = ".old-";

fn beside(target: &Path, prefix: &str) -> PathBuf {
    let mut name = OsStr::new(prefix).to_owned();
    name.push(target.file_name().unwrap_or_default());
    target.with_file_name(name)
}

/// Lets `write` fill a folder that appears as `target` when all is on disk. A folder of that name is replaced.
///
/// # Errors
/// When `write` fails or the file system does; `target` is then as it was.
pub fn publish_folder<E: From<FolderError>>(
    target: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |source| FolderError::Write { path: target.to_owned(), source };
    let (partial, old) = (beside(target, PARTIAL), beside(target, OLD));
    let parent = target.parent().unwrap_or(Path::new("."));
    remove_folder(&partial).and_then(|()| fs::create_dir_all(&partial)).map_err(failed)?;
    let written = write(&partial).and_then(|()| Ok(sync_folder(&partial).map_err(failed)?));
    if let Err(error) = written {
        // Room on a full disk; what cannot be removed now is removed by the next attempt.
        let _ = remove_folder(&partial);
        return Err(error);
    }
    if target.exists() {
        remove_folder(&old).and_then(|()| fs::rename(target, &old)).map_err(failed)?;
    }
    fs::rename(&partial, target).and_then(|()| sync_folder(parent)).map_err(failed)?;
    remove_folder(&old).map_err(failed)?;
    Ok(())
}

/// Lets `write` fill a folder whose files then appear in `target`, beside what else is there; `mark` appears last and
/// is gone while the others are being replaced, so that its presence says that all are of one writing. Files of `target`
/// that `stale` names and that were not written anew are removed.
///
/// # Errors
/// When `write` fails, `target` is as it was; when a rename does, `mark` is missing.
pub fn publish_files<E: From<FolderError>>(
    target: &Path,
    mark: &str,
    stale: impl Fn(&str) -> bool,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |source| FolderError::Write { path: target.to_owned(), source };
    let partial = target.join(format!("{PARTIAL}model"));
    remove_folder(&partial).and_then(|()| fs::create_dir_all(&partial)).map_err(failed)?;
    let written = write(&partial).and_then(|()| Ok(sync_folder(&partial).map_err(failed)?));
    if let Err(error) = written {
        let _ = remove_folder(&partial);
        return Err(error);
    }
    let move_all = || {
        let names = |folder: &Path| {
            fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()
        };
        if target.join(mark).exists() {
            fs::remove_file(target.join(mark))?;
            sync_folder(target)?;
        }
        let fresh = names(&partial)?;
        for name in names(target)? {
            if name.to_str().is_some_and(&stale) && !fresh.contains(&name) {
                fs::remove_file(target.join(name))?;
            }
        }
        for name in fresh.iter().filter(|name| *name != mark) {
            fs::rename(partial.join(name), target.join(name))?;
        }
        sync_folder(target)?;
        fs::rename(partial.join(mark), target.join(mark))?;
        remove_folder(&partial)?;
        sync_folder(target)
    };
    Ok(move_all().map_err(failed)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;

    use super::*;

    fn full(path: &Path) -> FolderError {
        FolderError::Write { path: path.to_owned(), source: io::ErrorKind::StorageFull.into() }
    }

    fn entries(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_appears_whole_and_replaces_the_former_one() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a/b");
        let publish = |text: &'static str| {
            publish_folder(&target, |folder| fs::write(folder.join("file"), text).map_err(|_| full(folder)))
        };
        publish("one").unwrap();
        publish("two").unwrap();
        assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "two");
        assert_eq!(entries(&root.path().join("a")), ["b"]);
    }

    #[test]
    fn a_writer_that_fails_leaves_the_former_folder_and_no_litter() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("b");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("file"), "one").unwrap();
        publish_folder(&target, |folder| {
            fs::write(folder.join("file"), "tw").unwrap();
            Err(full(folder))
        })
        .unwrap_err();
        assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "one");
        assert_eq!(entries(root.path()), ["b"]);
    }

    #[test]
    fn files_appear_beside_what_is_there_and_stale_ones_go() {
        let root = tempfile::tempdir().unwrap();
        for name in ["mark", "model-1", "notes"] {
            fs::write(root.path().join(name), "one").unwrap();
        }
        publish_files(
            root.path(),
            "mark",
            |name| name.starts_with("model"),
            |folder| {
                fs::write(folder.join("mark"), "two").map_err(|_| full(folder))?;
                fs::write(folder.join("model"), "two").map_err(|_| full(folder))
            },
        )
        .unwrap();
        assert_eq!(entries(root.path()), ["mark", "model", "notes"]);
        assert_eq!(fs::read_to_string(root.path().join("mark")).unwrap(), "two");
        publish_files(root.path(), "mark", |_| true, |folder| Err(full(folder))).unwrap_err();
        assert_eq!(entries(root.path()), ["mark", "model", "notes"]);
    }
}

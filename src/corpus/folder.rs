//! Folders: every file below, in the order of the names.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use walkdir::{DirEntry, WalkDir};

use super::reader::refused;
use super::select::{MemberKind, Selection, Verdict, printable, too_large};
use super::{Entry, Fault, text};

/// Walks `folder` in the order of the names, links not followed, without git's own files.
pub(super) fn walk(folder: &Path) -> impl Iterator<Item = walkdir::Result<DirEntry>> + Send + use<> {
    WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter().filter_entry(|entry| entry.file_name() != ".git")
}

/// The entries of a folder. Folders do not count as positions; whatever else lies there does.
pub(super) struct FolderEntries {
    folder: PathBuf,
    walk: Box<dyn Iterator<Item = walkdir::Result<DirEntry>> + Send>,
    selection: Selection,
    next: u64,
    from: u64,
    consumed: Arc<AtomicU64>,
}

impl FolderEntries {
    pub(super) fn new(folder: PathBuf, selection: Selection, from: u64, consumed: Arc<AtomicU64>) -> Self {
        let walk = Box::new(walk(&folder));
        Self { folder, walk, selection, next: 0, from, consumed }
    }

    /// Path within the folder, with `/`.
    fn name(&self, path: &Path) -> String {
        let inside = path.strip_prefix(&self.folder).unwrap_or(path);
        let parts = inside.components().map(|part| part.as_os_str().to_string_lossy());
        parts.collect::<Vec<_>>().join("/")
    }

    fn step(&mut self, position: u64, file: &DirEntry) -> Option<Entry> {
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let kind = file.file_type();
        let kind = if kind.is_symlink() {
            MemberKind::Link
        } else if kind.is_file() {
            self.consumed.fetch_add(size, Ordering::Relaxed);
            MemberKind::File
        } else {
            MemberKind::Other("a device, pipe or socket")
        };
        if position < self.from {
            return None;
        }
        match self.selection.judge(&self.name(file.path()), kind, size) {
            Verdict::Skip => None,
            Verdict::Refuse { path, fault, message } => Some(refused(position, path, fault, message)),
            Verdict::Read(path) => Some(self.read(position, path, file.path(), size)),
        }
    }

    fn read(&self, position: u64, path: String, file: &Path, size: u64) -> Entry {
        let limit = self.selection.max_file_bytes();
        let mut bytes = Vec::with_capacity(size as usize + 1);
        // A file may grow while it is read.
        let read = File::open(file).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
        match read {
            Ok(read) if read as u64 > limit => refused(position, path, Fault::TooLarge, too_large(read as u64, limit)),
            Ok(_) => text::entry(position, path, bytes),
            Err(error) => refused(position, path, Fault::Unreadable, format!("cannot read: {error}")),
        }
    }
}

impl Iterator for FolderEntries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let item = self.walk.next()?;
            if item.as_ref().is_ok_and(|file| file.file_type().is_dir()) {
                continue;
            }
            let position = self.next;
            self.next += 1;
            let entry = match item {
                Ok(file) => self.step(position, &file),
                Err(error) => (position >= self.from).then(|| {
                    // The folder itself has no name within it.
                    let inside = error.path().map(|path| self.name(path)).filter(|name| !name.is_empty());
                    let path = inside.unwrap_or_else(|| self.folder.to_string_lossy().into_owned());
                    let message = format!("cannot list: {error}");
                    refused(position, printable(&path), Fault::Unreadable, message)
                }),
            };
            if entry.is_some() {
                return entry;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::corpus::{Source, SourceKind};
    use std::fs;

    fn entries(folder: &Path, from: u64) -> FolderEntries {
        let mut source = Source::new(SourceKind::Dir, ".");
        source.max_file_bytes = 10;
        let selection = Selection::new(&source, None).unwrap();
        FolderEntries::new(folder.to_owned(), selection, from, Arc::default())
    }

    #[test]
    fn files_come_in_the_order_of_their_names_and_others_only_count() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("b/.git")).unwrap();
        for (name, text) in [("c.py", "c = 1"), ("b/x.py", "x = 1"), ("a.md", "#"), ("b/.git/h.py", "h")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let read = |from| {
            let entries = entries(folder.path(), from);
            entries
                .map(|entry| match entry {
                    Entry::Document(document) => (document.entry, document.path),
                    Entry::Rejected(rejected) => panic!("{rejected:?}"),
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(read(0), [(1, "b/x.py".to_owned()), (2, "c.py".to_owned())]);
        assert_eq!(read(2), [(2, "c.py".to_owned())]);
    }

    #[test]
    fn links_pipes_and_large_files_are_rejected_without_being_opened() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("a.py")).unwrap();
        nix::unistd::mkfifo(&folder.path().join("b.py"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(folder.path().join("c.py"), "x = 1234567").unwrap();
        let faults: Vec<_> = entries(folder.path(), 0)
            .map(|entry| match entry {
                Entry::Rejected(rejected) => (rejected.path, rejected.fault),
                Entry::Document(document) => panic!("{document:?}"),
            })
            .collect();
        let expected = [("a.py", Fault::Link), ("b.py", Fault::Unreadable), ("c.py", Fault::TooLarge)];
        assert_eq!(faults, expected.map(|(path, fault)| (path.to_owned(), fault)));
    }

    #[test]
    fn a_folder_that_cannot_be_listed_is_rejected_and_the_rest_is_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        fs::write(folder.path().join("a.py"), "a = 1").unwrap();
        fs::write(folder.path().join("c.py"), "c = 1").unwrap();
        let mut entries = entries(folder.path(), 0);
        assert!(matches!(entries.next(), Some(Entry::Document(_))));
        // Gone between being seen and being listed: an error that root meets too.
        fs::remove_dir(folder.path().join("b")).unwrap();
        let rest: Vec<_> = entries.collect();
        assert_eq!(rest.len(), 2, "{rest:?}");
        let Entry::Rejected(rejected) = &rest[0] else { panic!("{rest:?}") };
        assert_eq!((rejected.path.as_str(), rejected.fault), ("b", Fault::Unreadable));
        assert!(matches!(&rest[1], Entry::Document(document) if document.entry == 2));
    }
}

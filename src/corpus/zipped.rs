//! Zip archives and wheels: members by their place in the central directory.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use zip::ZipArchive;
use zip::read::ZipFileEntry;
use zip::result::{ZipError, ZipResult};

use super::reader::refused;
use super::select::{MemberKind, Selection, Verdict};
use super::stream::BombGuard;
use super::text::Flaw;
use super::{Entry, Fault, text};

/// Members are small and lie apart: a large buffer would be thrown away at every one of them.
const BUFFER_BYTES: usize = 16 << 10;

pub(super) type Archive = ZipArchive<BufReader<File>>;

pub(super) fn open(path: &Path) -> ZipResult<Archive> {
    ZipArchive::new(BufReader::with_capacity(BUFFER_BYTES, File::open(path)?))
}

/// Name, kind and declared size of a member.
pub(super) fn describe(member: &ZipFileEntry<'_>) -> (String, MemberKind, u64) {
    let name = match member.name() {
        Ok(name) => name.into_owned(),
        Err(_) => String::from_utf8_lossy(member.name_raw()).into_owned(),
    };
    let kind = if member.is_symlink() {
        MemberKind::Link
    } else if member.is_dir() {
        MemberKind::Folder
    } else {
        MemberKind::File
    };
    (name, kind, member.size())
}

/// The data of member `index`, of which no more than `declared` bytes are believed.
pub(super) fn read(archive: &mut Archive, index: usize, declared: u64) -> Result<Vec<u8>, Flaw> {
    let member = archive.by_index(index).map_err(|error| match error {
        ZipError::Io(_) | ZipError::InvalidArchive(_) => Flaw::new(Fault::Corrupt, error.to_string()),
        // Encrypted, or packed by a method that is not built in.
        error => Flaw::new(Fault::Unreadable, error.to_string()),
    })?;
    let mut data = Vec::with_capacity(declared as usize);
    // Reading on to the end is what checks the member's CRC.
    match member.take(declared + 1).read_to_end(&mut data) {
        Ok(read) if read as u64 == declared => Ok(data),
        Ok(read) if read as u64 > declared => {
            let message = format!("the member holds more than the {declared} bytes it declares");
            Err(Flaw::new(Fault::Corrupt, message))
        }
        Ok(read) => {
            let message = format!("the member holds {read} of the {declared} bytes it declares");
            Err(Flaw::new(Fault::Corrupt, message))
        }
        Err(error) => Err(Flaw::new(Fault::Corrupt, format!("the member is damaged: {error}"))),
    }
}

/// The entries of a zip archive.
pub(super) struct ZipEntries {
    archive: Archive,
    selection: Selection,
    next: usize,
    from: u64,
    consumed: Arc<AtomicU64>,
}

impl ZipEntries {
    /// # Errors
    /// When the members that would be read declare so many bytes that the archive must be a bomb. Declared sizes are
    /// binding ([`read`]), so nothing needs to be unpacked to know.
    pub(super) fn new(
        archive: Archive,
        selection: Selection,
        from: u64,
        consumed: Arc<AtomicU64>,
        guard: BombGuard,
        bytes: u64,
    ) -> Result<Self, Flaw> {
        let mut declared = 0_u64;
        for index in 0..archive.len() {
            let Ok(member) = archive.by_index_data(index) else {
                continue;
            };
            let (name, kind, size) = describe(&member);
            if matches!(selection.judge(&name, kind, size), Verdict::Read(_)) {
                declared = declared.saturating_add(size);
            }
        }
        if guard.trips(bytes, declared) {
            let message = format!("{declared} bytes are said to be in {bytes}: this looks like a decompression bomb");
            return Err(Flaw::new(Fault::Bomb, message));
        }
        let next = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(Self { archive, selection, next, from, consumed })
    }

    fn step(&mut self, index: usize) -> Option<Entry> {
        let position = index as u64;
        let member = match self.archive.by_index_data(index) {
            Ok(member) => member,
            Err(error) => {
                let path = format!("member {index}");
                return Some(refused(position, path, Fault::Corrupt, error.to_string()));
            }
        };
        let (name, kind, size) = describe(&member);
        self.consumed.fetch_add(member.compressed_size(), Ordering::Relaxed);
        match self.selection.judge(&name, kind, size) {
            Verdict::Skip => None,
            Verdict::Refuse { path, fault, message } => Some(refused(position, path, fault, message)),
            Verdict::Read(path) => match read(&mut self.archive, index, size) {
                Ok(bytes) => Some(text::entry(position, path, bytes)),
                Err(Flaw { fault, message }) => Some(refused(position, path, fault, message)),
            },
        }
    }
}

impl Iterator for ZipEntries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        debug_assert!(self.next as u64 >= self.from);
        while self.next < self.archive.len() {
            let index = self.next;
            self.next += 1;
            if let Some(entry) = self.step(index) {
                return Some(entry);
            }
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::corpus::fixture::{lay, zip};

    #[test]
    fn a_wheel_keeps_its_top_folders_and_a_zip_loses_its_only_one() {
        let files: [(&str, &[u8]); 2] = [("x/a.py", b"a = 1"), ("x/b/c.py", b"c = 1")];
        let paths = |name: &str| {
            let paths = lay(name, &zip(&files, "")).paths();
            paths.into_iter().map(|(_, path)| path).collect::<Vec<_>>()
        };
        assert_eq!(paths("x-1-py3-none-any.whl"), ["x/a.py", "x/b/c.py"]);
        assert_eq!(paths("x.zip"), ["a.py", "b/c.py"]);
    }

    #[test]
    fn links_and_unsafe_names_are_rejected() {
        use std::io::Write as _;
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        writer.add_symlink("a.py", "/etc/passwd", options).unwrap();
        for name in ["../b.py", "c.py"] {
            writer.start_file(name, options).unwrap();
            writer.write_all(b"x = 1").unwrap();
        }
        let laid = lay("x.zip", &writer.finish().unwrap().into_inner());
        let expected = [(0, "a.py", Fault::Link), (1, "../b.py", Fault::UnsafePath)];
        assert_eq!(laid.faults(), expected.map(|(at, path, fault)| (at, path.to_owned(), fault)));
        assert_eq!(laid.entries().len(), 3);
    }

    #[test]
    fn a_damaged_member_is_rejected_and_the_rest_is_read() {
        let mut data = zip(&[("a.py", b"value = 'something to pack'"), ("b.py", b"b = 1")], "");
        let inside = data.windows(4).position(|bytes| bytes == b"a.py").unwrap() + 8;
        data[inside] ^= 0xff;
        let laid = lay("x.zip", &data);
        assert_eq!(laid.faults(), [(0, "a.py".to_owned(), Fault::Corrupt)]);
        assert_eq!(laid.entries().len(), 2);
    }

    #[test]
    fn an_archive_without_its_directory_is_corrupt() {
        let data = zip(&[("a.py", b"a = 1")], "");
        for data in [&data[..data.len() - 30], b"", b"<html>"] {
            assert_eq!(lay("x.zip", data).faults(), [(0, "x.zip".to_owned(), Fault::Corrupt)]);
        }
    }

    #[test]
    fn a_member_that_holds_more_than_it_declares_is_not_believed() {
        let mut data = zip(&[("a.py", &[b'a'; 5000])], "");
        // The size in the central directory, 24 bytes into its record.
        let record = data.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
        data[record + 24..record + 28].copy_from_slice(&100_u32.to_le_bytes());
        let laid = lay("x.zip", &data);
        assert_eq!(laid.faults(), [(0, "a.py".to_owned(), Fault::Corrupt)]);
    }

    #[test]
    fn a_bomb_is_told_by_what_its_members_declare() {
        let zeros = vec![b' '; 900_000];
        let names: Vec<String> = (0..4).map(|at| format!("{at}.py")).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), zeros.as_slice())).collect();
        let laid = lay("x.zip", &zip(&files, ""));
        let survey = laid.shard.survey(&laid.source);
        let guard = BombGuard { floor_bytes: 1 << 20, ratio: 200 };
        let read = |guard| laid.shard.read_guarded(&laid.source, &survey, 0, guard).unwrap().collect::<Vec<_>>();
        let entries = read(guard);
        assert!(matches!(&entries[..], [Entry::Rejected(r)] if r.fault == Fault::Bomb), "{entries:?}");
        assert_eq!(read(BombGuard::DEFAULT).len(), 4);
    }

    #[test]
    fn large_members_are_rejected_by_their_declared_size() {
        let mut laid = lay("x.zip", &zip(&[("a.py", &[b'a'; 500]), ("b.py", b"b = 1")], ""));
        laid.source.max_file_bytes = 499;
        assert_eq!(laid.faults(), [(0, "a.py".to_owned(), Fault::TooLarge)]);
    }
}

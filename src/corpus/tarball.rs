//! The entries of a tar archive.

use std::io;

use super::reader::{broken, refused};
use super::select::{Selection, Verdict};
use super::stream::Stream;
use super::walker::Walker;
use super::{Entry, text};

/// The entries of a tar archive.
pub(super) struct TarEntries {
    walker: Walker,
    selection: Selection,
    shard: String,
    next: u64,
    from: u64,
    done: bool,
}

impl TarEntries {
    pub(super) fn new(input: Stream, selection: Selection, shard: String, from: u64) -> Self {
        Self { walker: Walker::new(input), selection, shard, next: 0, from, done: false }
    }

    /// Takes one member. Whatever goes wrong with its header or data is told at its position.
    fn step(&mut self, position: u64) -> io::Result<Option<Entry>> {
        let Some(member) = self.walker.next_member()? else {
            self.done = true;
            return Ok(None);
        };
        if position < self.from {
            self.walker.skip(&member)?;
            return Ok(None);
        }
        match self.selection.judge(&member.name, member.kind, member.size) {
            Verdict::Read(path) => {
                let bytes = self.walker.read(&member)?;
                Ok(Some(text::entry(position, path, bytes)))
            }
            Verdict::Skip => self.walker.skip(&member).map(|()| None),
            Verdict::Refuse { path, fault, message } => {
                self.walker.skip(&member)?;
                Ok(Some(refused(position, path, fault, message)))
            }
        }
    }
}

impl Iterator for TarEntries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        while !self.done {
            let position = self.next;
            self.next += 1;
            match self.step(position) {
                Ok(None) => {}
                Ok(Some(entry)) => return Some(entry),
                Err(error) => {
                    self.done = true;
                    return (position >= self.from).then(|| broken(position, &self.shard, &error));
                }
            }
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::corpus::Fault;
    use crate::corpus::fixture::{gzip, lay, tar, tar_header, tar_member, zstd};
    use tar::EntryType;

    #[test]
    fn every_compression_gives_the_same_documents_without_the_top_folder() {
        let plain = tar(&[("x-1/a.py", b"a = 1"), ("x-1/b.txt", b"-"), ("x-1/s/c.py", b"c = 1")]);
        for (name, data) in
            [("x.tar", plain.clone()), ("x.tgz", gzip(&plain)), ("x.tar.gz", gzip(&plain)), ("x.tar.zst", zstd(&plain))]
        {
            let expected = [(0, "a.py".to_owned()), (2, "s/c.py".to_owned())];
            assert_eq!(lay(name, &data).paths(), expected, "{name}");
        }
    }

    #[test]
    fn long_names_come_from_gnu_and_from_pax_headers() {
        let long = format!("x/{}/a.py", "d".repeat(150));
        let record = format!("{} path={long}\n", long.len() + 10);
        assert_eq!(record.len(), long.len() + 10);
        let data = [
            tar_member("././@LongLink", EntryType::GNULongName, format!("{long}\0").as_bytes()),
            tar_member("x/short", EntryType::Regular, b"a = 1"),
            tar_member("pax", EntryType::XHeader, record.as_bytes()),
            tar_member("x/short", EntryType::Regular, b"b = 1"),
            vec![0; 1024],
        ];
        let expected = long.strip_prefix("x/").unwrap().to_owned();
        assert_eq!(lay("a.tar", &data.concat()).paths(), [(0, expected.clone()), (1, expected)]);
    }

    #[test]
    fn links_devices_and_unsafe_names_are_rejected_and_the_rest_is_read() {
        let data = [
            tar_member("../../etc/a.py", EntryType::Regular, b"a = 1"),
            tar_member("/b.py", EntryType::Regular, b"b = 1"),
            tar_member("c.py", EntryType::Symlink, b""),
            // A hard link tells the size of its target, and has no data.
            tar_header("d.py", EntryType::Link, 700),
            tar_member("e.py", EntryType::Fifo, b""),
            tar_member("f.py", EntryType::Regular, b"f = 1"),
            vec![0; 1024],
        ];
        let laid = lay("a.tar", &data.concat());
        let expected = [
            (0, "../../etc/a.py", Fault::UnsafePath),
            (1, "/b.py", Fault::UnsafePath),
            (2, "c.py", Fault::Link),
            (3, "d.py", Fault::Link),
            (4, "e.py", Fault::Unreadable),
        ];
        assert_eq!(laid.faults(), expected.map(|(at, path, fault)| (at, path.to_owned(), fault)));
        assert!(matches!(laid.entries().last(), Some(Entry::Document(d)) if d.path == "f.py"));
    }

    #[test]
    fn a_large_member_is_passed_over() {
        let mut laid = lay("a.tar", &tar(&[("a.py", &[b'a'; 2000]), ("b.py", b"b = 1")]));
        laid.source.max_file_bytes = 1999;
        assert_eq!(laid.faults(), [(0, "a.py".to_owned(), Fault::TooLarge)]);
        assert_eq!(laid.entries().len(), 2);
    }

    #[test]
    fn a_truncated_archive_gives_what_it_holds_and_tells_how_much() {
        let plain = tar(&[("a.py", b"a = 1"), ("b.py", b"b = 1"), ("c.py", &[b'c'; 900])]);
        for cut in [plain.len() - 1024 - 512, plain.len() - 1024] {
            let laid = lay("a.tar", &plain[..cut]);
            let whole = cut == plain.len() - 1024;
            let position = if whole { 3 } else { 2 };
            assert_eq!(laid.faults(), [(position, "a.tar".to_owned(), Fault::Corrupt)]);
            assert_eq!(laid.entries().len() as u64, position + 1);
            assert!(laid.last_message().starts_with(&format!("after {position} entries")));
        }
    }

    #[test]
    fn damage_in_a_compressed_stream_ends_the_shard_with_one_rejection() {
        let plain = tar(&[("a.py", b"a = 1"), ("b.py", b"b = 1")]);
        let mut flipped = gzip(&plain);
        let checksum = flipped.len() - 6;
        flipped[checksum] ^= 1;
        let cut = gzip(&plain);
        for data in [&flipped[..], &cut[..cut.len() - 12], b"<html>not found</html>", b""] {
            let faults = lay("a.tar.gz", data).faults();
            assert!(matches!(&faults[..], [(_, path, Fault::Corrupt)] if path == "a.tar.gz"), "{faults:?}");
        }
        assert_eq!(lay("a.tar.zst", &zstd(&plain)[..20]).faults()[0].2, Fault::Corrupt);
    }

    #[test]
    fn archives_put_one_after_another_are_read_as_one() {
        let data = [tar(&[("a.py", b"a = 1")]), tar(&[("b.py", b"b = 1")])].concat();
        assert_eq!(lay("a.tar", &data).paths().len(), 2);
    }

    #[test]
    fn a_header_that_declares_an_absurd_size_is_damage_not_memory() {
        let mut laid = lay("a.tar", &tar_header("a.py", EntryType::Regular, u64::MAX / 2));
        assert_eq!(laid.faults(), [(0, "a.tar".to_owned(), Fault::Corrupt)]);
        laid = lay("a.tar", &tar_header("x", EntryType::XHeader, 1 << 40));
        assert!(laid.last_message().contains("extended header"));
    }

    #[test]
    fn malformed_pax_records_are_damage() {
        for record in ["5 a=b\n", "999 a=b\n", "x", "6 path\n", "9 size=z\n", "0 =\n"] {
            let data = [
                tar_member("pax", EntryType::XHeader, record.as_bytes()),
                tar_member("a.py", EntryType::Regular, b"a = 1"),
            ];
            assert_eq!(lay("a.tar", &data.concat()).faults()[0].2, Fault::Corrupt, "{record:?}");
        }
    }
}

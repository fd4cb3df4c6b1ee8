//! Tar archives: a walk over the members, and the entries they make.
//!
//! The walk is our own: the `tar` crate's borrows its archive, so that it cannot be handed on as an iterator, and does
//! not tell an archive that was cut short from one that ends. Header fields are still read by that crate.

use std::io;

use tar::Header;

use super::reader::{broken, refused};
use super::select::{MemberKind, Selection, Verdict};
use super::stream::{self, Stream};
use super::{Entry, text};

const BLOCK_BYTES: usize = 512;
/// Most that a long name or a set of pax records may take.
const LARGEST_EXTENSION: u64 = 1 << 20;

/// A member's header, with what the extensions before it said.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) kind: MemberKind,
    /// Bytes of data that follow the header.
    pub(super) size: u64,
}

/// What headers before a member say of it.
#[derive(Default)]
struct Extension {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

/// Walks over the members of a tar stream. After each one, its data is either read or skipped.
pub(super) struct Walker {
    input: Stream,
    padding: u64,
    comment: Option<String>,
    zeros_seen: bool,
}

fn damaged(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

impl Walker {
    pub(super) fn new(input: Stream) -> Self {
        Self { input, padding: 0, comment: None, zeros_seen: false }
    }

    /// The comment in the archive's global header: git puts the commit there.
    pub(super) fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// The next member's header, or `None` after the end marker.
    pub(super) fn next_member(&mut self) -> io::Result<Option<Member>> {
        stream::skip(&mut self.input, std::mem::take(&mut self.padding))?;
        let mut extension = Extension::default();
        while let Some(header) = self.next_header()? {
            let size = header.entry_size()?;
            match header.entry_type().as_byte() {
                b'x' | b'X' => {
                    let records = self.extension(size)?;
                    extension.read_pax(&records)?;
                }
                b'g' => {
                    let records = self.extension(size)?;
                    let comment = pax_records(&records)?.into_iter().find(|(k, _)| *k == b"comment");
                    self.comment = comment.map(|(_, v)| String::from_utf8_lossy(v).into_owned());
                }
                b'L' => extension.name = Some(self.extension(size)?),
                b'K' => drop(self.extension(size)?),
                _ => return self.member(&header, extension).map(Some),
            }
        }
        Ok(None)
    }

    fn member(&mut self, header: &Header, extension: Extension) -> io::Result<Member> {
        let name = extension.name.unwrap_or_else(|| header.path_bytes().into_owned());
        let name = name.strip_suffix(b"\0").unwrap_or(&name);
        let name = String::from_utf8_lossy(name).into_owned();
        let kind = match header.entry_type().as_byte() {
            _ if extension.sparse => MemberKind::Other("a sparse file"),
            // Archives older than POSIX mark folders by their name alone.
            0 | b'0' | b'7' if name.ends_with('/') => MemberKind::Folder,
            0 | b'0' | b'7' => MemberKind::File,
            b'1' | b'2' => MemberKind::Link,
            b'3' | b'4' => MemberKind::Other("a device"),
            b'5' => MemberKind::Folder,
            b'6' => MemberKind::Other("a named pipe"),
            b'S' => {
                self.pass_sparse_map(header)?;
                MemberKind::Other("a sparse file")
            }
            _ => MemberKind::Other("a member of unknown type"),
        };
        let size = match header.entry_type().as_byte() {
            // Hard links may tell the size of what they link to; no data follows.
            b'1' => 0,
            _ => extension.size.map_or_else(|| header.entry_size(), Ok)?,
        };
        self.padding = padding(size);
        Ok(Member { name, kind, size })
    }

    /// The data of the member whose header came last; the caller has checked its size.
    pub(super) fn read(&mut self, member: &Member) -> io::Result<Vec<u8>> {
        stream::take(&mut self.input, member.size)
    }

    /// Passes over the data of the member whose header came last.
    pub(super) fn skip(&mut self, member: &Member) -> io::Result<()> {
        stream::skip(&mut self.input, member.size)
    }

    /// The next header block, or `None` at the end of the archive.
    fn next_header(&mut self) -> io::Result<Option<Header>> {
        loop {
            if self.input.fill_buf()?.is_empty() {
                let error = "the archive ends without its end marker";
                return if self.zeros_seen { Ok(None) } else { Err(damaged(error)) };
            }
            let mut header = Header::new_old();
            self.input.read_exact(header.as_mut_bytes())?;
            if header.as_bytes().iter().all(|byte| *byte == 0) {
                self.zeros_seen = true;
                continue;
            }
            if header.cksum().is_ok_and(|sum| sum == checksum(&header)) {
                // Archives that were put one after another have an end marker in the middle.
                self.zeros_seen = false;
                return Ok(Some(header));
            }
            if !self.zeros_seen {
                return Err(damaged("a header's checksum is wrong"));
            }
            // Padding. Reading on checks the checksum of the compressed stream.
            io::copy(&mut self.input, &mut io::sink())?;
            return Ok(None);
        }
    }

    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > LARGEST_EXTENSION {
            return Err(damaged(format!("an extended header of {size} bytes")));
        }
        let data = stream::take(&mut self.input, size)?;
        stream::skip(&mut self.input, padding(size))?;
        Ok(data)
    }

    /// Old GNU sparse files may have blocks of offsets between header and data.
    fn pass_sparse_map(&mut self, header: &Header) -> io::Result<()> {
        let mut more = header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
        while more {
            let mut block = tar::GnuExtSparseHeader::new();
            self.input.read_exact(block.as_mut_bytes())?;
            more = block.is_extended();
        }
        Ok(())
    }
}

impl Extension {
    fn read_pax(&mut self, records: &[u8]) -> io::Result<()> {
        for (key, value) in pax_records(records)? {
            match key {
                b"path" => self.name = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|size| size.parse().ok());
                    self.size = Some(size.ok_or_else(|| damaged("a pax size is not a number"))?);
                }
                key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Bytes from the end of `size` bytes of data to the next block.
fn padding(size: u64) -> u64 {
    (BLOCK_BYTES as u64 - size % BLOCK_BYTES as u64) % BLOCK_BYTES as u64
}

/// Sum of the header's bytes, those of the checksum itself taken as blanks.
fn checksum(header: &Header) -> u32 {
    let bytes = header.as_bytes().iter().enumerate();
    bytes.map(|(at, byte)| u32::from(if (148..156).contains(&at) { b' ' } else { *byte })).sum()
}

type PaxRecord<'a> = (&'a [u8], &'a [u8]);

/// Records of the form `LENGTH KEY=VALUE\n`, where the length counts the whole record.
fn pax_records(mut data: &[u8]) -> io::Result<Vec<PaxRecord<'_>>> {
    let mut records = Vec::new();
    while !data.is_empty() && data[0] != 0 {
        let record = (|| {
            let space = data.iter().take(20).position(|byte| *byte == b' ')?;
            let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
            let body = data.get(space + 1..length)?.strip_suffix(b"\n")?;
            let equals = body.iter().position(|byte| *byte == b'=')?;
            Some((length, (&body[..equals], &body[equals + 1..])))
        })();
        let (length, record) = record.ok_or_else(|| damaged("a pax record is malformed"))?;
        records.push(record);
        data = &data[length..];
    }
    Ok(records)
}

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

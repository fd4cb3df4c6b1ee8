//! A walk over the members of a tar archive.
//!
//! The walk is our own: the `tar` crate's borrows its archive, so that it cannot be handed on as an iterator, and does
//! not tell an archive that was cut short from one that ends. Header fields are still read by that crate.

use std::io;

use tar::Header;

use super::select::MemberKind;
use super::stream::{self, Stream};

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

//! Archives for tests, built in memory and laid in a folder of their own.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Cursor, Write};

use super::{Entry, Fault, Shard, Source, SourceKind, shards};

/// A tar header of `kind` with its checksum; the name is taken as it is, however unsafe.
pub(super) fn tar_header(name: &str, kind: tar::EntryType, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// A tar member: header, data, padding.
pub(super) fn tar_member(name: &str, kind: tar::EntryType, data: &[u8]) -> Vec<u8> {
    let mut member = tar_header(name, kind, data.len() as u64);
    member.extend_from_slice(data);
    member.resize(member.len().next_multiple_of(512), 0);
    member
}

/// A tar archive of files, with its end marker.
pub(super) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let members = files.iter().map(|(name, data)| tar_member(name, tar::EntryType::Regular, data));
    let mut archive: Vec<u8> = members.flatten().collect();
    archive.resize(archive.len() + 1024, 0);
    archive
}

pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 1).unwrap()
}

/// A deflated zip archive of files.
pub(super) fn zip(files: &[(&str, &[u8])], comment: &str) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(data).unwrap();
    }
    writer.set_comment(comment).unwrap();
    writer.finish().unwrap().into_inner()
}

/// A shard in a folder that goes away with it.
pub(super) struct Laid {
    pub(super) folder: tempfile::TempDir,
    pub(super) source: Source,
    pub(super) shard: Shard,
}

/// Lays `data` down as the file `name`.
pub(super) fn lay(name: &str, data: &[u8]) -> Laid {
    let kind = if name.contains(".jsonl") { SourceKind::Jsonl } else { SourceKind::Archive };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), data).unwrap();
    let source = Source::new(kind, name);
    let shard = shards(&source, folder.path()).unwrap().swap_remove(0);
    Laid { folder, source, shard }
}

impl Laid {
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.entries_from(0)
    }

    pub(super) fn entries_from(&self, from: u64) -> Vec<Entry> {
        let survey = self.shard.survey(&self.source);
        self.shard.read(&self.source, &survey, from).unwrap().collect()
    }

    /// Positions and paths of the documents, all of which must have been readable.
    pub(super) fn paths(&self) -> Vec<(u64, String)> {
        let path = |entry| match entry {
            Entry::Document(document) => (document.entry, document.path),
            Entry::Rejected(rejected) => panic!("{rejected:?}"),
        };
        self.entries().into_iter().map(path).collect()
    }

    /// Positions, paths and faults of what was rejected.
    pub(super) fn faults(&self) -> Vec<(u64, String, Fault)> {
        let entries = self.entries().into_iter().filter_map(|entry| match entry {
            Entry::Rejected(rejected) => Some((rejected.entry, rejected.path, rejected.fault)),
            Entry::Document(_) => None,
        });
        entries.collect()
    }

    /// The message of the last entry, which must be a rejection.
    pub(super) fn last_message(&self) -> String {
        match self.entries().pop() {
            Some(Entry::Rejected(rejected)) => rejected.message,
            other => panic!("{other:?}"),
        }
    }
}

//! A shard being read: the iterator that callers hold, whatever the format.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::folder::FolderEntries;
use super::jsonl::JsonlEntries;
use super::select::Selection;
use super::stream::{self, BombGuard, fault_of};
use super::tarball::TarEntries;
use super::text::Flaw;
use super::zipped::{self, ZipEntries};
use super::{CorpusError, Entry, Fault, Format, Rejected, Shard, Source, Survey};

/// The entries of a shard, in their order. It is [`Send`], and blocks on file reads.
pub struct Entries {
    inner: Box<dyn Iterator<Item = Entry> + Send>,
    consumed: Arc<AtomicU64>,
}

impl Entries {
    /// Bytes of the shard that were gone through so far, compressed as they lie on disk; compare with [`Shard::bytes`].
    pub fn bytes_read(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    /// The counter behind [`Entries::bytes_read`], for whoever draws progress on another thread.
    pub fn bytes_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.consumed)
    }
}

impl Iterator for Entries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        self.inner.next()
    }
}

impl Shard {
    /// Streams the shard's entries from position `from_entry` on.
    ///
    /// Positions count every file, archive member or line, chosen or not; the cursor after an entry is its position
    /// plus one. `survey` is this shard's ([`Shard::survey`]). What lies before `from_entry` is passed over, not decoded;
    /// a compressed archive must still be decompressed up to there.
    ///
    /// # Errors
    /// When a pattern of the source is none. A shard that cannot be opened yields one [`Entry::Rejected`].
    pub fn read(&self, source: &Source, survey: &Survey, from_entry: u64) -> Result<Entries, CorpusError> {
        self.read_guarded(source, survey, from_entry, BombGuard::DEFAULT)
    }

    pub(super) fn read_guarded(
        &self,
        source: &Source,
        survey: &Survey,
        from: u64,
        guard: BombGuard,
    ) -> Result<Entries, CorpusError> {
        let selection = Selection::new(source, survey.root.as_deref())?;
        let consumed = Arc::new(AtomicU64::new(0));
        let opened = self.open(source, survey, from, guard, selection, &consumed);
        let inner = opened.unwrap_or_else(|flaw| {
            let rejected = refused(0, self.name.clone(), flaw.fault, flaw.message);
            Box::new((from == 0).then_some(rejected).into_iter())
        });
        Ok(Entries { inner, consumed })
    }

    fn open(
        &self,
        source: &Source,
        survey: &Survey,
        from: u64,
        guard: BombGuard,
        selection: Selection,
        consumed: &Arc<AtomicU64>,
    ) -> Result<Box<dyn Iterator<Item = Entry> + Send>, Flaw> {
        let name = self.name.clone();
        let stream =
            |compression| stream::open(&self.path, compression, guard, consumed).map_err(|error| unopened(&error));
        Ok(match self.format {
            Format::Folder => {
                let consumed = Arc::clone(consumed);
                Box::new(FolderEntries::new(self.path.clone(), selection, from, consumed))
            }
            Format::Tar(compression) => Box::new(TarEntries::new(stream(compression)?, selection, name, from)),
            Format::Jsonl(compression) => {
                let (input, fallback) = (stream(compression)?, survey.provenance.clone());
                Box::new(JsonlEntries::new(input, selection, source, fallback, name, from))
            }
            Format::Zip | Format::Wheel => {
                let archive = zipped::open(&self.path).map_err(|error| match error {
                    zip::result::ZipError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                        unopened(&error)
                    }
                    error => Flaw::new(Fault::Corrupt, format!("{error}: fetch it again")),
                })?;
                let consumed = Arc::clone(consumed);
                let entries = ZipEntries::new(archive, selection, from, consumed, guard, self.bytes);
                Box::new(entries?)
            }
        })
    }
}

fn unopened(error: &io::Error) -> Flaw {
    Flaw::new(Fault::Unreadable, format!("cannot open: {error}"))
}

/// An entry that was passed over.
pub(super) fn refused(entry: u64, path: String, fault: Fault, message: String) -> Entry {
    Entry::Rejected(Rejected { entry, path, fault, message })
}

/// The last entry of a stream that ends in `error` after `position` entries.
pub(super) fn broken(position: u64, shard: &str, error: &io::Error) -> Entry {
    let fault = fault_of(error);
    let advice = match fault {
        Fault::Bomb => "what follows is not read",
        _ => "what follows is lost, fetch it again",
    };
    let message = format!("after {position} entries: {error}; {advice}");
    refused(position, shard.to_owned(), fault, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::corpus::fixture::{Laid, gzip, lay, tar, zip, zstd};
    use crate::corpus::{SourceKind, shards};
    use proptest::prelude::*;

    const FILES: [(&str, &[u8]); 6] = [
        ("p/a.py", b"a = 1"),
        ("p/b.txt", b"b"),
        ("p/empty.py", b""),
        ("p/c.py", b"c = 1"),
        ("p/nul.py", b"\0"),
        ("p/d.py", b"d = 1"),
    ];

    /// The same kind of content in every format, the streams also cut short.
    fn samples() -> Vec<Laid> {
        let plain = tar(&FILES);
        let rows: Vec<_> = FILES
            .iter()
            .map(|(path, text)| {
                let text = String::from_utf8_lossy(text);
                serde_json::json!({"content": text, "max_stars_repo_path": path}).to_string()
            })
            .collect();
        let rows = rows.join("\n");
        let cut = |mut data: Vec<u8>, bytes| {
            data.truncate(data.len() - bytes);
            data
        };
        let mut samples = vec![
            lay("x.tar", &plain),
            lay("x.tar", &cut(plain.clone(), 1024 + 700)),
            lay("x.tar.gz", &cut(gzip(&plain), 30)),
            lay("x.tar.zst", &zstd(&plain)),
            lay("x.zip", &zip(&FILES, "")),
            lay("x.zip", b"none"),
            lay("x.jsonl", rows.as_bytes()),
            lay("x.jsonl.gz", &cut(gzip(rows.as_bytes()), 9)),
        ];
        let mut unpacked = lay("x.zip", b"");
        for (path, data) in FILES {
            let path = unpacked.folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, data).unwrap();
        }
        unpacked.source = Source::new(SourceKind::Dir, "p");
        unpacked.shard = shards(&unpacked.source, unpacked.folder.path()).unwrap().swap_remove(0);
        samples.push(unpacked);
        samples
    }

    #[test]
    fn reading_from_a_cursor_gives_exactly_the_rest() {
        for laid in samples() {
            let whole = laid.entries();
            assert!(!whole.is_empty());
            for from in 0..=8 {
                let rest: Vec<_> = whole.iter().filter(|e| e.position() >= from).cloned().collect();
                assert_eq!(laid.entries_from(from), rest, "{} from {from}", laid.shard.name);
            }
        }
    }

    #[test]
    fn positions_grow_and_every_chosen_file_is_told_of() {
        for laid in samples() {
            let positions: Vec<_> = laid.entries().iter().map(Entry::position).collect();
            assert!(positions.is_sorted_by(|a, b| a < b), "{}: {positions:?}", laid.shard.name);
        }
        assert_eq!(samples().iter().map(|laid| laid.entries().len()).max(), Some(5));
    }

    #[test]
    fn the_counter_reaches_the_size_of_the_shard() {
        for laid in samples() {
            let survey = laid.shard.survey(&laid.source);
            let mut entries = laid.shard.read(&laid.source, &survey, 0).unwrap();
            entries.by_ref().for_each(drop);
            let zip = laid.shard.format == Format::Zip;
            let (read, bytes) = (entries.bytes_read(), laid.shard.bytes);
            assert!(if zip { read <= bytes } else { read == bytes }, "{}: {read} of {bytes}", laid.shard.name);
        }
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_one_rejection() {
        for name in ["x.tar", "x.jsonl.gz", "x.zip"] {
            let laid = lay(name, b"data");
            std::fs::remove_file(&laid.shard.path).unwrap();
            assert_eq!(laid.faults(), [(0, name.to_owned(), Fault::Unreadable)]);
            assert_eq!(laid.entries_from(1), []);
        }
    }

    #[test]
    fn a_bomb_ends_its_shard_with_the_entries_before_it_read() {
        let zeros = vec![0; 8 << 20];
        let laid = lay("x.tar.gz", &gzip(&tar(&[("a.py", b"a = 1"), ("z.bin", &zeros), ("b.py", b"b = 1")])));
        let survey = laid.shard.survey(&laid.source);
        let guard = BombGuard { floor_bytes: 1 << 20, ratio: 200 };
        let entries: Vec<_> = laid.shard.read_guarded(&laid.source, &survey, 0, guard).unwrap().collect();
        assert!(matches!(&entries[0], Entry::Document(document) if document.path == "a.py"));
        assert!(matches!(&entries[1..], [Entry::Rejected(r)] if r.fault == Fault::Bomb && r.entry == 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn damage_anywhere_ends_in_entries_and_never_in_a_panic(
            which in 0..6_usize, at in any::<prop::sample::Index>(), byte: u8, cut: bool,
        ) {
            let plain = tar(&FILES);
            let (name, mut data) = match which {
                0 => ("x.tar", plain),
                1 => ("x.tar.gz", gzip(&plain)),
                2 => ("x.tar.zst", zstd(&plain)),
                3 => ("x.zip", zip(&FILES, "")),
                4 => ("x.jsonl.zst", zstd(b"{\"content\": \"a = 1\"}\n")),
                _ => ("x.jsonl", b"{\"content\": \"a = \xc3\xa9\"}\n[]\n{}".to_vec()),
            };
            let at = at.index(data.len());
            if cut { data.truncate(at) } else { data[at] = byte }
            let entries = lay(name, &data).entries();
            prop_assert!(entries.len() <= 8);
        }
    }
}

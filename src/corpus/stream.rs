//! Opening a compressed file as a bounded stream, with a count of what was consumed and a guard against bombs.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use thiserror::Error;

use super::{Compression, Fault};

const BUFFER_BYTES: usize = 128 << 10;

/// When a stream is taken for a bomb: more than `floor_bytes` came out, and more than `ratio` times what went in.
#[derive(Clone, Copy, Debug)]
pub(super) struct BombGuard {
    pub(super) floor_bytes: u64,
    pub(super) ratio: u64,
}

impl BombGuard {
    /// Source code shrinks to a fourth or a tenth; deflate reaches 1:1032 on zeros. A GiB may pass unasked.
    pub(super) const DEFAULT: Self = Self { floor_bytes: 1 << 30, ratio: 200 };

    pub(super) fn trips(self, bytes_in: u64, bytes_out: u64) -> bool {
        bytes_out > self.floor_bytes && bytes_out / self.ratio > bytes_in
    }
}

/// Marks the I/O error with which a bomb ends its stream.
#[derive(Debug, Error)]
#[error("{bytes_out} bytes came out of {bytes_in}: this looks like a decompression bomb")]
struct BombError {
    bytes_in: u64,
    bytes_out: u64,
}

/// The fault that `error`, met while reading a stream, stands for.
pub(super) fn fault_of(error: &io::Error) -> Fault {
    let bomb = error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<BombError>);
    if bomb { Fault::Bomb } else { Fault::Corrupt }
}

/// Counts the bytes read through it.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Ends in a [`BombError`] where the guard trips.
struct Guarded<R> {
    inner: R,
    consumed: Arc<AtomicU64>,
    produced: u64,
    guard: BombGuard,
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.produced += read as u64;
        let bytes_in = self.consumed.load(Ordering::Relaxed);
        if self.guard.trips(bytes_in, self.produced) {
            return Err(io::Error::other(BombError { bytes_in, bytes_out: self.produced }));
        }
        Ok(read)
    }
}

/// A decompressed stream.
pub(super) type Stream = Box<dyn BufRead + Send>;

/// Opens `path`; `consumed` counts the bytes taken from the file.
pub(super) fn open(
    path: &Path,
    compression: Compression,
    guard: BombGuard,
    consumed: &Arc<AtomicU64>,
) -> io::Result<Stream> {
    let file = Counted { inner: File::open(path)?, count: Arc::clone(consumed) };
    let file = BufReader::with_capacity(BUFFER_BYTES, file);
    let inner: Box<dyn Read + Send> = match compression {
        Compression::None => return Ok(Box::new(file)),
        Compression::Gzip => Box::new(MultiGzDecoder::new(file)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(file)?),
    };
    let guarded = Guarded { inner, consumed: Arc::clone(consumed), produced: 0, guard };
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, guarded)))
}

/// Passes over `bytes` bytes without copying them.
pub(super) fn skip(input: &mut dyn BufRead, mut bytes: u64) -> io::Result<()> {
    while bytes > 0 {
        let available = input.fill_buf()?.len();
        if available == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the data ends early"));
        }
        let step = bytes.min(available as u64);
        input.consume(step as usize);
        bytes -= step;
    }
    Ok(())
}

/// Reads exactly `bytes` bytes, which the caller has checked against its limit.
pub(super) fn take(input: &mut dyn BufRead, bytes: u64) -> io::Result<Vec<u8>> {
    let mut data = Vec::with_capacity(bytes as usize);
    input.take(bytes).read_to_end(&mut data)?;
    if (data.len() as u64) < bytes {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the data ends early"));
    }
    Ok(data)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn opened(data: &[u8], compression: Compression, guard: BombGuard) -> (Stream, Arc<AtomicU64>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), data).unwrap();
        let consumed = Arc::default();
        (open(file.path(), compression, guard, &consumed).unwrap(), consumed)
    }

    #[test]
    fn several_gzip_members_and_zstd_frames_are_read_as_one_stream() {
        let frame = |data: &[u8]| zstd::encode_all(data, 1).unwrap();
        let cases = [
            (Compression::Gzip, [gzip(b"one "), gzip(b"two")].concat()),
            (Compression::Zstd, [frame(b"one "), frame(b"two")].concat()),
        ];
        for (compression, data) in cases {
            let (mut stream, consumed) = opened(&data, compression, BombGuard::DEFAULT);
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert_eq!(text, "one two");
            assert_eq!(consumed.load(Ordering::Relaxed), data.len() as u64);
        }
    }

    #[test]
    fn a_stream_that_swells_without_measure_ends_as_a_bomb() {
        let guard = BombGuard { floor_bytes: 1 << 20, ratio: 200 };
        let (mut stream, _) = opened(&gzip(&vec![0; 4 << 20]), Compression::Gzip, guard);
        let error = io::copy(&mut stream, &mut io::sink()).unwrap_err();
        assert_eq!(fault_of(&error), Fault::Bomb);
        assert!(error.to_string().contains("decompression bomb"));
    }

    #[test]
    fn below_the_floor_any_ratio_passes() {
        let (mut stream, _) = opened(&gzip(&vec![0; 4 << 20]), Compression::Gzip, BombGuard::DEFAULT);
        assert_eq!(io::copy(&mut stream, &mut io::sink()).unwrap(), 4 << 20);
    }
}

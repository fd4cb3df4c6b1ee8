//! Rows of JSON lines files, plain or compressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::error::{DataError, DataResult, Place};
use super::pair::Row;

/// A line longer than this is damage, not data.
const LONGEST_LINE_BYTES: u64 = 256 << 20;

/// The rows of a file, one a line; blank lines are passed over.
pub(super) struct JsonlRows {
    input: Box<dyn BufRead + Send>,
    place: Place,
    line: Vec<u8>,
    ended: bool,
}

impl JsonlRows {
    /// Opens a file; its ending tells how it is compressed.
    pub(super) fn open(path: &Path) -> DataResult<Self> {
        let failed = |source| DataError::Read { path: path.to_owned(), source };
        let file = BufReader::with_capacity(128 << 10, File::open(path).map_err(failed)?);
        let input: Box<dyn BufRead + Send> = match path.extension().and_then(|ending| ending.to_str()) {
            Some("gz") => Box::new(BufReader::new(MultiGzDecoder::new(file))),
            Some("zst") => Box::new(BufReader::new(zstd::Decoder::with_buffer(file).map_err(failed)?)),
            _ => Box::new(file),
        };
        Ok(Self { input, place: Place { path: path.to_owned(), line: 0 }, line: Vec::new(), ended: false })
    }

    /// Reads the next line into the buffer; whether there was one.
    fn advance(&mut self) -> io::Result<bool> {
        self.line.clear();
        let read = (&mut self.input).take(LONGEST_LINE_BYTES).read_until(b'\n', &mut self.line)?;
        if read as u64 == LONGEST_LINE_BYTES {
            return Err(io::Error::other(format!("the line is longer than {} MiB", LONGEST_LINE_BYTES >> 20)));
        }
        Ok(read > 0)
    }

    fn wrong(&mut self, problem: String) -> DataError {
        self.ended = true;
        DataError::Row { place: self.place.clone(), problem }
    }
}

impl Iterator for JsonlRows {
    type Item = DataResult<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            self.place.line += 1;
            match self.advance() {
                Ok(false) => break,
                Ok(true) if self.line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(true) => {
                    return Some(match serde_json::from_slice(&self.line) {
                        Ok(fields) => Ok(Row { place: self.place.clone(), fields }),
                        Err(error) => Err(self.wrong(format!("not a JSON object: {}", told(&error)))),
                    });
                }
                Err(error) => return Some(Err(self.wrong(format!("{error}; the file may be damaged or cut short")))),
            }
        }
        None
    }
}

/// The message without serde's own line number, which is always 1 here.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let cut = text.rfind(" at line 1 column ").unwrap_or(text.len());
    format!("{} (column {})", &text[..cut], error.column())
}

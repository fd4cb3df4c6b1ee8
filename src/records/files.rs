//! Which files a path stands for, and the records of one.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::error::{Place, RecordError, RecordResult};
use super::json::Objects;
use super::parquet::ParquetRows;
use super::row::Row;

const TEXT: [&str; 4] = [".jsonl", ".json", ".ndjson", ".txt"];
const PACKED: [&str; 3] = ["", ".gz", ".zst"];
const ALLOWED: &str = ".jsonl, .json, .ndjson, .txt (each also with .gz or .zst), .parquet";

/// The rows of a file, one at a time. After an error there is nothing more.
pub type Rows = Box<dyn Iterator<Item = RecordResult<Row>> + Send>;

/// Whether a file's name tells a format that is read.
fn is_known(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let text = TEXT.iter().any(|ending| PACKED.iter().any(|packed| name.ends_with(&format!("{ending}{packed}"))));
    text || name.ends_with(".parquet")
}

/// The files that `path` stands for: itself, or all below a folder, by name. Text files (`.txt`) of a folder are passed
/// over: they are notes more often than data.
///
/// # Errors
/// When there is no such file, or none with an ending that is read.
pub fn files(path: &Path) -> RecordResult<Vec<PathBuf>> {
    let failed = |source| RecordError::Read { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return if is_known(path) {
            Ok(vec![path.to_owned()])
        } else {
            Err(RecordError::Ending { path: path.to_owned(), allowed: ALLOWED })
        };
    }
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(path).sort_by_file_name() {
        let entry = entry.map_err(|error| failed(error.into()))?;
        let is_text = entry.file_name().to_string_lossy().contains(".txt");
        if entry.file_type().is_file() && is_known(entry.path()) && !is_text {
            found.push(entry.into_path());
        }
    }
    if found.is_empty() { Err(RecordError::Empty { path: path.to_owned() }) } else { Ok(found) }
}

/// The rows of one file. `columns`, if there are any, are those that a Parquet file is read for; other files give all.
///
/// # Errors
/// When it cannot be opened.
pub fn rows(path: &Path, columns: Option<&[&str]>) -> RecordResult<Rows> {
    let failed = |source| RecordError::Read { path: path.to_owned(), source };
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let file = File::open(path).map_err(failed)?;
    let place = Place { path: path.to_owned(), line: 1 };
    if ending == "parquet" {
        return Ok(Box::new(ParquetRows::open(file, place, columns)?));
    }
    let file = BufReader::with_capacity(128 << 10, file);
    let input: Box<dyn Read + Send> = match ending.as_str() {
        "gz" => Box::new(MultiGzDecoder::new(file)),
        "zst" => Box::new(zstd::Decoder::with_buffer(file).map_err(failed)?),
        _ => Box::new(file),
    };
    Ok(Box::new(Objects::new(BufReader::with_capacity(128 << 10, input), place)))
}

//! Which files a path stands for, and their rows one after the other.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::{DataError, DataResult};
use super::pair::Pair;
use crate::records::{RecordError, Rows, rows};

/// The split of rows that tell none, neither by themselves nor by their file's name.
pub const UNTOLD: &str = "train";

const ENDINGS: [&str; 4] = [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"];
const ALLOWED: &str = ".jsonl, .jsonl.gz, .jsonl.zst, .parquet";
const PAIR_COLUMNS: [&str; 8] = ["id", "prompt", "chosen", "rejected", "margin", "repository", "subset", "split"];

/// The name of a data file without its ending; none for other files.
fn stem(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    ENDINGS.iter().find_map(|ending| name.strip_suffix(ending))
}

/// The split that a file's name tells: `test` for `test.jsonl` and for `test-00000-of-00002.parquet`.
pub fn split_of(path: &Path) -> Option<&str> {
    let first = stem(path)?.split(['-', '.', '_']).next()?;
    ["train", "test", "validation"].into_iter().find(|split| *split == first)
}

/// The data files that `path` stands for: itself, or those right inside the folder, by name.
///
/// # Errors
/// When there are none, one has another format, or a folder holds the same file in two formats.
pub fn files(path: &Path) -> DataResult<Vec<PathBuf>> {
    let failed = |source| RecordError::Read { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return match stem(path) {
            Some(_) => Ok(vec![path.to_owned()]),
            None => Err(RecordError::Ending { path: path.to_owned(), allowed: ALLOWED }.into()),
        };
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if stem(&file).is_some() && file.is_file() {
            found.push(file);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(DataError::EmptyFolder { path: path.to_owned() });
    }
    let mut by_stem = found.clone();
    by_stem.sort_by(|a, b| stem(a).cmp(&stem(b)));
    match by_stem.windows(2).find(|two| stem(&two[0]) == stem(&two[1])) {
        Some(two) => Err(DataError::Twice { first: two[0].clone(), second: two[1].clone() }),
        None => Ok(found),
    }
}

/// The pairs of a file or folder, read one at a time. After an error there is nothing more.
pub struct PairFiles {
    files: std::vec::IntoIter<PathBuf>,
    open: Option<(Option<String>, Rows)>,
    split: Option<String>,
    ordinal: i64,
}

/// Reads the pairs of a `.jsonl`, `.jsonl.gz`, `.jsonl.zst` or `.parquet` file, or of a folder of them such as an
/// export. With `split`, those of that split alone: a row's `split` decides, else its file's name (`test.jsonl`,
/// `test-00000-of-00002.parquet`), else it counts as [`UNTOLD`].
///
/// # Errors
/// When there is no such file, or no format that is read.
pub fn read_pairs(path: &Path, split: Option<&str>) -> DataResult<PairFiles> {
    Ok(PairFiles { files: files(path)?.into_iter(), open: None, split: split.map(str::to_owned), ordinal: 0 })
}

impl PairFiles {
    fn step(&mut self) -> DataResult<Option<Pair>> {
        loop {
            let Some((told, rows)) = &mut self.open else {
                let Some(file) = self.files.next() else { return Ok(None) };
                self.open = Some((split_of(&file).map(str::to_owned), rows(&file, Some(&PAIR_COLUMNS))?));
                continue;
            };
            let Some(row) = rows.next() else {
                self.open = None;
                continue;
            };
            let pair = Pair::of(&row?, self.ordinal, told.as_deref())?;
            self.ordinal += 1;
            let own = pair.split.as_deref().unwrap_or(UNTOLD);
            if self.split.as_deref().is_none_or(|wanted| wanted == own) {
                return Ok(Some(pair));
            }
        }
    }
}

impl Iterator for PairFiles {
    type Item = DataResult<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.step().transpose();
        if !matches!(next, Some(Ok(_))) {
            (self.open, self.files) = (None, Vec::new().into_iter());
        }
        next
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const TWO: &str = "{\"prompt\":\"p\",\"chosen\":\"c\",\"rejected\":\"r\",\"id\":7,\"margin\":0.5,\"extra\":[1]}\n\n\
                       {\"prompt\":\"q\",\"chosen\":\"d\",\"rejected\":\"s\",\"repository\":\"o/n\",\"split\":\"test\"}\n";

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, data) in files {
            fs::write(folder.path().join(name), data).unwrap();
        }
        folder
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn ids(path: &Path, split: Option<&str>) -> Vec<i64> {
        read_pairs(path, split).unwrap().map(|pair| pair.unwrap().id).collect()
    }

    #[test]
    fn the_same_rows_come_out_of_plain_and_compressed_files() {
        let zst = zstd::encode_all(TWO.as_bytes(), 1).unwrap();
        let folder =
            folder(&[("a.jsonl", TWO.as_bytes()), ("b.jsonl.gz", &gzip(TWO.as_bytes())), ("c.jsonl.zst", &zst)]);
        let read = |name: &str| -> Vec<Pair> {
            read_pairs(&folder.path().join(name), None).unwrap().map(Result::unwrap).collect()
        };
        let pairs = read("a.jsonl");
        assert_eq!((pairs[0].id, pairs[0].margin, pairs[0].split.as_deref()), (7, 0.5, None));
        assert_eq!((pairs[1].id, pairs[1].repository.as_str(), pairs[1].prompt.as_str()), (1, "o/n", "q"));
        assert_eq!(read("b.jsonl.gz"), pairs);
        assert_eq!(read("c.jsonl.zst"), pairs);
    }

    #[test]
    fn a_split_is_told_by_the_row_then_by_the_file_and_is_train_otherwise() {
        let row = |id: u8, split: &str| {
            format!("{{\"prompt\":\"p\",\"chosen\":\"c\",\"rejected\":\"r\",\"id\":{id}{split}}}\n")
        };
        let both = row(1, "") + &row(2, ",\"split\":\"test\"");
        let folder = folder(&[
            ("pairs.jsonl", both.as_bytes()),
            ("test-00000-of-00001.jsonl", row(3, "").as_bytes()),
            ("notes.txt", b"none"),
        ]);
        assert_eq!(ids(folder.path(), Some("train")), [1]);
        assert_eq!(ids(folder.path(), Some("test")), [2, 3]);
        assert_eq!(ids(folder.path(), None), [1, 2, 3]);
    }

    #[test]
    fn a_wrong_row_is_an_error_with_file_line_and_field() {
        let good = "{\"prompt\":\"p\",\"chosen\":\"c\",\"rejected\":\"r\"}\n";
        let cases = [
            ("{\"prompt\":\"p\",\"rejected\":\"r\"}", "x.jsonl:2: field `chosen` is missing"),
            ("{\"prompt\":\"p\",\"chosen\":[],\"rejected\":\"r\"}", "x.jsonl:2: field `chosen` is a list"),
            (
                "{\"prompt\":5,\"chosen\":\"c\",\"rejected\":\"r\"}",
                "x.jsonl:2: field `prompt` is a number, but must be a text",
            ),
            ("{\"prompt\":\"p\",\"chosen\":\"c\",\"rejected\":null}", "x.jsonl:2: field `rejected` is missing"),
            ("{\"prompt\":\"p\",\"chosen\":\"c\",\"rejected\":\"r\",\"margin\":\"1\"}", "field `margin` is a text"),
            ("[1]", "x.jsonl:2: not a JSON object"),
            ("{\"prompt\":", "x.jsonl:2: not a JSON object: EOF while parsing a value (column 10)"),
        ];
        for (row, expected) in cases {
            let folder = folder(&[("x.jsonl", format!("{good}{row}").as_bytes())]);
            let mut pairs = read_pairs(&folder.path().join("x.jsonl"), None).unwrap();
            assert!(pairs.next().unwrap().is_ok());
            let error = pairs.next().unwrap().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(pairs.next().is_none());
        }
    }

    #[test]
    fn a_file_cut_short_is_an_error_and_no_end() {
        let mut cut = gzip(TWO.repeat(100).as_bytes());
        cut.truncate(cut.len() - 12);
        let folder = folder(&[("x.jsonl.gz", &cut), ("y.parquet", b"PAR1 no")]);
        let last = read_pairs(&folder.path().join("x.jsonl.gz"), None).unwrap().last().unwrap();
        assert!(last.unwrap_err().to_string().contains("cut short"));
        let error = read_pairs(&folder.path().join("y.parquet"), None).unwrap().next().unwrap().unwrap_err();
        assert!(error.to_string().contains("is it a whole Parquet file?"), "{error}");
    }

    #[test]
    fn what_cannot_be_data_is_refused_by_its_name() {
        let folder = folder(&[("train.jsonl", b""), ("train.parquet", b""), ("x.csv", b"")]);
        let said = |path: &Path| read_pairs(path, None).err().unwrap().to_string();
        assert!(said(folder.path()).contains("the same pairs in two formats"), "{}", said(folder.path()));
        assert!(said(&folder.path().join("x.csv")).contains("x.csv is not one of .jsonl"));
        assert!(said(&folder.path().join("absent.jsonl")).contains("absent.jsonl"));
        assert!(said(tempfile::tempdir().unwrap().path()).contains("holds no .jsonl"));
    }
}

//! Real Python from the archives of a folder, with copies planted in it, as one JSONL file.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::Result;

/// Bytes of distinct files; copies come on top.
const BASE_BYTES: usize = 70_000_000;
const SEED: u64 = 1234;

/// The folder of archives: the first argument, else `CODEPMP_BENCH_ARCHIVES`, else the corpus of `make demo`.
pub fn folder() -> String {
    let given = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    given.or_else(|| std::env::var("CODEPMP_BENCH_ARCHIVES").ok()).unwrap_or_else(|| "corpus".to_owned())
}

/// Distinct files in an order that the seed decides; one in ten is there a second time, one in ten edited.
pub fn planted(folder: &str) -> Result<Vec<String>> {
    let mut base = read_folder(Path::new(folder)).map_err(|error| {
        format!("{folder}: {error}; name a folder of .whl or .zip files as argument or in CODEPMP_BENCH_ARCHIVES")
    })?;
    let mut random = Random(SEED);
    random.shuffle(&mut base);
    let mut room = BASE_BYTES;
    base.retain(|text| {
        let fits = text.len() <= room;
        room -= if fits { text.len() } else { 0 };
        fits
    });
    let tenth = base.len() / 10;
    let copies: Vec<String> = base[..tenth].to_vec();
    let edited: Vec<String> = base[tenth..2 * tenth].iter().map(|text| edit(text, &mut random)).collect();
    base.extend(copies);
    base.extend(edited);
    random.shuffle(&mut base);
    Ok(base)
}

/// The same text cut at empty lines into pieces of a few hundred bytes.
pub fn pieces(texts: &[String]) -> Vec<String> {
    let mut pieces = Vec::new();
    for text in texts {
        let mut piece = String::new();
        for line in text.split_inclusive('\n') {
            piece.push_str(line);
            if piece.len() > 400 && line.trim().is_empty() {
                pieces.push(std::mem::take(&mut piece));
            }
        }
        pieces.push(piece);
    }
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces
}

/// Writes texts as rows with The Stack's field names.
pub fn write_jsonl(texts: &[String], file: &Path) -> Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    for (at, text) in texts.iter().enumerate() {
        let row = serde_json::json!({
            "content": text,
            "max_stars_repo_name": format!("owner/repository{}", at % 200),
            "max_stars_repo_path": format!("package/module{at}.py"),
            "max_stars_repo_licenses": ["MIT"],
        });
        serde_json::to_writer(&mut out, &row)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// The texts of such a file.
pub fn read_jsonl(file: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for line in BufReader::new(File::open(file)?).lines() {
        let row: serde_json::Value = serde_json::from_str(&line?)?;
        texts.push(row["content"].as_str().ok_or("a row without content")?.to_owned());
    }
    Ok(texts)
}

/// Drops every sixtieth line and renames what `self` calls itself in the first quarter: a near copy.
fn edit(text: &str, random: &mut Random) -> String {
    let offset = random.below(60);
    let lines: Vec<&str> = text.split('\n').collect();
    let quarter = lines.len() / 4;
    let kept = lines.iter().enumerate().filter(|(at, _)| at % 60 != offset);
    let edited: Vec<String> = kept
        .map(|(at, line)| if at < quarter { line.replace("data", "payload") } else { (*line).to_owned() })
        .collect();
    edited.join("\n")
}

/// SplitMix64: small, and the same in every version.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(x ^ (x >> 31)) * bound as u128) >> 64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The distinct Python files of 200 bytes to 1 MB in the archives of a folder, in order of their names.
fn read_folder(folder: &Path) -> Result<Vec<String>> {
    let mut archives: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<_>>()?;
    archives.sort();
    let (mut seen, mut texts) = (HashSet::new(), Vec::new());
    for path in archives {
        if !path.extension().is_some_and(|end| end == "whl" || end == "zip") {
            continue;
        }
        let mut archive = zip::ZipArchive::new(File::open(&path)?)?;
        for at in 0..archive.len() {
            let mut entry = archive.by_index(at)?;
            if Path::new(&*entry.name()?).extension().is_none_or(|end| end != "py") {
                continue;
            }
            let mut text = String::new();
            if entry.read_to_string(&mut text).is_ok()
                && (200..=1_000_000).contains(&text.len())
                && seen.insert(text.clone())
            {
                texts.push(text);
            }
        }
    }
    if texts.is_empty() { Err("no Python in it".into()) } else { Ok(texts) }
}

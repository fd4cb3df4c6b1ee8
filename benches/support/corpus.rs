//! Real Python from the archives of a folder, with copies planted in it, as one JSONL file.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use super::Result;
use super::archives::{Random, read_folder};

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
        format!(
            "{folder}: {error}; name a folder of .whl, .zip or .tar.gz files as argument or in CODEPMP_BENCH_ARCHIVES"
        )
    })?;
    if base.is_empty() {
        return Err(format!("{folder}: no Python in it").into());
    }
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

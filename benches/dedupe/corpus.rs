//! Makes the corpus: distinct files of real packages, with copies planted among them.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Bytes of distinct files, before copies.
const BASE_BYTES: usize = 84_000_000;

/// A planted copy: where the two ended up, and whether it was edited.
pub struct Planted {
    pub pair: [usize; 2],
    pub edited: bool,
}

pub struct Corpus {
    pub texts: Vec<String>,
    pub planted: Vec<Planted>,
}

impl Corpus {
    pub fn plant(mut base: Vec<String>, seed: u64) -> Self {
        let mut random = Random(seed);
        random.shuffle(&mut base);
        let mut room = BASE_BYTES;
        base.retain(|text| {
            let fits = text.len() <= room;
            room -= if fits { text.len() } else { 0 };
            fits
        });
        let originals = base.len();
        let mut chosen: Vec<usize> = (0..originals).collect();
        random.shuffle(&mut chosen);
        let tenth = originals / 10;
        let mut texts = base;
        let mut sources = Vec::new();
        for (nth, &source) in chosen[..2 * tenth].iter().enumerate() {
            let edited = nth >= tenth;
            let copy = if edited { edit(&texts[source], &mut random) } else { texts[source].clone() };
            texts.push(copy);
            sources.push((source, edited));
        }
        // Where each text goes, then the texts in that order.
        let mut order: Vec<usize> = (0..texts.len()).collect();
        random.shuffle(&mut order);
        let mut place = vec![0; texts.len()];
        for (new, &old) in order.iter().enumerate() {
            place[old] = new;
        }
        let planted = sources.iter().enumerate().map(|(nth, &(source, edited))| {
            let mut pair = [place[source], place[originals + nth]];
            pair.sort_unstable();
            Planted { pair, edited }
        });
        let planted = planted.collect();
        let texts = order.iter().map(|&old| std::mem::take(&mut texts[old])).collect();
        Self { texts, planted }
    }

    pub fn bytes(&self) -> usize {
        self.texts.iter().map(String::len).sum()
    }

    pub fn describe(&self, out: &mut impl Write) -> std::io::Result<()> {
        let exact = self.planted.iter().filter(|planted| !planted.edited).count();
        writeln!(
            out,
            "corpus      {} documents, {:.1} MB, {exact} exact copies, {} edited copies",
            self.texts.len(),
            self.bytes() as f64 / 1e6,
            self.planted.len() - exact
        )
    }
}

/// Renames one identifier that occurs 2 to 12 times and deletes one line in sixty, 1 to 20 of them.
fn edit(text: &str, random: &mut Random) -> String {
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for word in split_words(text).filter(|word| renamable(word)) {
        *uses.entry(word).or_default() += 1;
    }
    let fit: Vec<&str> = uses.iter().filter(|(_, uses)| (2..=12).contains(*uses)).map(|(word, _)| *word).collect();
    let fit = if fit.is_empty() { uses.into_keys().collect() } else { fit };
    let mut renamed = text.to_owned();
    if !fit.is_empty() {
        let from = fit[random.below(fit.len())];
        renamed.clear();
        let mut rest = 0;
        for word in split_words(text).filter(|word| *word == from) {
            let end = word.as_ptr() as usize - text.as_ptr() as usize + word.len();
            renamed.push_str(&text[rest..end]);
            renamed.push_str("_x");
            rest = end;
        }
        renamed.push_str(&text[rest..]);
    }
    let mut lines: Vec<&str> = renamed.split('\n').collect();
    for _ in 0..(lines.len() / 60).clamp(1, 20).min(lines.len() - 1) {
        lines.remove(random.below(lines.len()));
    }
    lines.join("\n")
}

fn renamable(word: &str) -> bool {
    const KEYWORDS: [&str; 17] = [
        "self", "assert", "async", "await", "break", "class", "continue", "elif", "else", "except", "finally", "from",
        "global", "import", "lambda", "return", "while",
    ];
    const MORE: [&str; 5] = ["nonlocal", "pass", "raise", "with", "yield"];
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    word.len() >= 4
        && plain(word.as_bytes()[0])
        && word.bytes().all(|byte| plain(byte) || byte.is_ascii_digit())
        && !KEYWORDS.contains(&word)
        && !MORE.contains(&word)
}

pub fn split_words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
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

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The distinct Python files of 200 bytes to 1 MB in the archives of a folder, in order of their names.
pub fn read_folder(folder: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut archives: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    archives.sort();
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for archive in archives {
        let extension = archive.extension().and_then(|extension| extension.to_str());
        let start = files.len();
        if matches!(extension, Some("whl" | "zip")) {
            let mut members = zip::ZipArchive::new(std::fs::File::open(&archive)?)?;
            for at in 0..members.len() {
                let mut entry = members.by_index(at)?;
                take(entry.name()?.into_owned(), &mut entry, &mut files)?;
            }
        } else if extension == Some("gz") {
            let file = flate2::read::GzDecoder::new(std::fs::File::open(&archive)?);
            for entry in tar::Archive::new(file).entries()? {
                let mut entry = entry?;
                take(entry.path()?.to_string_lossy().into_owned(), &mut entry, &mut files)?;
            }
        }
        files[start..].sort();
    }
    let mut seen = HashSet::new();
    let texts = files.into_iter().filter_map(|(_, bytes)| String::from_utf8(bytes).ok());
    Ok(texts.filter(|text| (200..=1_000_000).contains(&text.len()) && seen.insert(text.clone())).collect())
}

fn take(name: String, entry: &mut impl Read, files: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
    if Path::new(&name).extension().is_some_and(|extension| extension == "py") {
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.push((name, bytes));
    }
    Ok(())
}

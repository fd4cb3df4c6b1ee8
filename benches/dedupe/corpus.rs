//! Plants copies among distinct files of real packages.

use std::collections::BTreeMap;
use std::io::Write;

use super::archives::Random;

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

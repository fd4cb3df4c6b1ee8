//! Measures near-deduplication on real Python with planted duplicates: speed, recall, precision, memory.
//!
//! ```text
//! cargo bench --bench dedupe -- FOLDER      # or CODEPMP_BENCH_ARCHIVES=FOLDER cargo bench --bench dedupe
//! ```
//!
//! `FOLDER` holds `.whl`, `.zip` or `.tar.gz` files of Python packages. Their distinct `.py` files, shuffled with a
//! fixed seed, are taken up to 84 MB; one in ten is copied as it is, one in ten is copied and edited (one
//! identifier renamed, one line in sixty deleted), and all are shuffled again.
//!
//! The judge counts exact sets of 5-word shingles with code of its own, so that a fault in the library's does not
//! hide. A removed document counts as right where its exact Jaccard similarity to some document of its cluster is
//! at least the threshold.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use codepmp::dedupe::{ContentHash, Index, Settings, Sketch, Sketcher, Verdict};

const BASE_BYTES: usize = 84_000_000;
const SEED: u64 = 1234;
const THREADS: usize = 2;
const RUNS: usize = 5;
const BATCH: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"))
        .or_else(|| std::env::var("CODEPMP_BENCH_ARCHIVES").ok())
        .ok_or("give a folder of .whl, .zip or .tar.gz files: cargo bench --bench dedupe -- FOLDER")?;
    let corpus = Corpus::plant(read_folder(Path::new(&folder))?);
    let settings = Settings::default();
    let mut out = std::io::stdout().lock();
    corpus.describe(&mut out)?;
    measure_speed(&corpus, &settings, &mut out)?;
    let (verdicts, index) = run(&corpus, &settings, THREADS)?;
    let (alone, _) = run(&corpus, &settings, 1)?;
    assert!(verdicts == alone, "two threads and one disagree");
    Judge::new(&corpus, &settings).report(&verdicts, &mut out)?;
    let (kept, bytes) = (index.len(), index.memory_bytes());
    writeln!(out, "memory      {:.1} bytes a kept document ({kept} kept)", bytes as f64 / kept as f64)?;
    for count in [100_000, 1_000_000] {
        measure_scale(count, &settings, &mut out)?;
    }
    Ok(())
}

/// Speed of the whole, the median of some runs, and of its parts on one thread.
fn measure_speed(corpus: &Corpus, settings: &Settings, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let megabytes = corpus.bytes() as f64 / 1e6;
    for threads in [1, THREADS] {
        let mut seconds = Vec::new();
        for _ in 0..RUNS {
            let start = Instant::now();
            run(corpus, settings, threads)?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        let speeds = [RUNS - 1, RUNS / 2, 0].map(|run| format!("{:.0}", megabytes / seconds[run]));
        writeln!(out, "speed       {threads} threads: {} MB/s (least, median, most)", speeds.join(" "))?;
    }
    let sketcher = Sketcher::new(settings)?;
    let start = Instant::now();
    let hashes: Vec<ContentHash> = corpus.texts.iter().map(|text| ContentHash::of(text)).collect();
    let hashed = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let sketches: Vec<Sketch> = corpus.texts.iter().map(|text| sketcher.sketch(text)).collect();
    let sketched = start.elapsed().as_secs_f64();
    let mut index = Index::new(settings)?;
    let start = Instant::now();
    for (at, (hash, sketch)) in hashes.into_iter().zip(&sketches).enumerate() {
        index.offer(at as i64, hash, sketch);
    }
    let offered = start.elapsed().as_secs_f64();
    writeln!(
        out,
        "parts       one thread, MB/s: hash {:.0}, sketch {:.0}, index {:.0}",
        megabytes / hashed,
        megabytes / sketched,
        megabytes / offered
    )?;
    Ok(())
}

/// The index alone with many unlike documents of forty words each.
fn measure_scale(count: usize, settings: &Settings, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let sketcher = Sketcher::new(settings)?;
    let mut random = Random(SEED);
    let mut index = Index::new(settings)?;
    let mut seconds = 0.0;
    let mut most = 0.0_f64;
    for id in 0..count {
        let text: String = (0..40).map(|_| format!("w{:x} ", random.below(1 << 40))).collect();
        let (hash, sketch) = (ContentHash::of(&text), sketcher.sketch(&text));
        let start = Instant::now();
        index.offer(id as i64, hash, &sketch);
        let took = start.elapsed().as_secs_f64();
        seconds += took;
        most = most.max(took);
    }
    writeln!(
        out,
        "scale       {count} documents: {:.1} bytes each, {:.1} us an offer, {:.0} ms at most",
        index.memory_bytes() as f64 / index.len() as f64,
        seconds / count as f64 * 1e6,
        most * 1e3
    )?;
    Ok(())
}

/// Offers the corpus in order, sketching on some threads: each takes batches, and whoever finishes the batch that
/// is next in order feeds the index.
fn run(corpus: &Corpus, settings: &Settings, threads: usize) -> Result<(Vec<Verdict>, Index), Box<dyn Error>> {
    struct Order {
        index: Index,
        verdicts: Vec<Verdict>,
        waiting: BTreeMap<usize, Vec<(ContentHash, Sketch)>>,
    }
    let sketcher = Sketcher::new(settings)?;
    let next = AtomicUsize::new(0);
    let order = Mutex::new(Order {
        index: Index::new(settings)?,
        verdicts: Vec::with_capacity(corpus.texts.len()),
        waiting: BTreeMap::new(),
    });
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let start = next.fetch_add(BATCH, Ordering::Relaxed);
                    let Some(rest) = corpus.texts.get(start..).filter(|rest| !rest.is_empty()) else {
                        return;
                    };
                    let batch = rest.iter().take(BATCH).map(|text| (ContentHash::of(text), sketcher.sketch(text)));
                    let batch = batch.collect();
                    let mut order = order.lock().expect("no thread panics while it holds the index");
                    let Order { index, verdicts, waiting } = &mut *order;
                    waiting.insert(start, batch);
                    while let Some(batch) = waiting.remove(&verdicts.len()) {
                        for (hash, sketch) in batch {
                            verdicts.push(index.offer(verdicts.len() as i64, hash, &sketch));
                        }
                    }
                }
            });
        }
    });
    let order = order.into_inner().expect("no thread panics while it holds the index");
    Ok((order.verdicts, order.index))
}

/// A planted copy: where the two ended up, and whether it was edited.
struct Planted {
    pair: [usize; 2],
    edited: bool,
}

struct Corpus {
    texts: Vec<String>,
    planted: Vec<Planted>,
}

impl Corpus {
    fn plant(mut base: Vec<String>) -> Self {
        let mut random = Random(SEED);
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

    fn bytes(&self) -> usize {
        self.texts.iter().map(String::len).sum()
    }

    fn describe(&self, out: &mut impl Write) -> std::io::Result<()> {
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

fn split_words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// Compares verdicts with exact similarities.
struct Judge<'a> {
    corpus: &'a Corpus,
    ngram: usize,
    threshold: f64,
    sets: HashMap<usize, Vec<u64>>,
}

impl<'a> Judge<'a> {
    fn new(corpus: &'a Corpus, settings: &Settings) -> Self {
        Self { corpus, ngram: settings.ngram, threshold: settings.threshold, sets: HashMap::new() }
    }

    fn jaccard(&mut self, a: usize, b: usize) -> f64 {
        for at in [a, b] {
            let (text, ngram) = (&self.corpus.texts[at], self.ngram);
            self.sets.entry(at).or_insert_with(|| shingle_set(text, ngram));
        }
        let (a, b) = (&self.sets[&a], &self.sets[&b]);
        let shared = a.iter().filter(|shingle| b.binary_search(shingle).is_ok()).count();
        shared as f64 / (a.len() + b.len() - shared).max(1) as f64
    }

    fn report(&mut self, verdicts: &[Verdict], out: &mut impl Write) -> std::io::Result<()> {
        let cluster = |at: usize| match verdicts[at] {
            Verdict::Kept => at,
            Verdict::Exact { kept } | Verdict::Near { kept, .. } => kept as usize,
        };
        self.report_recall(verdicts, cluster, out)?;
        self.report_precision(verdicts, cluster, out)
    }

    fn report_recall(
        &mut self,
        verdicts: &[Verdict],
        cluster: impl Fn(usize) -> usize,
        out: &mut impl Write,
    ) -> std::io::Result<()> {
        let corpus = self.corpus;
        let mut similarities: Vec<(f64, bool, bool)> = Vec::new();
        let mut exact = Share::default();
        for Planted { pair: [first, second], edited } in &corpus.planted {
            let dropped = verdicts[*second] != Verdict::Kept;
            if *edited {
                let together = cluster(*first) == cluster(*second);
                similarities.push((self.jaccard(*first, *second), dropped, together));
            } else {
                exact.count(dropped);
            }
        }
        similarities.sort_by(|a, b| a.0.total_cmp(&b.0));
        let quantiles = [0, 5, 10, 25, 50, 75, 95].map(|percent| {
            let at = similarities.len() * percent / 100;
            format!("{percent}%: {:.3}", similarities[at].0)
        });
        writeln!(out, "exact J     of edited copies: {}", quantiles.join(", "))?;
        writeln!(out, "recall      exact copies {exact}")?;
        for (from, to) in [(0.6, 0.7), (0.7, 0.72), (0.72, 0.75), (0.75, 0.8), (0.8, 1.01), (self.threshold, 1.01)] {
            let (mut dropped, mut together) = (Share::default(), Share::default());
            for &(similarity, was_dropped, were_together) in &similarities {
                if (from..to).contains(&similarity) {
                    dropped.count(was_dropped);
                    together.count(were_together);
                }
            }
            writeln!(out, "recall      J {from:.2} to {to:.2}: dropped {dropped}, in one cluster {together}")?;
        }
        Ok(())
    }

    fn report_precision(
        &mut self,
        verdicts: &[Verdict],
        cluster: impl Fn(usize) -> usize,
        out: &mut impl Write,
    ) -> std::io::Result<()> {
        let mut clusters: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for at in 0..verdicts.len() {
            clusters.entry(cluster(at)).or_default().push(at);
        }
        let (mut any, mut kept_one, mut near) = (Share::default(), Share::default(), Share::default());
        let mut errors = Vec::new();
        for (at, verdict) in verdicts.iter().enumerate() {
            if *verdict == Verdict::Kept {
                continue;
            }
            let to_kept = self.jaccard(at, cluster(at));
            kept_one.count(to_kept >= self.threshold);
            let others = &clusters[&cluster(at)];
            let right = to_kept >= self.threshold
                || others.iter().any(|&other| other != at && self.jaccard(at, other) >= self.threshold);
            any.count(right);
            if let Verdict::Near { similarity, .. } = verdict {
                near.count(right);
                errors.push(f64::from(*similarity) - to_kept);
            }
        }
        let squares: f64 = errors.iter().map(|error| error * error).sum();
        let bias = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
        writeln!(out, "precision   {any} against the cluster, {kept_one} against the kept one, near ones alone {near}")?;
        writeln!(
            out,
            "estimate    bias {bias:+.4}, root mean square error {:.4}",
            (squares / errors.len().max(1) as f64).sqrt()
        )
    }
}

fn shingle_set(text: &str, ngram: usize) -> Vec<u64> {
    let words: Vec<&str> = split_words(text).collect();
    let hash = |window: &[&str]| {
        let mut hasher = DefaultHasher::new();
        window.hash(&mut hasher);
        hasher.finish()
    };
    let mut set: Vec<u64> = words.windows(ngram.min(words.len()).max(1)).map(hash).collect();
    set.sort_unstable();
    set.dedup();
    set
}

#[derive(Default)]
struct Share {
    hits: usize,
    all: usize,
}

impl Share {
    fn count(&mut self, hit: bool) {
        self.hits += usize::from(hit);
        self.all += 1;
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} = {:.4}", self.hits, self.all, self.hits as f64 / self.all.max(1) as f64)
    }
}

/// SplitMix64: small, and the same in every version.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (u128::from(x ^ (x >> 31)) * bound as u128 >> 64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The distinct Python files of 200 bytes to 1 MB in the archives of a folder, in order of their names.
fn read_folder(folder: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut archives: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    archives.sort();
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for archive in archives {
        let name = archive.to_string_lossy().into_owned();
        let start = files.len();
        if name.ends_with(".whl") || name.ends_with(".zip") {
            let mut archive = zip::ZipArchive::new(std::fs::File::open(&archive)?)?;
            for at in 0..archive.len() {
                let mut entry = archive.by_index(at)?;
                take(entry.name()?.into_owned(), &mut entry, &mut files)?;
            }
        } else if name.ends_with(".tar.gz") {
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

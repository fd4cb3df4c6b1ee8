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

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

#[path = "../support/archives.rs"]
mod archives;
mod corpus;
mod judge;

use codepmp::dedupe::{ContentHash, Index, Settings, Sketch, Sketcher, Verdict};

use archives::{Random, read_folder};
use corpus::Corpus;
use judge::{Judge, Quality};

const SEED: u64 = 1234;
/// Corpora that quality is counted over: one alone has too few pairs near the threshold to tell.
const PLANTINGS: u64 = 8;
const THREADS: usize = 2;
const RUNS: usize = 5;
const BATCH: usize = 32;
const OWN_WORDS: usize = 120;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"))
        .or_else(|| std::env::var("CODEPMP_BENCH_ARCHIVES").ok())
        .ok_or("give a folder of .whl, .zip or .tar.gz files: cargo bench --bench dedupe -- FOLDER")?;
    let base = read_folder(Path::new(&folder))?;
    let settings = Settings::default();
    let mut out = std::io::stdout().lock();
    let mut quality = Quality::default();
    for planting in 0..PLANTINGS {
        let corpus = Corpus::plant(base.clone(), SEED + planting);
        let (verdicts, index) = run(&corpus, &settings, THREADS)?;
        let (alone, _) = run(&corpus, &settings, 1)?;
        assert!(verdicts == alone, "two threads and one disagree");
        Judge::new(&corpus, &settings).judge(&verdicts, &mut quality);
        if planting == 0 {
            corpus.describe(&mut out)?;
            measure_speed(&corpus, &settings, &mut out)?;
            let (kept, bytes) = (index.len(), index.memory_bytes());
            writeln!(out, "memory      {:.1} bytes a kept document ({kept} kept)", bytes as f64 / kept as f64)?;
        }
    }
    quality.report(settings.threshold, &mut out)?;
    for (count, shared) in [(100_000, 0), (1_000_000, 0), (20_000, 300)] {
        measure_scale(count, shared, &settings, &mut out)?;
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
    let hash_seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let made: Vec<Sketch> = corpus.texts.iter().map(|text| sketcher.sketch(text)).collect();
    let sketch_seconds = start.elapsed().as_secs_f64();
    let mut index = Index::new(settings)?;
    let start = Instant::now();
    for (at, (hash, sketch)) in hashes.into_iter().zip(&made).enumerate() {
        index.offer(at as i64, hash, sketch);
    }
    let index_seconds = start.elapsed().as_secs_f64();
    writeln!(
        out,
        "parts       one thread, MB/s: hash {:.0}, sketch {:.0}, index {:.0}",
        megabytes / hash_seconds,
        megabytes / sketch_seconds,
        megabytes / index_seconds
    )?;
    Ok(())
}

/// The index alone, with many documents of 120 words of their own and some that all share: 300 make every
/// pair alike at 0.54, which is as costly as documents can be without being dropped.
fn measure_scale(count: usize, shared: usize, settings: &Settings, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let sketcher = Sketcher::new(settings)?;
    let mut random = Random(SEED);
    let mut index = Index::new(settings)?;
    let mut seconds = 0.0;
    let mut most = 0.0_f64;
    for id in 0..count {
        let words: Vec<String> = (0..OWN_WORDS).map(|_| random.below(1 << 40).to_string()).collect();
        let common: Vec<String> = (0..shared).map(|word| word.to_string()).collect();
        let text = [common, words].concat().join(" ");
        let (hash, sketch) = (ContentHash::of(&text), sketcher.sketch(&text));
        let start = Instant::now();
        index.offer(id as i64, hash, &sketch);
        let took = start.elapsed().as_secs_f64();
        seconds += took;
        most = most.max(took);
    }
    let kept = index.len();
    writeln!(
        out,
        "scale       {count} documents, {shared} words shared, {kept} kept: {:.1} bytes each, {:.1} us an offer, {:.0} ms at most",
        index.memory_bytes() as f64 / kept as f64,
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

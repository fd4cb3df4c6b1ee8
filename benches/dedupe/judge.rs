//! Compares verdicts with exact similarities, counted by code that shares nothing with the library's.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

use codepmp::dedupe::{Settings, Verdict};

use crate::corpus::{Corpus, Planted, split_words};

/// Compares verdicts with exact similarities.
pub struct Judge<'a> {
    corpus: &'a Corpus,
    ngram: usize,
    threshold: f64,
    sets: HashMap<usize, Vec<u64>>,
}

impl<'a> Judge<'a> {
    pub fn new(corpus: &'a Corpus, settings: &Settings) -> Self {
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

    pub fn judge(&mut self, verdicts: &[Verdict], quality: &mut Quality) {
        let cluster = |at: usize| match verdicts[at] {
            Verdict::Kept => at,
            Verdict::Exact { kept } | Verdict::Near { kept, .. } => kept as usize,
        };
        for Planted { pair: [first, second], edited } in &self.corpus.planted {
            let dropped = verdicts[*second] != Verdict::Kept;
            if *edited {
                quality.pairs.push(Pair {
                    jaccard: self.jaccard(*first, *second),
                    to_kept: self.jaccard(cluster(*first), *second),
                    dropped,
                });
            } else {
                quality.exact.count(dropped);
            }
        }
        let mut clusters: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for at in 0..verdicts.len() {
            clusters.entry(cluster(at)).or_default().push(at);
        }
        for (at, verdict) in verdicts.iter().enumerate().filter(|(_, verdict)| **verdict != Verdict::Kept) {
            let to_kept = self.jaccard(at, cluster(at));
            let others = &clusters[&cluster(at)];
            let right = to_kept >= self.threshold
                || others.iter().any(|&other| other != at && self.jaccard(at, other) >= self.threshold);
            quality.right.count(right);
            quality.right_by_kept.count(to_kept >= self.threshold);
            if let Verdict::Near { similarity, .. } = verdict {
                quality.right_near.count(right);
                quality.errors.push(f64::from(*similarity) - to_kept);
            }
        }
    }
}

/// An edited copy.
struct Pair {
    jaccard: f64,
    /// Exact similarity of the later one to the document that the earlier one stands for or was dropped for.
    to_kept: f64,
    /// Whether the later one was dropped.
    dropped: bool,
}

/// What the judge counted, over all plantings.
#[derive(Default)]
pub struct Quality {
    pairs: Vec<Pair>,
    exact: Share,
    right: Share,
    right_by_kept: Share,
    right_near: Share,
    errors: Vec<f64>,
}

impl Quality {
    pub fn report(&mut self, threshold: f64, out: &mut impl Write) -> std::io::Result<()> {
        self.pairs.sort_by(|a, b| a.jaccard.total_cmp(&b.jaccard));
        let quantiles = [0, 2, 5, 10, 25, 50, 75, 95].map(|percent| {
            let at = self.pairs.len() * percent / 100;
            format!("{percent}%: {:.3}", self.pairs[at].jaccard)
        });
        writeln!(out, "exact J     of edited copies: {}", quantiles.join(", "))?;
        writeln!(out, "recall      exact copies {}", self.exact)?;
        for (from, to) in [(0.6, 0.7), (0.7, 0.72), (0.72, 0.75), (0.75, 0.8), (0.8, 1.01), (threshold, 1.01)] {
            let (mut all, mut owed) = (Share::default(), Share::default());
            for pair in self.pairs.iter().filter(|pair| (from..to).contains(&pair.jaccard)) {
                all.count(pair.dropped);
                if pair.to_kept >= threshold.min(from) {
                    owed.count(pair.dropped);
                }
            }
            writeln!(out, "recall      J {from:.2} to {to:.2}: {all}; where the kept document is as near: {owed}")?;
        }
        writeln!(
            out,
            "precision   {} against the cluster, {} against the kept one, near ones alone {}",
            self.right, self.right_by_kept, self.right_near
        )?;
        let count = self.errors.len().max(1) as f64;
        let bias = self.errors.iter().sum::<f64>() / count;
        let squares: f64 = self.errors.iter().map(|error| error * error).sum();
        writeln!(out, "estimate    bias {bias:+.4}, root mean square error {:.4}", (squares / count).sqrt())
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

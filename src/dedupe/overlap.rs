//! Which texts of a reference set another text overlaps with: by a run of words in common, or as a whole.
//!
//! A run of 13 words in common is what GPT-3's authors called contamination (Brown et al. 2020, appendix C). Words are
//! compared in lower case, as there. A text of fewer words than a run is too short to tell anything and is left out, on
//! both sides.

use super::content::ContentHash;
use super::index::Index;
use super::settings::{Settings, SettingsError};
use super::shingles::shingles;
use super::sketcher::Sketcher;
use super::verdict::Verdict;
use super::words::{count_words, span_of_words};

/// How texts overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OverlapClass {
    /// They have a run of words in common.
    Ngram,
    /// They are near-duplicates as a whole.
    NearDuplicate,
}

/// One overlap of a text with the set.
#[derive(Clone, Debug, PartialEq)]
pub struct Overlap {
    /// Place of the reference text in the set.
    pub reference: usize,
    /// How they overlap.
    pub class: OverlapClass,
    /// Share of the reference's runs that the text has, or the estimated Jaccard similarity of both.
    pub similarity: f32,
    /// The first run in common, as bytes of the text; all of it for near-duplicates.
    pub span: std::ops::Range<usize>,
}

/// Texts that others are compared with.
pub struct References {
    ngram: usize,
    /// Runs and the text that each is in, sorted, each pair once.
    runs: Vec<(u64, u32)>,
    /// Different runs in each text; 0 for one that is too short.
    counts: Vec<u32>,
    sketcher: Sketcher,
    /// Without the texts that are near an earlier one.
    index: Index,
}

impl References {
    /// Takes up a set; runs are of `ngram` words, and `near` says from when whole texts are near-duplicates.
    ///
    /// # Errors
    /// The setting of `near` that is out of range.
    pub fn new<'t>(
        texts: impl IntoIterator<Item = &'t str>,
        ngram: usize,
        near: &Settings,
    ) -> Result<Self, SettingsError> {
        let (sketcher, mut index) = (Sketcher::new(near)?, Index::new(near)?);
        let (mut runs, mut counts) = (Vec::new(), Vec::new());
        for (at, text) in texts.into_iter().enumerate() {
            let text = text.to_lowercase();
            if count_words(&text) < ngram {
                counts.push(0);
                continue;
            }
            let mut own = shingles(&text, ngram);
            own.sort_unstable();
            own.dedup();
            counts.push(own.len() as u32);
            runs.extend(own.into_iter().map(|run| (run, at as u32)));
            index.offer(at as i64, ContentHash::of(&text), &sketcher.sketch(&text));
        }
        runs.sort_unstable();
        Ok(Self { ngram, runs, counts, sketcher, index })
    }

    /// How many texts are long enough to be compared.
    pub fn compared(&self) -> usize {
        self.counts.iter().filter(|count| **count > 0).count()
    }

    /// Whether the text at that place of the set is long enough to be compared.
    pub fn is_compared(&self, reference: usize) -> bool {
        self.counts[reference] > 0
    }

    /// All overlaps of `text`: those by runs in the order of the references, then the nearest near-duplicate.
    pub fn overlaps(&mut self, text: &str) -> Vec<Overlap> {
        let lower = text.to_lowercase();
        if self.compared() == 0 || count_words(&lower) < self.ngram {
            return Vec::new();
        }
        let mut seen =
            shingles(&lower, self.ngram).into_iter().enumerate().map(|(at, run)| (run, at)).collect::<Vec<_>>();
        seen.sort_unstable();
        seen.dedup_by_key(|(run, _)| *run);
        // Each reference with its runs in common, and the first of them.
        let mut common: std::collections::BTreeMap<u32, (u32, usize)> = std::collections::BTreeMap::new();
        for (run, at) in seen {
            let from = self.runs.partition_point(|(known, _)| *known < run);
            for (_, reference) in self.runs[from..].iter().take_while(|(known, _)| *known == run) {
                let entry = common.entry(*reference).or_insert((0, at));
                *entry = (entry.0 + 1, entry.1.min(at));
            }
        }
        let mut found: Vec<Overlap> = (common.into_iter())
            .map(|(reference, (shared, first))| Overlap {
                reference: reference as usize,
                class: OverlapClass::Ngram,
                similarity: shared as f32 / self.counts[reference as usize] as f32,
                span: span_of_words(text, first, self.ngram),
            })
            .collect();
        let near = match self.index.nearest(ContentHash::of(&lower), &self.sketcher.sketch(&lower)) {
            Verdict::Kept => None,
            Verdict::Exact { kept } => Some((kept, 1.0)),
            Verdict::Near { kept, similarity } => Some((kept, similarity)),
        };
        found.extend(near.map(|(reference, similarity)| Overlap {
            reference: reference as usize,
            class: OverlapClass::NearDuplicate,
            similarity,
            span: 0..text.len(),
        }));
        found
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn words(from: u32, count: u32) -> String {
        (from..from + count).map(|word| format!("Word{word}")).collect::<Vec<_>>().join(" ")
    }

    fn references(texts: &[&str]) -> References {
        References::new(texts.iter().copied(), 13, &Settings::default()).unwrap()
    }

    #[test]
    fn a_run_of_thirteen_words_in_common_is_found_and_one_of_twelve_is_not() {
        let mut set = references(&[&words(0, 40), &words(100, 40)]);
        let text = format!("def f(): # {}", words(110, 13));
        let found = set.overlaps(&text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].reference, found[0].class), (1, OverlapClass::Ngram));
        assert!((found[0].similarity - 1.0 / 28.0).abs() < 1e-6);
        assert_eq!(&text[found[0].span.clone()], words(110, 13));
        assert_eq!(set.overlaps(&words(110, 12)), []);
        assert_eq!(set.overlaps(&format!("{} else {}", words(110, 12), words(125, 12))), []);
    }

    #[test]
    fn case_and_punctuation_hide_no_run() {
        let mut set = references(&[&words(0, 20)]);
        let text = words(3, 13).to_uppercase().replace(' ', ",\n    ");
        assert_eq!(set.overlaps(&text).len(), 1);
    }

    #[test]
    fn a_text_that_differs_in_a_few_words_is_a_near_duplicate_even_without_a_run_of_thirteen() {
        let reference: Vec<String> = (0..240).map(|word| format!("w{word}")).collect();
        let mut changed = reference.clone();
        // One word in thirty: 40 of 236 shingles of five words are others, 0.71 of all remain.
        changed.iter_mut().step_by(30).for_each(|word| word.push('x'));
        let mut set = references(&[&reference.join(" ")]);
        let found = set.overlaps(&changed.join(" "));
        let near = found.iter().find(|overlap| overlap.class == OverlapClass::NearDuplicate).unwrap();
        assert!(near.similarity > 0.6 && near.similarity < 0.85, "{near:?}");
        assert_eq!(set.overlaps(&words(0, 240)), []);
    }

    #[test]
    fn texts_that_are_too_short_tell_nothing() {
        let mut set = references(&["return a + b", "yes"]);
        assert_eq!(set.compared(), 0);
        assert_eq!(set.overlaps("return a + b"), []);
        let mut set = references(&[&words(0, 13)]);
        assert_eq!(set.overlaps("yes"), []);
        assert_eq!(set.overlaps(""), []);
        let all = set.overlaps(&words(0, 13));
        assert_eq!(all.iter().map(|overlap| overlap.similarity).collect::<Vec<_>>(), [1.0, 1.0]);
    }

    #[test]
    fn looking_up_a_text_keeps_nothing_of_it() {
        let mut set = references(&[&words(0, 50)]);
        let other = words(500, 50);
        assert_eq!(set.overlaps(&other), []);
        assert_eq!(set.overlaps(&other), []);
    }
}

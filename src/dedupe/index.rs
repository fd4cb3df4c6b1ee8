//! The documents kept so far, and what becomes of the next one.

use std::ops::ControlFlow;

use super::banding::Banding;
use super::content::ContentHash;
use super::estimate::Estimate;
use super::records::Records;
use super::settings::{Settings, SettingsError};
use super::sketch::{Body, Sketch, SketchError, width};
use super::slots::Slots;
use super::verdict::Verdict;

/// The documents kept so far. At 256 permutations and the threshold 0.7 a kept document takes about 375 bytes:
/// 192 for its sketch, 24 for its id and hash, 4.4 to 5 for its place in the exact table and in each of 32 bands.
/// Besides, the first tables take 150 KB, and the list of candidates 256 KB at most.
#[derive(Clone, Debug)]
pub struct Index {
    settings: Settings,
    banding: Banding,
    estimate: Estimate,
    records: Records,
    exact: Slots,
    bands: Vec<Slots>,
    candidates: Vec<u32>,
}

/// Documents that one band lists at most, those kept first. Among thousands of look-alikes just below the threshold
/// every offer would otherwise be compared with nearly all of them.
const MOST_LISTED: usize = 1024;
/// Slots of a new table.
const FIRST: usize = 1024;

impl Index {
    /// An empty index, or the setting that is out of range.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        settings.validate()?;
        let banding = settings.banding();
        let estimate = Estimate::new(settings);
        let (bands, width) = if settings.exact_only { (0, 0) } else { (banding.bands, width(settings.permutations)) };
        Ok(Self {
            settings: settings.clone(),
            banding,
            estimate,
            records: Records::new(width),
            exact: Slots::with_capacity(FIRST),
            // Sizes spread over one step of growth, so that the bands never grow all at once.
            bands: (0..bands).map(|band| Slots::with_capacity(FIRST + FIRST / 8 * band / bands)).collect(),
            candidates: Vec::new(),
        })
    }

    /// Documents kept.
    pub fn len(&self) -> usize {
        self.records.len() as usize
    }

    /// Whether nothing was kept yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the index holds on the heap.
    pub fn memory_bytes(&self) -> usize {
        self.records.memory_bytes()
            + self.exact.memory_bytes()
            + self.bands.iter().map(Slots::memory_bytes).sum::<usize>()
            + self.bands.capacity() * size_of::<Slots>()
            + self.candidates.capacity() * size_of::<u32>()
    }

    /// Takes back a document that an earlier index kept. Inserted in the order in which they were kept, the same
    /// documents make an index that answers as the earlier one would have.
    pub fn insert_kept(&mut self, id: i64, hash: ContentHash, sketch: &Sketch) -> Result<(), SketchError> {
        let packed = self.packed(sketch)?;
        self.insert(id, hash, packed);
        Ok(())
    }

    /// Decides about the next document, and keeps it where it is unlike all others.
    ///
    /// # Panics
    ///
    /// Where the sketch was made by a [`super::Sketcher`] with other settings.
    pub fn offer(&mut self, id: i64, hash: ContentHash, sketch: &Sketch) -> Verdict {
        let verdict = self.nearest(hash, sketch);
        if verdict == Verdict::Kept {
            let packed = self.packed(sketch).unwrap_or_else(|error| panic!("{error}"));
            self.insert(id, hash, packed);
        }
        verdict
    }

    /// What [`Self::offer`] would decide, without keeping the document.
    ///
    /// # Panics
    ///
    /// As [`Self::offer`].
    pub fn nearest(&mut self, hash: ContentHash, sketch: &Sketch) -> Verdict {
        if let Some(number) = self.find_exact(hash) {
            return Verdict::Exact { kept: self.records.id(number) };
        }
        let packed = self.packed(sketch).unwrap_or_else(|error| panic!("{error}"));
        match packed.and_then(|packed| self.find_near(packed)) {
            Some((number, similarity)) => {
                Verdict::Near { kept: self.records.id(number), similarity: similarity as f32 }
            }
            None => Verdict::Kept,
        }
    }

    /// The registers to look up and to hold, where the document has any.
    fn packed<'a>(&self, sketch: &'a Sketch) -> Result<Option<&'a [u64]>, SketchError> {
        let Settings { ngram, permutations, exact_only, .. } = self.settings;
        if exact_only {
            return Ok(None);
        }
        let (found_ngram, found_permutations) = (sketch.ngram.into(), sketch.permutations.into());
        if (found_ngram, found_permutations) != (ngram, permutations) {
            return Err(SketchError::Settings { found_ngram, found_permutations, ngram, permutations });
        }
        match &sketch.body {
            Body::Absent => Err(SketchError::Absent),
            Body::Wordless => Ok(None),
            Body::Packed(packed) => Ok(Some(packed)),
        }
    }

    fn find_exact(&self, hash: ContentHash) -> Option<u32> {
        let mut found = None;
        self.exact.candidates(hash.bits(), |number| {
            if self.records.hash(number) != hash {
                return ControlFlow::Continue(());
            }
            found = Some(number);
            ControlFlow::Break(())
        });
        found
    }

    fn find_near(&mut self, packed: &[u64]) -> Option<(u32, f64)> {
        self.candidates.clear();
        for (band, slots) in self.bands.iter().enumerate() {
            let hash = self.banding.hash(band, packed);
            let mut listed = 0;
            slots.candidates(hash, |number| {
                // Tags let a few strangers through; who is compared must not depend on the size of a table.
                if self.banding.hash(band, self.records.sketch(number)) == hash {
                    self.candidates.push(number);
                    listed += 1;
                }
                if listed == MOST_LISTED {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
        }
        self.candidates.sort_unstable();
        self.candidates.dedup();
        let mut best: Option<(u32, f64)> = None;
        for &number in &self.candidates {
            let similarity = self.estimate.similarity(packed, self.records.sketch(number));
            if self.estimate.accepts(similarity) && best.is_none_or(|(_, highest)| similarity > highest) {
                best = Some((number, similarity));
            }
        }
        best
    }

    fn insert(&mut self, id: i64, hash: ContentHash, packed: Option<&[u64]>) {
        let number = self.records.len();
        if !self.exact.has_room(number) {
            let records = &self.records;
            self.exact.grow((0..number).map(|number| (records.hash(number).bits(), number)), number);
        }
        self.exact.insert(hash.bits(), number);
        if let Some(packed) = packed {
            for (band, slots) in self.bands.iter_mut().enumerate() {
                if !slots.has_room(number) {
                    let sketches = self.records.sketches();
                    slots.grow(sketches.map(|(number, packed)| (self.banding.hash(band, packed), number)), number);
                }
                slots.insert(self.banding.hash(band, packed), number);
            }
        }
        self.records.push(id, hash, packed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dedupe::mix::scatter as random;
    use crate::dedupe::sketcher::Sketcher;

    fn offer_all(settings: &Settings, texts: &[&str]) -> Vec<Verdict> {
        let sketcher = Sketcher::new(settings).unwrap();
        let mut index = Index::new(settings).unwrap();
        let offer = |(id, text): (usize, &&str)| index.offer(id as i64, ContentHash::of(text), &sketcher.sketch(text));
        texts.iter().enumerate().map(offer).collect()
    }

    /// Distinct words from `from` on.
    fn text(from: u64, count: u64) -> String {
        let words: Vec<String> = (from..from + count).map(|word| format!("w{word:x}")).collect();
        words.join(" ")
    }

    #[test]
    fn the_first_of_equal_documents_is_kept() {
        let verdicts = offer_all(&Settings::default(), &["a = 1\n", "b = 2\n", "a = 1\n", "a = 1\n"]);
        assert_eq!(verdicts[..2], [Verdict::Kept; 2]);
        assert_eq!(verdicts[2..], [Verdict::Exact { kept: 0 }; 2]);
    }

    #[test]
    fn a_document_that_differs_in_layout_alone_is_near() {
        let verdicts = offer_all(&Settings::default(), &["def f(x): return x", "def f( x ):\n    return x\n"]);
        assert_eq!(verdicts[1], Verdict::Near { kept: 0, similarity: 1.0 });
    }

    #[test]
    fn the_nearest_kept_document_is_named_with_an_estimate_of_the_similarity() {
        // Shingles shared with the last: 156 of 236, then 186 of 206 (0.903).
        let [far, near, last] = [text(40, 200), text(10, 200), text(0, 200)];
        let verdicts = offer_all(&Settings { threshold: 0.8, ..Settings::default() }, &[&far, &near, &last]);
        assert_eq!(verdicts[..2], [Verdict::Kept; 2]);
        let Verdict::Near { kept: 1, similarity } = verdicts[2] else { panic!("{:?}", verdicts[2]) };
        assert!((similarity - 0.903).abs() < 0.06, "{similarity}");
    }

    #[test]
    fn unlike_documents_are_kept() {
        let texts: Vec<String> = (0..50).map(|nth| text(nth * 150, 200)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert_eq!(offer_all(&Settings::default(), &texts), [Verdict::Kept; 50]);
    }

    #[test]
    fn documents_without_words_are_dropped_only_where_equal() {
        let verdicts = offer_all(&Settings::default(), &["# --\n", "# ---\n", "# --\n", ""]);
        assert_eq!(verdicts, [Verdict::Kept, Verdict::Kept, Verdict::Exact { kept: 0 }, Verdict::Kept]);
    }

    #[test]
    fn near_documents_are_kept_where_exact_ones_alone_are_looked_for() {
        let settings = Settings { exact_only: true, ..Settings::default() };
        let verdicts = offer_all(&settings, &["def f(x): pass", "def f(x):  pass", "def f(x): pass"]);
        assert_eq!(verdicts, [Verdict::Kept, Verdict::Kept, Verdict::Exact { kept: 0 }]);
    }

    #[test]
    fn a_sketch_made_with_other_settings_is_refused() {
        let settings = Settings::default();
        let mut index = Index::new(&settings).unwrap();
        let mut insert = |other: &Settings| {
            let sketch = Sketcher::new(other).unwrap().sketch("a b c");
            index.insert_kept(1, ContentHash::of("a b c"), &sketch)
        };
        assert!(matches!(
            insert(&Settings { permutations: 128, ..settings.clone() }),
            Err(SketchError::Settings { found_permutations: 128, permutations: 256, .. })
        ));
        assert!(matches!(
            insert(&Settings { ngram: 3, ..settings.clone() }),
            Err(SketchError::Settings { found_ngram: 3, ngram: 5, .. })
        ));
        assert_eq!(insert(&Settings { exact_only: true, ..settings.clone() }), Err(SketchError::Absent));
        assert_eq!(insert(&settings), Ok(()));
        assert_eq!(index.len(), 1);
    }

    /// A sketch as a random document would have; equal numbers give equal sketches.
    fn random_sketch(settings: &Settings, number: u64) -> Sketch {
        let words = width(settings.permutations) as u64;
        let body = Body::Packed((0..words).map(|word| random(number * words + word)).collect());
        Sketch { ngram: settings.ngram as u8, permutations: settings.permutations as u16, body }
    }

    fn random_hash(number: u64) -> ContentHash {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&random(!number).to_le_bytes());
        ContentHash::from_bytes(bytes)
    }

    #[test]
    fn fifty_thousand_documents_take_at_most_400_bytes_each_at_every_size() {
        for threshold in [0.5, 0.7, 0.9] {
            let settings = Settings { threshold, ..Settings::default() };
            let mut index = Index::new(&settings).unwrap();
            for number in 0..50_000 {
                index.insert_kept(number as i64, random_hash(number), &random_sketch(&settings, number)).unwrap();
                if number >= 1000 && number % 97 == 0 {
                    let most = 400 * index.len() + 16 * 1024;
                    assert!(index.memory_bytes() <= most, "{} for {}", index.memory_bytes(), index.len());
                }
            }
            assert!(index.memory_bytes() <= 400 * index.len());
        }
    }

    #[test]
    fn every_kept_document_is_found_again_among_many() {
        let settings = Settings::default();
        let mut index = Index::new(&settings).unwrap();
        let count = 5000;
        for number in 0..count {
            let verdict = index.offer(number as i64, random_hash(number), &random_sketch(&settings, number));
            assert_eq!(verdict, Verdict::Kept);
        }
        for number in 0..count {
            let (hash, other) = (random_hash(number), random_hash(number + count));
            let sketch = random_sketch(&settings, number);
            let kept = number as i64;
            assert_eq!(index.offer(-1, hash, &sketch), Verdict::Exact { kept });
            assert_eq!(index.offer(-1, other, &sketch), Verdict::Near { kept, similarity: 1.0 });
        }
    }

    #[test]
    fn a_band_lists_the_first_1024_look_alikes_alone() {
        let settings = Settings::default();
        let mut index = Index::new(&settings).unwrap();
        let alike = |number| {
            let mut sketch = random_sketch(&settings, number);
            if let Body::Packed(packed) = &mut sketch.body {
                packed[0] |= 0xff_ffff; // the first band's six registers
            }
            sketch
        };
        for number in 0..1100 {
            let verdict = index.offer(number as i64, random_hash(number), &alike(number));
            assert_eq!(verdict, Verdict::Kept);
        }
        index.offer(-1, random_hash(5000), &alike(5000));
        assert_eq!(index.candidates, (0..1024).collect::<Vec<_>>());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_rebuilt_index_goes_on_as_the_uninterrupted_one(
            spans in proptest::collection::vec((0_u64..60, 0_u64..40), 2..60),
            stop in any::<prop::sample::Index>(),
            permutations in prop::sample::select(vec![32_usize, 100, 256]),
        ) {
            let settings = Settings { permutations, ..Settings::default() };
            let sketcher = Sketcher::new(&settings).unwrap();
            let documents: Vec<(ContentHash, Sketch)> = spans
                .iter()
                .map(|&(from, count)| text(from, count))
                .map(|text| (ContentHash::of(&text), sketcher.sketch(&text)))
                .collect();
            let stop = stop.index(documents.len());
            let mut index = Index::new(&settings).unwrap();
            let mut rebuilt = Index::new(&settings).unwrap();
            for (at, (hash, sketch)) in documents.iter().enumerate() {
                let verdict = index.offer(at as i64, *hash, sketch);
                if at >= stop {
                    prop_assert_eq!(rebuilt.offer(at as i64, *hash, sketch), verdict);
                } else if verdict == Verdict::Kept {
                    let hash = ContentHash::from_bytes(hash.to_bytes());
                    let sketch = Sketch::from_bytes(&sketch.to_bytes()).unwrap();
                    rebuilt.insert_kept(at as i64, hash, &sketch).unwrap();
                }
            }
            prop_assert_eq!(rebuilt.len(), index.len());
            prop_assert_eq!(rebuilt.memory_bytes() - rebuilt.candidates.capacity() * 4,
                index.memory_bytes() - index.candidates.capacity() * 4);
        }
    }
}

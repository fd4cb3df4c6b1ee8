//! The documents kept so far, and what becomes of the next one.

use super::banding::Banding;
use super::content::ContentHash;
use super::estimate::Estimate;
use super::mix::scatter;
use super::records::Records;
use super::settings::{Settings, SettingsError};
use super::sketch::{Body, REGISTER_BITS, Sketch, SketchError, width};
use super::slots::Slots;

/// What became of a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// It is unlike every document kept before, and is kept now.
    Kept,
    /// Its content equals that of a kept document.
    Exact {
        /// The id of the document that was kept.
        kept: i64,
    },
    /// It is near a kept document: of all kept documents found near it, the one with the highest estimate, and of
    /// these the one kept first.
    Near {
        /// The id of the document that was kept.
        kept: i64,
        /// The estimated Jaccard similarity of the two, 0 to 1.
        similarity: f32,
    },
}

/// The documents kept so far. At 256 permutations and the threshold 0.7 a kept document takes about 375 bytes:
/// 192 for its sketch, 24 for its id and hash, 4.4 to 5 for its place in the exact table and in each of 32 bands.
#[derive(Clone, Debug)]
pub struct Index {
    settings: Settings,
    banding: Banding,
    estimate: Estimate,
    accepted: f64,
    records: Records,
    exact: Slots,
    bands: Vec<Slots>,
    candidates: Vec<u32>,
}

/// Slots of a new table.
const FIRST: usize = 1024;

impl Index {
    /// An empty index, or the setting that is out of range.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        settings.validate()?;
        let banding = settings.banding();
        let estimate = Estimate::new(settings);
        let (bands, width) =
            if settings.exact_only { (0, 0) } else { (banding.bands, width(settings.permutations)) };
        Ok(Self {
            settings: settings.clone(),
            banding,
            estimate,
            accepted: settings.threshold - std::env::var("MARGIN").map_or(0.0, |m| m.parse::<f64>().unwrap()) * estimate.deviation(),
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
        if let Some(number) = self.find_exact(hash) {
            return Verdict::Exact { kept: self.records.id(number) };
        }
        let packed = self.packed(sketch).unwrap_or_else(|error| panic!("{error}"));
        if let Some((number, similarity)) = packed.and_then(|packed| self.find_near(packed)) {
            return Verdict::Near { kept: self.records.id(number), similarity: similarity as f32 };
        }
        self.insert(id, hash, packed);
        Verdict::Kept
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
            if found.is_none() && self.records.hash(number) == hash {
                found = Some(number);
            }
        });
        found
    }

    fn find_near(&mut self, packed: &[u64]) -> Option<(u32, f64)> {
        self.candidates.clear();
        for (band, slots) in self.bands.iter().enumerate() {
            let hash = band_hash(self.banding, band, packed);
            slots.candidates(hash, |number| {
                // Tags let a few strangers through; who is compared must not depend on the size of a table.
                if band_hash(self.banding, band, self.records.sketch(number)) == hash {
                    self.candidates.push(number);
                }
            });
        }
        self.candidates.sort_unstable();
        self.candidates.dedup();
        let mut best: Option<(u32, f64)> = None;
        for &number in &self.candidates {
            let similarity = self.estimate.similarity(packed, self.records.sketch(number));
            if similarity >= self.accepted && best.is_none_or(|(_, highest)| similarity > highest) {
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
                    slots.grow(
                        sketches.map(|(number, packed)| (band_hash(self.banding, band, packed), number)),
                        number,
                    );
                }
                slots.insert(band_hash(self.banding, band, packed), number);
            }
        }
        self.records.push(id, hash, packed);
    }
}

/// The hash of a band's registers, which lie side by side.
#[inline]
fn band_hash(banding: Banding, band: usize, packed: &[u64]) -> u64 {
    let bits = banding.rows * REGISTER_BITS;
    let (word, shift) = (band * bits / 64, band * bits % 64);
    let mut key = packed[word] >> shift;
    if shift + bits > 64 {
        key |= packed[word + 1] << (64 - shift);
    }
    scatter(key & ((1 << bits) - 1))
}

//! A sketch: the few bits kept of each register, packed, with a byte form that outlives the process.

/// Bits kept of a register that bands are made of.
pub const REGISTER_BITS: usize = 4;
/// One-bit registers beside each four-bit one. They sharpen the estimate alone: a bit spent on a further register
/// tells more than a bit spent on a longer one (Li, König 2010), but only longer ones make selective bands.
pub const CHECKS: usize = 2;

/// The version of the byte form *and* of every hash behind it.
const VERSION: u8 = 1;
const HEADER: usize = 5;

/// The registers of one document, packed: `permutations` of four bits, then twice as many of one bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    pub(super) ngram: u8,
    pub(super) permutations: u16,
    pub(super) body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Exact duplicates alone were asked for.
    Absent,
    /// The document has no words: it is near no other.
    Wordless,
    /// `width(permutations)` words.
    Packed(Box<[u64]>),
}

/// Bytes that are not a sketch, or one made with other settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SketchError {
    /// Shorter than a header, or not as long as the header says.
    #[error("sketch of {length} bytes is cut short or damaged: sketch the document again")]
    Damaged {
        /// Bytes given.
        length: usize,
    },
    /// Written by another version of the format.
    #[error("sketch has format {found}, this build reads {VERSION}: sketch the document again")]
    Version {
        /// The version byte.
        found: u8,
    },
    /// Made with other settings than the index has.
    #[error(
        "sketch has {found_ngram}-word shingles and {found_permutations} permutations, the index {ngram} and \
         {permutations}: sketch the document again"
    )]
    Settings {
        /// Words in a shingle of the sketch.
        found_ngram: usize,
        /// Registers of the sketch.
        found_permutations: usize,
        /// Words in a shingle of the index.
        ngram: usize,
        /// Registers of the index.
        permutations: usize,
    },
    /// Made while only exact duplicates were looked for.
    #[error("document has no sketch, since it was kept under exact_only: sketch it again")]
    Absent,
}

/// Words that the four-bit registers take.
pub(super) const fn register_words(permutations: usize) -> usize {
    (permutations * REGISTER_BITS).div_ceil(64)
}

/// Words that a whole sketch takes.
pub(super) const fn width(permutations: usize) -> usize {
    register_words(permutations) + (permutations * CHECKS).div_ceil(64)
}

/// Packs registers, first those of four bits, then those of one.
pub(super) fn pack(registers: &[u64], permutations: usize) -> Box<[u64]> {
    let (long, short) = registers.split_at(permutations);
    let long = long.chunks(64 / REGISTER_BITS).map(|chunk| pack_word(chunk, REGISTER_BITS));
    long.chain(short.chunks(64).map(|chunk| pack_word(chunk, 1))).collect()
}

fn pack_word(registers: &[u64], bits: usize) -> u64 {
    let mask = (1 << bits) - 1;
    registers.iter().rev().fold(0, |word, register| word << bits | (register & mask))
}

impl Sketch {
    /// The bytes to store: format version, n-gram, permutations, kind, registers.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, packed): (u8, &[u64]) = match &self.body {
            Body::Absent => (0, &[]),
            Body::Wordless => (1, &[]),
            Body::Packed(packed) => (2, packed),
        };
        let [low, high] = self.permutations.to_le_bytes();
        let mut bytes = Vec::with_capacity(HEADER + packed.len() * 8);
        bytes.extend([VERSION, self.ngram, low, high, kind]);
        bytes.extend(packed.iter().flat_map(|word| word.to_le_bytes()));
        bytes
    }

    /// Reads what [`Sketch::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        let damaged = SketchError::Damaged { length: bytes.len() };
        if let Some(&found) = bytes.first().filter(|&&version| version != VERSION) {
            return Err(SketchError::Version { found });
        }
        let Some((&[_, ngram, low, high, kind], rest)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(damaged);
        };
        let permutations = u16::from_le_bytes([low, high]);
        let (words, []) = rest.as_chunks::<8>() else {
            return Err(damaged);
        };
        let body = match (kind, words.len()) {
            (0, 0) => Body::Absent,
            (1, 0) => Body::Wordless,
            (2, length) if length == width(permutations.into()) => {
                Body::Packed(words.iter().map(|word| u64::from_le_bytes(*word)).collect())
            }
            _ => return Err(damaged),
        };
        Ok(Self { ngram, permutations, body })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sketch(body: Body) -> Sketch {
        Sketch { ngram: 5, permutations: 48, body }
    }

    #[test]
    fn a_sketch_of_256_permutations_takes_192_bytes_and_its_header() {
        assert_eq!(width(256) * 8, 192);
        let packed = Body::Packed(vec![7; 24].into());
        let bytes = Sketch { ngram: 5, permutations: 256, body: packed }.to_bytes();
        assert_eq!(bytes.len(), 192 + HEADER);
        assert_eq!(bytes[..HEADER], [1, 5, 0, 1, 2]);
    }

    #[test]
    fn registers_are_packed_from_the_low_end() {
        let registers: Vec<u64> = (0..48 * 3).map(|at| at % 16 + 0xff00).collect();
        let packed = pack(&registers, 48);
        assert_eq!(packed.len(), width(48));
        assert_eq!(packed[0], 0xfedc_ba98_7654_3210);
        assert_eq!(packed[3], 0xaaaa_aaaa_aaaa_aaaa);
        assert_eq!(packed[4], 0xaaaa_aaaa);
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let bytes = sketch(Body::Packed(vec![1; width(48)].into())).to_bytes();
        for length in [0, 1, 4, 12, bytes.len() - 1] {
            assert_eq!(Sketch::from_bytes(&bytes[..length]), Err(SketchError::Damaged { length }));
        }
        let mut other = bytes.clone();
        other[0] = 9;
        assert_eq!(Sketch::from_bytes(&other), Err(SketchError::Version { found: 9 }));
        let mut other = bytes.clone();
        other[4] = 3;
        assert_eq!(Sketch::from_bytes(&other), Err(SketchError::Damaged { length: bytes.len() }));
    }

    proptest! {
        #[test]
        fn a_sketch_survives_its_byte_form(words in proptest::collection::vec(any::<u64>(), width(48))) {
            for body in [Body::Absent, Body::Wordless, Body::Packed(words.into())] {
                let sketch = sketch(body);
                prop_assert_eq!(Sketch::from_bytes(&sketch.to_bytes()).unwrap(), sketch);
            }
        }
    }
}

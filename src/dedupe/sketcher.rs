//! Makes sketches by *fast similarity sketching* (Dahlgaard, Knudsen, Thorup, FOCS 2017).
//!
//! MinHash hashes every shingle once for each register. Here a round hashes every shingle once in all, into a
//! random register, and rounds follow until no register is empty: O(n + m log m) for n shingles and m registers,
//! where MinHash takes n m. The estimate is unbiased as MinHash's is, and concentrates no worse.

use super::mix::{E, PI, fold, scatter};
use super::settings::{Settings, SettingsError};
use super::shingles::shingles;
use super::sketch::{Body, CHECKS, Sketch, pack};

/// A register that no shingle has reached.
const EMPTY: u64 = u64::MAX;

/// Turns texts into sketches. Immutable: threads share one.
#[derive(Clone, Debug)]
pub struct Sketcher {
    settings: Settings,
}

impl Sketcher {
    /// A sketcher for these settings, or the setting that is out of range.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        settings.validate()?;
        Ok(Self { settings: settings.clone() })
    }

    /// The sketch of a text: a function of its set of shingles and of the settings alone.
    pub fn sketch(&self, text: &str) -> Sketch {
        let Settings { ngram, permutations, exact_only, .. } = self.settings;
        let body = if exact_only {
            Body::Absent
        } else {
            let shingles = shingles(text, ngram);
            if shingles.is_empty() {
                Body::Wordless
            } else {
                Body::Packed(pack(&fill(&shingles, permutations * (1 + CHECKS)), permutations))
            }
        };
        Sketch { ngram: ngram as u8, permutations: permutations as u16, body }
    }
}

/// Fills `count` registers from the shingles, of which there is at least one. A register holds the round that
/// reached it above the least 32-bit value thrown there in that round; the low bits of that value are kept.
fn fill(shingles: &[u64], count: usize) -> Vec<u64> {
    let mut registers = vec![EMPTY; count];
    let mut empty = count;
    for round in 0..count as u64 {
        let thrower = Thrower::new(round);
        for &shingle in shingles {
            let thrown = thrower.throw(shingle);
            let at = (((thrown & 0xffff_ffff) * count as u64) >> 32) as usize;
            let register = &mut registers[at];
            empty -= usize::from(*register == EMPTY);
            *register = (*register).min(round << 32 | thrown >> 32);
        }
        if empty == 0 {
            return registers;
        }
    }
    // Few shingles can leave gaps however often they are thrown: the last rounds go to one register each.
    for (at, register) in registers.iter_mut().enumerate() {
        if *register == EMPTY {
            let round = (count + at) as u64;
            let thrower = Thrower::new(round);
            let least = shingles.iter().map(|&shingle| thrower.throw(shingle) >> 32).min();
            *register = round << 32 | least.unwrap_or(0);
        }
    }
    registers
}

/// The hash of one round, independent of that of any other.
struct Thrower {
    offset: u64,
    factor: u64,
}

impl Thrower {
    fn new(round: u64) -> Self {
        Self { offset: scatter(round ^ PI), factor: scatter(round ^ E) | 1 }
    }

    #[inline]
    fn throw(&self, shingle: u64) -> u64 {
        fold(shingle ^ self.offset, self.factor)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(settings: &Settings, text: &str) -> Sketch {
        Sketcher::new(settings).unwrap().sketch(text)
    }

    #[test]
    fn a_text_without_words_has_no_registers() {
        assert_eq!(sketch(&Settings::default(), "# ---\n").body, Body::Wordless);
        assert_eq!(sketch(&Settings::default(), "").body, Body::Wordless);
    }

    #[test]
    fn nothing_is_sketched_for_exact_duplicates_alone() {
        let settings = Settings { exact_only: true, ..Settings::default() };
        assert_eq!(sketch(&settings, "a b c").body, Body::Absent);
    }

    #[test]
    fn a_single_shingle_fills_every_register() {
        for count in [32, 96, 768] {
            let registers = fill(&[42], count);
            assert!(registers.iter().all(|&register| register != EMPTY));
            assert!(registers.iter().any(|&register| register >> 32 >= count as u64), "gaps are filled at the end");
        }
    }

    #[test]
    fn many_shingles_take_one_round() {
        let shingles: Vec<u64> = (0..20_000).map(scatter).collect();
        assert!(fill(&shingles, 768).iter().all(|register| register >> 32 == 0));
    }

    /// What is stored today must be found tomorrow: a change here needs a new format version.
    #[test]
    fn the_sketch_of_a_text_is_fixed_for_ever() {
        let settings = Settings { permutations: 32, ..Settings::default() };
        let sketch = sketch(&settings, "def area(self):\n    return self.width * self.höhe\n");
        let bytes = [
            0x01, 0x05, 0x20, 0x00, 0x02, // version, n-gram, permutations, kind
            0xe2, 0x84, 0x03, 0xde, 0xb2, 0x75, 0x16, 0xfa, // 16 registers of four bits
            0x7d, 0x34, 0xd6, 0x4f, 0x8c, 0x2e, 0x0e, 0xe9, // and 16 more
            0x9b, 0x4e, 0x04, 0x5a, 0xe3, 0x87, 0x62, 0x1f, // 64 of one bit
        ];
        assert_eq!(sketch.to_bytes(), bytes);
    }

    proptest! {
        #[test]
        fn order_and_repeats_of_single_words_do_not_matter(
            words in proptest::collection::vec("[a-z]{1,4}", 1..50),
            again in any::<prop::sample::Index>(),
            turn in any::<prop::sample::Index>(),
        ) {
            let settings = Settings { ngram: 1, permutations: 64, ..Settings::default() };
            let mut other = words.clone();
            other.push(again.get(&words).clone());
            other.rotate_left(turn.index(words.len()));
            prop_assert_eq!(sketch(&settings, &words.join(" ")), sketch(&settings, &other.join("\n")));
        }
    }
}

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
            let at = ((thrown & 0xffff_ffff) * count as u64 >> 32) as usize;
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

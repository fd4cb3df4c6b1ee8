//! Chance that can be repeated: every draw follows from what it is drawn for.

/// A small generator (splitmix64, Steele, Lea and Flood 2014) whose stream is part of the simulator's contract, unlike
/// that of `rand`'s standard generator, which may change between versions.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// Dice for a purpose: the same parts in the same order always roll the same.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        Self(hash(parts))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0.0..1.0`.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A number below `n`; 0 if `n` is 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }

    /// One of a list that is never empty.
    pub(super) fn word(&mut self, from: &'static [&'static str]) -> &'static str {
        from.get(self.below(from.len())).copied().unwrap_or_default()
    }
}

/// A 64-bit hash of `parts`; the lengths count, so that moving a border between parts changes it.
pub(super) fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_purpose_rolls_the_same_and_another_does_not() {
        let roll = |purpose: &[u8]| Dice::of(&[purpose]).next();
        assert_eq!(roll(b"a"), roll(b"a"));
        assert_ne!(roll(b"a"), roll(b"b"));
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }

    #[test]
    fn draws_stay_in_their_range_and_spread() {
        let mut dice = Dice::of(&[b"spread"]);
        let mut counts = [0u32; 5];
        for _ in 0..5000 {
            counts[dice.below(5)] += 1;
        }
        assert!(counts.iter().all(|n| (800..1200).contains(n)), "{counts:?}");
        assert_eq!(dice.below(0), 0);
    }
}

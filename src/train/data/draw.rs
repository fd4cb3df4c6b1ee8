//! Random numbers that are the same on every machine and in every version.

/// Numbers drawn from BLAKE3's output stream.
pub(super) struct Draws(blake3::OutputReader);

impl Draws {
    /// A stream of its own for each purpose, seed and key.
    pub(super) fn new(purpose: &str, seed: u64, key: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(purpose.len() as u64).to_le_bytes()).update(purpose.as_bytes());
        hasher.update(&seed.to_le_bytes()).update(key);
        Self(hasher.finalize_xof())
    }

    /// The next 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number from 0 to less than `bound`; of 2^64 draws some numbers get one more than others, which no one can tell.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// A number from 0 to less than 1, of 53 bits.
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

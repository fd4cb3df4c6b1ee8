//! The integer hash that words, shingles, sketches and tables share.
//!
//! Its constants are part of the stored sketch format: changing one means raising the format version.

/// Fractional digits of pi, of e and of the golden ratio: odd, with about half their bits set.
pub const PI: u64 = 0x243f_6a88_85a3_08d3;
pub const E: u64 = 0xb7e1_5162_8aed_2a6b;
pub const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The two halves of the 128-bit product, folded: one multiplication that stirs all bits of both operands.
#[inline]
pub fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// A bijection that sends nearby numbers far apart (the finaliser of SplitMix64; Steele, Lea, Flood 2014).
#[inline]
pub fn scatter(number: u64) -> u64 {
    let x = number.wrapping_mul(GOLDEN);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

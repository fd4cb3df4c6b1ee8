//! Turns a text into the hashes of its word n-grams ("shingles"; Broder 1997).

use super::mix::{GOLDEN, PI, fold};
use super::words::hash_words;

/// The base of the rolling polynomial, odd so that multiplying by it loses nothing.
const BASE: u64 = 0xd6e8_feb8_6659_fd93;

/// The hash of every run of `ngram` words, repeats included, in order of the text. A text of fewer words has one
/// shingle of all its words; a text without words has none.
pub fn shingles(text: &str, ngram: usize) -> Vec<u64> {
    // Code has a word every six bytes or so; a wrong guess costs a reallocation.
    let mut hashes = Vec::with_capacity(text.len() / 6 + 8);
    hash_words(text, &mut hashes);
    if hashes.is_empty() {
        return hashes;
    }
    let width = ngram.min(hashes.len());
    let leaving = (0..width).fold(1_u64, |power, _| power.wrapping_mul(BASE));
    let mut rolling = hashes[..width].iter().fold(0_u64, |sum, &word| sum.wrapping_mul(BASE).wrapping_add(word));
    let last = hashes.len() - width;
    for first in 0..last {
        let left = hashes[first];
        hashes[first] = finish(rolling);
        rolling =
            rolling.wrapping_mul(BASE).wrapping_add(hashes[first + width]).wrapping_sub(left.wrapping_mul(leaving));
    }
    hashes[last] = finish(rolling);
    hashes.truncate(last + 1);
    hashes
}

/// The polynomial's low bits depend on the words' low bits alone; folding mends that.
#[inline]
fn finish(rolling: u64) -> u64 {
    fold(rolling ^ PI, GOLDEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_text_is_one_shingle_of_all_its_words() {
        assert_eq!(shingles("one two three", 5).len(), 1);
        assert_eq!(shingles("one two three", 5), shingles("one, two; three!", 5));
        assert_ne!(shingles("one two three", 5), shingles("one two", 5));
        assert_eq!(shingles("a b c d e", 5).len(), 1);
        assert_eq!(shingles("a b c d e f", 5).len(), 2);
        assert_eq!(shingles("...", 5), [] as [u64; 0]);
    }

    proptest! {
        #[test]
        fn rolling_gives_what_each_window_gives_alone(
            words in proptest::collection::vec("[a-d]{1,2}", 1..40),
            ngram in 1_usize..8,
        ) {
            let windows: Vec<u64> = words
                .windows(ngram.min(words.len()))
                .flat_map(|window| shingles(&window.join(" "), ngram))
                .collect();
            prop_assert_eq!(shingles(&words.join("\n"), ngram), windows);
        }
    }
}

//! Cuts a text into words and hashes each: a word is a run of Unicode alphanumerics and `_`, in the case it has.

use super::mix::{E, GOLDEN, PI, fold};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Separator,
    Word,
    /// The first byte of a character beyond ASCII, which must be decoded to tell.
    Wide,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Separator; 256];
    let mut byte = 0;
    while byte < 256 {
        if byte >= 128 {
            classes[byte] = Class::Wide;
        } else if (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_' {
            classes[byte] = Class::Word;
        }
        byte += 1;
    }
    classes
};

/// Appends the hash of each word of the text, in order.
pub fn hash_words(text: &str, hashes: &mut Vec<u64>) {
    let bytes = text.as_bytes();
    let class_at = |at: usize| bytes.get(at).map(|&byte| CLASSES[usize::from(byte)]);
    let mut at = 0;
    loop {
        while class_at(at) == Some(Class::Separator) {
            at += 1;
        }
        let start = at;
        let mut skip = 0;
        loop {
            while class_at(at) == Some(Class::Word) {
                at += 1;
            }
            if class_at(at) != Some(Class::Wide) {
                break;
            }
            let Some(wide) = text[at..].chars().next() else {
                break;
            };
            if !wide.is_alphanumeric() {
                skip = wide.len_utf8();
                break;
            }
            at += wide.len_utf8();
        }
        if at > start {
            hashes.push(hash_word(bytes, start, at));
        }
        at += skip;
        if at >= bytes.len() {
            return;
        }
    }
}

/// Hashes `bytes[start..end]`, which is not empty. Eight bytes at a time; most words fit into one or two reads.
#[inline]
fn hash_word(bytes: &[u8], start: usize, end: usize) -> u64 {
    let length = end - start;
    if length <= 8 {
        let head = match bytes[start..].first_chunk() {
            Some(chunk) => u64::from_le_bytes(*chunk) & (u64::MAX >> (64 - 8 * length)),
            None => read_short(&bytes[start..end]),
        };
        return fold(head ^ PI, E ^ length as u64);
    }
    let (chunks, _) = bytes[start..end].as_chunks::<8>();
    let mut state = length as u64 ^ GOLDEN;
    for chunk in chunks {
        state = fold(state ^ u64::from_le_bytes(*chunk), E);
    }
    // The last eight bytes, which may overlap the last chunk.
    let tail = bytes[start..end].last_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk));
    fold(state ^ PI, tail ^ GOLDEN)
}

fn read_short(word: &[u8]) -> u64 {
    word.iter().rev().fold(0, |read, &byte| read << 8 | u64::from(byte))
}

/// How many words a text has.
pub fn count_words(text: &str) -> usize {
    let mut hashes = Vec::with_capacity(text.len() / 6 + 8);
    hash_words(text, &mut hashes);
    hashes.len()
}

/// The bytes of a text from its word number `first` (from 0) to the end of the last of `count` words; what there is of
/// them.
pub fn span_of_words(text: &str, first: usize, count: usize) -> std::ops::Range<usize> {
    let (mut words, mut start, mut end, mut inside) = (0, None, text.len(), false);
    for (at, c) in text.char_indices() {
        let word = c.is_alphanumeric() || c == '_';
        if word && !inside {
            if words == first {
                start = Some(at);
            }
            words += 1;
        }
        if !word && inside && words == first + count {
            end = at;
            break;
        }
        inside = word;
    }
    start.unwrap_or(end)..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hashes(text: &str) -> Vec<u64> {
        let mut hashes = Vec::new();
        hash_words(text, &mut hashes);
        hashes
    }

    fn words(text: &str) -> Vec<&str> {
        text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()).collect()
    }

    #[test]
    fn words_are_runs_of_alphanumerics_and_underscores() {
        assert_eq!(hashes("def __init__(self, größe2): # — naïve"), hashes("def __init__ self größe2 naïve"));
        assert_eq!(hashes("x.y").len(), 2);
        assert_eq!(hashes("x_y").len(), 1);
    }

    #[test]
    fn a_text_without_words_has_no_hashes() {
        for text in ["", " \n\t", "# --- !!! ---", "→ “”"] {
            assert_eq!(hashes(text), [] as [u64; 0], "{text:?}");
        }
    }

    #[test]
    fn case_length_and_order_of_bytes_tell_words_apart() {
        let text = "a A aa ab ba abcdefgh abcdefghi abcdefghj abcdefghijklmnop abcdefghijklmnopabcdefghijklmnop";
        let mut seen = hashes(text);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), words(text).len());
    }

    #[test]
    fn the_hash_of_a_word_is_fixed_for_ever() {
        assert_eq!(
            hashes("self return_annotation a_rather_long_identifier_name"),
            [85_790_979_832_780_078, 6_187_240_939_314_082_555, 1_586_413_873_916_632_738]
        );
    }

    proptest! {
        #[test]
        fn words_equal_those_of_a_plain_split(text in "(\\PC|[a-z_ \n]){0,60}") {
            let alone: Vec<u64> = words(&text).iter().flat_map(|word| hashes(word)).collect();
            prop_assert_eq!(hashes(&text), alone);
        }
    }
}

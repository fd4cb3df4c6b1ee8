//! How many tokens a model will count for a text, without its tokenizer.

/// Bytes of visible Python that one token covers on average, times ten.
const TENTHS_OF_BYTES_PER_TOKEN: usize = 33;

/// Estimates the tokens of `text`: bytes over 3.3, where the white space that begins a line counts as one byte,
/// because byte-pair vocabularies for code hold whole runs of indentation as one token. Never 0 for visible text.
pub fn token_estimate(text: &str) -> u32 {
    let mut bytes = 0;
    let mut indenting = true;
    for byte in text.bytes() {
        let space = byte == b' ' || byte == b'\t';
        if !(space && indenting) {
            bytes += 1;
        }
        if byte == b'\n' {
            indenting = true;
        } else if !space && indenting {
            indenting = false;
            bytes += 1;
        }
    }
    (bytes * 10usize).div_ceil(TENTHS_OF_BYTES_PER_TOKEN) as u32
}

#[cfg(test)]
mod tests {
    use super::token_estimate;

    #[test]
    fn an_empty_text_has_no_tokens_and_a_letter_has_one() {
        assert_eq!(token_estimate(""), 0);
        assert_eq!(token_estimate("x"), 1);
    }

    #[test]
    fn deeper_indentation_adds_nothing() {
        assert_eq!(token_estimate("    return x"), token_estimate("            return x"));
    }
}

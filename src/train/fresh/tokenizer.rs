//! A byte-level BPE, learned from texts: every text has an encoding, and decodes to itself.

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer, models::TrainerWrapper};

use super::FreshError;

/// The token that ends a text; padding is made of it too.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// All bytes, and [`END_OF_TEXT`].
const LEAST: usize = 257;

/// Learns a vocabulary of at most `size` tokens; a small corpus may not have as many.
///
/// # Errors
/// When `size` has no room for all bytes, or there is no text.
pub fn learn(texts: impl Iterator<Item = String> + Send, size: usize) -> Result<Tokenizer, FreshError> {
    if size < LEAST {
        return Err(FreshError::SmallVocabulary { asked: size, least: LEAST });
    }
    let mut texts = texts.filter(|text| !text.trim().is_empty()).peekable();
    if texts.peek().is_none() {
        return Err(FreshError::NoText);
    }
    let mut trainer: TrainerWrapper = BpeTrainer::builder()
        .vocab_size(size)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
        .build()
        .into();
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer
        .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
        .with_decoder(Some(ByteLevel::new(false, true, true)));
    tokenizer
        .train(&mut trainer, texts)
        .map_err(|error| FreshError::Tokenizer { place: "could not learn".to_owned(), message: error.to_string() })?;
    Ok(tokenizer)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn any_text_comes_back_as_it_was() {
        let texts = ["for row in rows:\n    total += row\n".to_owned(), "for key in keys: pass\n".to_owned()];
        let tokenizer = learn(texts.into_iter(), 300).unwrap();
        for text in ["for row in rows:\n\ttotal", "ein Gr\u{fc}\u{df}chen \u{1f600}\0", "  x  "] {
            let encoded = tokenizer.encode(text, false).unwrap();
            assert_eq!(tokenizer.decode(encoded.get_ids(), false).unwrap(), text);
        }
        assert!(tokenizer.encode("for row in rows", false).unwrap().len() < 12);
    }

    #[test]
    fn a_vocabulary_that_cannot_hold_all_bytes_and_an_empty_corpus_are_refused() {
        let error = learn(["x".to_owned()].into_iter(), 100).unwrap_err();
        assert_eq!(error.to_string(), "a vocabulary of 100 tokens is too small: a byte-level one has at least 257");
        assert!(matches!(learn([" \n".to_owned()].into_iter(), 300), Err(FreshError::NoText)));
    }
}

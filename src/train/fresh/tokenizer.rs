//! A byte-level BPE, learned from texts: every text has an encoding, and decodes to itself (in NFC).

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer, models::TrainerWrapper};

use super::FreshError;

/// The token that ends a text.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// The token that fills rows. It is not [`END_OF_TEXT`]: `transformers` reads a reward at the last token that is not
/// padding, which must be an answer's end token.
pub const PADDING: &str = "<|padding|>";

/// Where Qwen2's tokenizer cuts texts before it merges bytes. `transformers` cuts so for any model of that architecture,
/// whatever `tokenizer.json` says (5.23, `Qwen2Tokenizer`): with another pattern it would see other tokens.
const PIECES: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// All bytes, [`END_OF_TEXT`] and [`PADDING`].
const LEAST: usize = 258;

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
        .special_tokens(vec![AddedToken::from(END_OF_TEXT, true), AddedToken::from(PADDING, true)])
        .build()
        .into();
    let failed = |error: tokenizers::Error| FreshError::Tokenizer {
        place: "could not learn".to_owned(),
        message: error.to_string(),
    };
    let pieces = Split::new(SplitPattern::Regex(PIECES.to_owned()), SplitDelimiterBehavior::Isolated, false);
    let bytes = ByteLevel::new(false, true, false);
    let cut: Vec<PreTokenizerWrapper> = vec![pieces.map_err(failed)?.into(), bytes.into()];
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer
        .with_normalizer(Some(NFC))
        .map_err(failed)?
        .with_pre_tokenizer(Some(Sequence::new(cut)))
        .with_decoder(Some(ByteLevel::new(false, true, true)));
    tokenizer.train(&mut trainer, texts).map_err(failed)?;
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
        assert_eq!(error.to_string(), "a vocabulary of 100 tokens is too small: a byte-level one has at least 258");
        assert!(matches!(learn([" \n".to_owned()].into_iter(), 300), Err(FreshError::NoText)));
    }
}

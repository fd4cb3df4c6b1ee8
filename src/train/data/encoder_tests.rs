use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer};

use super::*;
use crate::nn::Preset;

/// One token a byte, ids by the byte-level alphabet's order; `<s>` is 256 and `</s>` 257.
pub(crate) fn bytes() -> Tokenizer {
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let vocab = alphabet.iter().enumerate().map(|(id, letter)| (letter.to_string(), id as u32)).collect();
    let mut tokenizer = Tokenizer::new(BPE::new(vocab, Vec::new()));
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, false)));
    tokenizer.add_special_tokens([AddedToken::from("<s>", true), AddedToken::from("</s>", true)]).unwrap();
    tokenizer
}

fn model() -> ModelConfig {
    let mut model = Preset::Tiny.config(258);
    (model.eos_token_id, model.pad_token_id) = (Some(257), Some(256));
    model
}

fn encoder(settings: EncoderSettings) -> Encoder {
    Encoder::new(bytes(), &model(), settings).unwrap()
}

fn limited(max_length: usize, truncation: Truncation) -> EncoderSettings {
    EncoderSettings { max_length, truncation, append_end: false }
}

fn pair(id: i64, prompt: &str, chosen: &str, rejected: &str) -> Pair {
    Pair {
        id,
        prompt: prompt.into(),
        chosen: chosen.into(),
        rejected: rejected.into(),
        margin: 0.0,
        repository: String::new(),
        split: None,
    }
}

fn text(tokens: &[u32]) -> String {
    let tokenizer = bytes();
    tokens.iter().map(|&id| tokenizer.id_to_token(id).unwrap()).collect()
}

#[test]
fn what_is_too_long_is_dropped_or_cut_as_the_setting_says() {
    let cases = [
        (Truncation::Drop, 7, Err(Refusal::TooLong { tokens: 8, limit: 7 })),
        (Truncation::Drop, 8, Ok(("abcd", "wxyz", "w"))),
        (Truncation::CutPrompt, 7, Ok(("bcd", "wxyz", "w"))),
        (Truncation::CutPrompt, 5, Ok(("d", "wxyz", "w"))),
        (Truncation::CutPrompt, 4, Err(Refusal::TooLong { tokens: 8, limit: 4 })),
        (Truncation::CutAnswer, 7, Ok(("abcd", "wxy", "w"))),
        (Truncation::CutAnswer, 5, Ok(("abcd", "w", "w"))),
        (Truncation::CutAnswer, 4, Err(Refusal::TooLong { tokens: 8, limit: 4 })),
    ];
    for (truncation, max_length, expected) in cases {
        let encoded = encoder(limited(max_length, truncation)).encode("abcd", &["wxyz", "w"]).unwrap();
        let encoded = encoded.map(|e| (text(&e.prompt), text(&e.answers[0]), text(&e.answers[1])));
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(encoded, expected, "{truncation:?} at {max_length}");
    }
}

#[test]
fn an_end_token_counts_towards_the_limit_and_closes_cut_answers_too() {
    let settings = EncoderSettings { append_end: true, ..limited(7, Truncation::CutAnswer) };
    let encoded = encoder(settings).encode("abcd", &["wxyz", "w"]).unwrap().unwrap();
    assert_eq!(encoded.answers.iter().map(|answer| text(answer)).collect::<Vec<_>>(), ["wx</s>", "w</s>"]);
    assert!(encoded.cut_answer && !encoded.cut_prompt);
}

#[test]
fn a_leading_special_token_comes_before_the_prompt_alone_and_outlives_its_cut() {
    let mut tokenizer = bytes();
    let template = TemplateProcessing::builder()
        .try_single("<s> $A </s>")
        .unwrap()
        .special_tokens(vec![("<s>", 256), ("</s>", 257)])
        .build()
        .unwrap();
    tokenizer.with_post_processor(Some(template));
    let encoder = Encoder::new(tokenizer, &model(), limited(7, Truncation::CutPrompt)).unwrap();
    let encoded = encoder.encode("abcd", &["wxyz", "w"]).unwrap().unwrap();
    assert_eq!((text(&encoded.prompt), text(&encoded.answers[0])), ("<s>cd".into(), "wxyz".into()));
}

#[test]
fn pairs_keep_their_order_and_what_is_left_out_is_counted_with_examples() {
    let encoder = encoder(limited(16, Truncation::Drop));
    let mut pairs: Vec<_> = (0..500).map(|id| pair(id, "ask", &format!("say {id}"), "no")).collect();
    pairs[3].rejected = " \n".into();
    pairs[400].chosen = "x".repeat(20);
    let mut left_out = LeftOut::default();
    let (kept, counts) = encoder.encode_pairs(&pairs, &mut left_out).unwrap();
    assert!(kept.windows(2).all(|two| two[0].id < two[1].id));
    assert_eq!((counts.read, counts.kept, counts.empty, counts.too_long), (500, 498, 1, 1));
    assert_eq!(counts.tokens, kept.iter().map(|pair| pair.packed_length() as u64).sum::<u64>());
    let long = Refusal::TooLong { tokens: 23, limit: 16 };
    assert_eq!(left_out.examples(), [(3, Refusal::Empty), (400, long)]);
}

#[test]
fn a_tokenizer_of_another_model_is_refused_with_both_sizes() {
    let small = Preset::Tiny.config(257);
    let error = Encoder::new(bytes(), &small, EncoderSettings::default()).err().unwrap().to_string();
    assert!(error.contains("id 257") && error.contains("257 rows"), "{error}");
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let mut endless = model();
    endless.eos_token_id = None;
    let settings = EncoderSettings { append_end: true, ..EncoderSettings::default() };
    assert!(matches!(Encoder::new(bytes(), &endless, settings), Err(DataError::NoEnd)));
    let settings = EncoderSettings { append_end: true, ..limited(2, Truncation::Drop) };
    assert!(matches!(Encoder::new(bytes(), &model(), settings), Err(DataError::MaxLength { .. })));
}

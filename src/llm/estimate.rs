//! Tokens of a call before it is made, without the model's tokenizer.
//!
//! A token is taken for 3.5 bytes of UTF-8. Providers' rule of thumb is four characters of English; code, with its
//! punctuation and indentation, is denser. Each message costs four tokens more and the reply is primed with three, as in
//! OpenAI's published recipe for counting chat tokens. Limits are settled by the server's own count after the call, so the
//! estimate need only be near.

use super::{Message, Sampling};

/// Assumed length of an answer where `max_tokens` does not bound it.
const UNBOUNDED_ANSWER: u32 = 1024;

/// Estimated tokens of a prompt.
pub fn prompt_tokens(messages: &[Message]) -> u32 {
    let tokens: u64 = messages.iter().map(|message| text_tokens(message.content.len()) + 4).sum();
    u32::try_from(tokens + 3).unwrap_or(u32::MAX)
}

/// The most tokens that an answer may have, or a guess where nothing bounds it. `extra.max_completion_tokens`, which newer
/// hosted models ask for in place of `max_tokens`, counts too.
pub fn completion_tokens(sampling: &Sampling) -> u32 {
    let extra = || sampling.extra.get("max_completion_tokens")?.as_u64();
    let bound = sampling.max_tokens.map(u64::from).or_else(extra);
    bound.map_or(UNBOUNDED_ANSWER, |bound| u32::try_from(bound).unwrap_or(u32::MAX))
}

/// `ceil(bytes / 3.5)`
fn text_tokens(bytes: usize) -> u64 {
    (bytes as u64 * 2).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::*;

    #[test]
    fn a_prompt_counts_its_bytes_and_its_messages() {
        let message = |content: &str| Message { role: Role::User, content: content.to_owned() };
        assert_eq!(prompt_tokens(&[]), 3);
        assert_eq!(prompt_tokens(&[message("1234567")]), 3 + 4 + 2);
        assert_eq!(prompt_tokens(&[message("12345678"), message("")]), 3 + 4 + 3 + 4);
    }

    #[test]
    fn an_answer_counts_its_bound() {
        assert_eq!(completion_tokens(&Sampling { max_tokens: Some(7), ..Sampling::default() }), 7);
        let mut hosted = Sampling::default();
        hosted.extra.insert("max_completion_tokens".to_owned(), 9.into());
        assert_eq!(completion_tokens(&hosted), 9);
        assert_eq!(completion_tokens(&Sampling::default()), UNBOUNDED_ANSWER);
    }
}

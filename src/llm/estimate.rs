//! Tokens of a call before it is made, without the model's tokenizer.
//!
//! A token is taken for 3.5 bytes of UTF-8. Providers' rule of thumb is four characters of English; code, with its
//! punctuation and indentation, is denser. Each message costs four tokens more and the reply is primed with three, as in
//! OpenAI's published recipe for counting chat tokens. Limits are settled by the server's own count after the call, so the
//! estimate need only be near.

use super::{ChatRequest, Message, Sampling, Usage};

/// Assumed length of an answer where `max_tokens` does not bound it.
const UNBOUNDED_ANSWER: u32 = 1024;

/// Tokens that a chat template adds at most: a system message of its own, the date, marks.
const TEMPLATE: usize = 128;
/// Tokens that it adds at most to each message.
const TEMPLATE_PER_MESSAGE: usize = 16;

/// Estimated tokens of a prompt.
pub fn prompt_tokens(messages: &[Message]) -> u32 {
    let tokens: u64 = messages.iter().map(|message| text_tokens(message.content.len()) + 4).sum();
    u32::try_from(tokens + 3).unwrap_or(u32::MAX)
}

/// The most tokens that an answer may have, or a guess where nothing bounds it.
pub fn completion_tokens(sampling: &Sampling) -> u32 {
    bound(sampling).unwrap_or(UNBOUNDED_ANSWER)
}

/// The most tokens that a call can use: no token is shorter than a byte, and what a chat template puts around the messages
/// is short. An answer that neither `max_tokens` nor the context bounds is taken to be as long as a guess.
pub fn most_tokens(request: &ChatRequest, context_tokens: Option<u32>) -> Usage {
    let bytes: usize = request.messages.iter().map(|message| message.content.len() + TEMPLATE_PER_MESSAGE).sum();
    let prompt = u32::try_from(bytes + TEMPLATE).unwrap_or(u32::MAX);
    let answer = bound(&request.sampling).or(context_tokens).unwrap_or(UNBOUNDED_ANSWER);
    Usage { prompt_tokens: Some(prompt.min(context_tokens.unwrap_or(u32::MAX))), completion_tokens: Some(answer) }
}

/// What bounds an answer: `max_tokens`, or `extra.max_completion_tokens`, which newer hosted models ask for in its place.
fn bound(sampling: &Sampling) -> Option<u32> {
    let extra = || sampling.extra.get("max_completion_tokens")?.as_u64();
    let bound = sampling.max_tokens.map(u64::from).or_else(extra)?;
    Some(u32::try_from(bound).unwrap_or(u32::MAX))
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
    fn the_most_that_a_call_can_use_is_a_token_for_each_byte_and_the_longest_answer() {
        let request = |sampling: Sampling| ChatRequest {
            model: "m".into(),
            messages: vec![Message { role: Role::User, content: "x".repeat(1000) }],
            sampling: std::sync::Arc::new(sampling),
            sample: 0,
        };
        let short = request(Sampling { max_tokens: Some(7), ..Sampling::default() });
        assert_eq!(most_tokens(&short, None).total(), Some(1000 + 16 + 128 + 7));
        assert_eq!(most_tokens(&short, Some(500)).total(), Some(500 + 7));
        let unbounded = request(Sampling::default());
        assert_eq!(most_tokens(&unbounded, Some(2000)).completion_tokens, Some(2000));
        assert_eq!(most_tokens(&unbounded, None).completion_tokens, Some(UNBOUNDED_ANSWER));
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

//! A model's answer.

/// Tokens that a call used, by the server's own count; absent where it told none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u32>,
    /// Tokens of the answer, reasoning included.
    pub completion_tokens: Option<u32>,
}

impl Usage {
    /// Prompt and answer together, if the server told both.
    pub fn total(self) -> Option<u32> {
        Some(self.prompt_tokens?.saturating_add(self.completion_tokens?))
    }
}

/// Why the model stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// At its end, or at a stop sequence.
    Stop,
    /// At the token limit.
    Length,
    /// At the provider's content filter.
    ContentFilter,
    /// Another word that the server used; `other` if it used none, or not a plain word.
    Other(String),
}

impl FinishReason {
    /// The protocol's word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::Other(word) => word,
        }
    }
}

impl From<Option<String>> for FinishReason {
    fn from(word: Option<String>) -> Self {
        match word.as_deref() {
            Some("stop") => Self::Stop,
            Some("length") => Self::Length,
            Some("content_filter") => Self::ContentFilter,
            _ => Self::Other(word.filter(|word| is_plain(word)).unwrap_or_else(|| "other".to_owned())),
        }
    }
}

/// Whether a server's word may be stored and shown as it is.
fn is_plain(word: &str) -> bool {
    (1..=40).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// A model's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The text, as the model wrote it.
    pub text: String,
    /// Why it stopped.
    pub finish_reason: FinishReason,
    /// What it cost in tokens.
    pub usage: Usage,
    /// The model that answered, in the server's words; it may be more exact than the one asked for.
    pub model: Option<String>,
}

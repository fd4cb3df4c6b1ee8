//! The part of OpenAI's chat-completions protocol that the simulator speaks.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A request for a chat completion. Fields that change nothing here are not read.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ChatRequest<'a> {
    /// Which model; its name decides the role.
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    /// The conversation.
    #[serde(borrow)]
    pub messages: Vec<Message<'a>>,
    /// Whether the answer comes in pieces.
    #[serde(default)]
    pub stream: Option<bool>,
    /// What a stream carries besides.
    #[serde(default)]
    pub stream_options: Option<StreamOptions>,
    /// Sample number: another one gives another answer.
    #[serde(default)]
    pub seed: Option<i64>,
    /// Answers to one request.
    #[serde(default)]
    pub n: Option<u32>,
    /// At 0 the sample number changes nothing.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// Part of the request's identity only.
    #[serde(default)]
    pub top_p: Option<f64>,
    /// Tokens of an answer, at most; the older name.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// Tokens of an answer, at most.
    #[serde(default)]
    pub max_completion_tokens: Option<u32>,
}

/// One message.
#[derive(Clone, Debug, Deserialize)]
pub struct Message<'a> {
    /// `system`, `user` or `assistant`.
    #[serde(borrow)]
    pub role: Cow<'a, str>,
    /// The text, whole or in parts.
    #[serde(borrow, default)]
    pub content: Option<Content<'a>>,
}

/// A message's text.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Content<'a> {
    /// One text.
    Text(#[serde(borrow)] Cow<'a, str>),
    /// Several parts.
    Parts(#[serde(borrow)] Vec<Part<'a>>),
}

/// A part of a message.
#[derive(Clone, Debug, Deserialize)]
pub struct Part<'a> {
    /// Its text; parts of other kinds have none.
    #[serde(borrow, default)]
    pub text: Cow<'a, str>,
}

/// What a stream carries besides the answer.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct StreamOptions {
    /// A last chunk with the usage.
    #[serde(default)]
    pub include_usage: bool,
}

impl Message<'_> {
    /// The whole text.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.content {
            Some(Content::Text(text)) => Cow::Borrowed(text),
            Some(Content::Parts(parts)) => parts.iter().map(|part| &*part.text).collect(),
            None => Cow::Borrowed(""),
        }
    }
}

impl ChatRequest<'_> {
    /// The text that the answer is about: that of the last user message.
    pub fn question(&self) -> Cow<'_, str> {
        let user = self.messages.iter().rev().find(|message| message.role == "user");
        user.or(self.messages.last()).map_or(Cow::Borrowed(""), Message::text)
    }

    /// Tokens of an answer, at most.
    pub fn token_limit(&self) -> Option<u32> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    /// Identity of the request: model, messages, sampling and seed.
    pub fn key(&self) -> RequestKey {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(self.model.as_bytes());
        for message in &self.messages {
            part(message.role.as_bytes());
            part(message.text().as_bytes());
        }
        let number = |n: Option<u64>| {
            n.map_or([0; 9], |n| {
                let mut bytes = [1; 9];
                bytes[1..].copy_from_slice(&n.to_le_bytes());
                bytes
            })
        };
        part(&number(self.seed.map(i64::cast_unsigned)));
        part(&number(self.n.map(u64::from)));
        part(&number(self.temperature.map(f64::to_bits)));
        part(&number(self.top_p.map(f64::to_bits)));
        part(&number(self.token_limit().map(u64::from)));
        let mut first = [0; 16];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        RequestKey(u128::from_le_bytes(first))
    }
}

/// Identity of a request; written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey(pub u128);

impl std::fmt::Display for RequestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for RequestKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Tokens of a request and its answers, estimated by [`crate::python::token_estimate`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the messages.
    pub prompt_tokens: u32,
    /// Tokens of the answers.
    pub completion_tokens: u32,
    /// Both together.
    pub total_tokens: u32,
}

/// Why an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// It is complete.
    Stop,
    /// It was cut at the token limit.
    Length,
}

/// One answer of a completion.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    /// Position, from 0.
    pub index: u32,
    /// The text.
    pub message: Reply,
    /// Always null: there is no model behind.
    pub logprobs: Option<()>,
    /// Why it ends.
    pub finish_reason: FinishReason,
}

/// The message of an answer.
#[derive(Clone, Debug, Serialize)]
pub struct Reply {
    /// Always `assistant`.
    pub role: &'static str,
    /// The text.
    pub content: String,
}

/// The body of a successful answer.
#[derive(Clone, Debug, Serialize)]
pub struct Completion {
    /// `chatcmpl-` and the request's key.
    pub id: String,
    /// `chat.completion`.
    pub object: &'static str,
    /// Seconds since 1970 at which the simulator started.
    pub created: u64,
    /// The model that was asked for.
    pub model: String,
    /// The answers.
    pub choices: Vec<Choice>,
    /// The tokens.
    pub usage: Usage,
    /// `simulator`: no model answered.
    pub system_fingerprint: &'static str,
}

/// The body of a failure.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// What went wrong.
    pub error: FailureDetail,
}

/// What went wrong.
#[derive(Clone, Debug, Serialize)]
pub struct FailureDetail {
    /// For people.
    pub message: String,
    /// OpenAI's class of error.
    pub r#type: &'static str,
    /// The field at fault.
    pub param: Option<&'static str>,
    /// OpenAI's code.
    pub code: Option<&'static str>,
}

impl Failure {
    /// Makes the body of a failure.
    pub fn new(message: impl Into<String>, class: &'static str, code: Option<&'static str>) -> Self {
        Self { error: FailureDetail { message: message.into(), r#type: class, param: None, code } }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(json: &str) -> RequestKey {
        serde_json::from_str::<ChatRequest<'_>>(json).unwrap().key()
    }

    const PLAIN: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi\n"}]}"#;

    #[test]
    fn the_key_holds_model_messages_sampling_and_seed_and_nothing_else() {
        let changed = [
            r#"{"model":"n","messages":[{"role":"user","content":"hi\n"}]}"#,
            r#"{"model":"m","messages":[{"role":"system","content":"hi\n"}]}"#,
            r#"{"model":"m","messages":[{"role":"user","content":"hi\n"}],"seed":0}"#,
            r#"{"model":"m","messages":[{"role":"user","content":"hi\n"}],"temperature":0.5}"#,
            r#"{"model":"m","messages":[{"role":"user","content":"hi\n"}],"max_tokens":5}"#,
        ];
        for json in changed {
            assert_ne!(key(json), key(PLAIN), "{json}");
        }
        let same = r#"{"stream":true,"user":"x","messages":[{"content":[{"type":"text","text":"hi"},{"type":"text","text":"\n"}],"role":"user"}],"model":"m"}"#;
        assert_eq!(key(same), key(PLAIN));
    }

    #[test]
    fn the_question_is_the_last_user_message() {
        let json = r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"user","content":"b"},{"role":"assistant","content":null}]}"#;
        assert_eq!(serde_json::from_str::<ChatRequest<'_>>(json).unwrap().question(), "b");
    }
}

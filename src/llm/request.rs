//! A request to a chat model, and the key under which its answer is kept.

use std::sync::Arc;

use serde::Serialize;

pub use async_openai::types::chat::Role;

use super::Sampling;
use super::estimate;

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// A request to a chat model. Model and sampling are shared by all requests of a stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChatRequest {
    /// The model asked.
    pub model: Arc<str>,
    /// The conversation.
    pub messages: Vec<Message>,
    /// How to sample.
    pub sampling: Arc<Sampling>,
    /// Which of several answers to the same question this is, from 0.
    pub sample: u32,
}

impl ChatRequest {
    /// The request's identity: the first 16 bytes of BLAKE3 over its canonical JSON (model, messages, sampling, sample). Where
    /// it is sent and with what key does not count, so that an answer once paid for serves every later run.
    pub fn request_key(&self) -> [u8; 16] {
        let json = serde_json::to_vec(self).expect("text and numbers always serialise");
        let mut key = [0; 16];
        key.copy_from_slice(&blake3::hash(&json).as_bytes()[..16]);
        key
    }

    /// Estimated tokens of prompt and answer together, before the call.
    pub fn estimated_tokens(&self) -> u32 {
        estimate::prompt_tokens(&self.messages).saturating_add(estimate::completion_tokens(&self.sampling))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ChatRequest {
        ChatRequest {
            model: "m".into(),
            messages: vec![Message { role: Role::User, content: "hello".to_owned() }],
            sampling: Arc::new(Sampling { temperature: Some(0.7), ..Sampling::default() }),
            sample: 0,
        }
    }

    #[test]
    fn equal_requests_have_equal_keys_and_any_difference_shows() {
        let key = request().request_key();
        assert_eq!(key, request().request_key());
        let changes: [fn(&mut ChatRequest); 5] = [
            |request| request.model = "n".into(),
            |request| request.messages[0].content.push(' '),
            |request| request.messages[0].role = Role::System,
            |request| request.sampling = Arc::new(Sampling::default()),
            |request| request.sample = 1,
        ];
        for change in changes {
            let mut other = request();
            change(&mut other);
            assert_ne!(key, other.request_key());
        }
    }

    #[test]
    fn the_key_of_a_request_never_changes_between_versions() {
        let json =
            r#"{"model":"m","messages":[{"role":"user","content":"hello"}],"sampling":{"temperature":0.7},"sample":0}"#;
        assert_eq!(request().request_key(), blake3::hash(json.as_bytes()).as_bytes()[..16]);
    }
}

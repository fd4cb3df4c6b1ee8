//! The chat-completions protocol as bytes.
//!
//! Requests are written from borrowed text. Replies are read by lenient types of our own rather than `async_openai`'s, which
//! refuse a whole reply when `created` or `usage.total_tokens` is missing, when a number is a decimal, or when
//! `finish_reason` is a word that OpenAI does not use (vLLM's `abort`, OpenRouter's `error`): an answer that was paid for
//! would be lost to a field nobody reads. The tests hold both directions against `async_openai`'s types.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};
use serde_json::{Map, Value};

use super::{ChatRequest, Message};

/// The body of a request.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    messages: &'a [Message],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl Body<'_> {
    /// As JSON.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Room for what is escaped and for what stands around the texts, so that it seldom grows.
        let text: usize = self.messages.iter().map(|message| message.content.len() + 40).sum();
        let mut bytes = Vec::with_capacity(text + text / 8 + 256);
        serde_json::to_writer(&mut bytes, self).expect("text and numbers always serialise");
        bytes
    }

    /// The same, answered piece by piece, the usage in the last one.
    pub(super) fn streamed(self) -> Self {
        Self { stream: true, stream_options: Some(StreamOptions { include_usage: true }), ..self }
    }
}

impl<'a> From<&'a ChatRequest> for Body<'a> {
    fn from(request: &'a ChatRequest) -> Self {
        let sampling = &*request.sampling;
        Self {
            model: &request.model,
            messages: &request.messages,
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            max_tokens: sampling.max_tokens,
            stop: &sampling.stop,
            seed: sampling.seed.map(|seed| seed.wrapping_add(i64::from(request.sample))),
            stream: false,
            stream_options: None,
            extra: &sampling.extra,
        }
    }
}

/// The body of a reply; of an error sent with status 200, too.
#[derive(DeriveDeserialize)]
pub(super) struct Reply {
    #[serde(default)]
    pub(super) choices: Option<Vec<Choice>>,
    #[serde(default)]
    pub(super) usage: Option<ReplyUsage>,
    #[serde(default)]
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) error: Option<Value>,
}

#[derive(DeriveDeserialize)]
pub(super) struct Choice {
    #[serde(default)]
    pub(super) message: Option<ReplyMessage>,
    #[serde(default)]
    pub(super) finish_reason: Option<String>,
}

#[derive(DeriveDeserialize)]
pub(super) struct ReplyMessage {
    #[serde(default)]
    pub(super) content: Content,
    #[serde(default)]
    pub(super) refusal: Option<String>,
}

#[derive(DeriveDeserialize)]
pub(super) struct ReplyUsage {
    #[serde(default)]
    pub(super) prompt_tokens: Count,
    #[serde(default)]
    pub(super) completion_tokens: Count,
}

/// A message's text: a string, or a list of parts whose texts are put together.
#[derive(Default)]
pub(super) struct Content(pub(super) Option<String>);

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(DeriveDeserialize)]
        struct Part {
            #[serde(default)]
            text: Option<String>,
        }

        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a list of parts, or null")
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content(Some(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Content, E> {
                Ok(Content(Some(text)))
            }

            fn visit_unit<E>(self) -> Result<Content, E> {
                Ok(Content(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Content, A::Error> {
                let mut text = String::new();
                while let Some(part) = parts.next_element::<Part>()? {
                    text.push_str(part.text.as_deref().unwrap_or_default());
                }
                Ok(Content(Some(text)))
            }
        }

        deserializer.deserialize_any(Text)
    }
}

/// A count of tokens; none if it is missing, negative, or not a number.
#[derive(Default)]
pub(super) struct Count(pub(super) Option<u32>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl<'de> Visitor<'de> for Number {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a count")
            }

            fn visit_u64<E>(self, count: u64) -> Result<Count, E> {
                Ok(Count(u32::try_from(count).ok()))
            }

            fn visit_i64<E>(self, count: i64) -> Result<Count, E> {
                Ok(Count(u32::try_from(count).ok()))
            }

            fn visit_f64<E>(self, count: f64) -> Result<Count, E> {
                Ok(Count((count >= 0.0 && count <= f64::from(u32::MAX)).then_some(count as u32)))
            }

            fn visit_str<E>(self, count: &str) -> Result<Count, E> {
                Ok(Count(count.parse().ok()))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
                Ok(Count(None))
            }

            fn visit_unit<E>(self) -> Result<Count, E> {
                Ok(Count(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Count, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Count(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Count, A::Error> {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Count(None))
            }
        }

        deserializer.deserialize_any(Number)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use async_openai::types::chat::{CreateChatCompletionRequest, CreateChatCompletionResponse};
    use serde_json::json;

    use super::super::{Role, Sampling};
    use super::*;

    fn request() -> ChatRequest {
        let mut extra = Map::new();
        extra.insert("top_k".to_owned(), 20.into());
        ChatRequest {
            model: "m".into(),
            messages: vec![
                Message { role: Role::System, content: "be brief".to_owned() },
                Message { role: Role::User, content: "hello".to_owned() },
            ],
            sampling: Arc::new(Sampling {
                temperature: Some(0.7),
                top_p: Some(0.95),
                max_tokens: Some(64),
                stop: vec!["END".to_owned()],
                seed: Some(5),
                extra,
            }),
            sample: 2,
        }
    }

    #[test]
    fn a_request_is_what_the_protocol_says_and_carries_the_extra_fields() {
        let body = Body::from(&request()).to_bytes();
        let strict: CreateChatCompletionRequest = serde_json::from_slice(&body).unwrap();
        assert_eq!((strict.model.as_str(), strict.messages.len()), ("m", 2));
        assert_eq!((strict.temperature, strict.top_p), (Some(0.7), Some(0.95)));
        let value: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&value["top_k"], &value["max_tokens"]), (&json!(20), &json!(64)));
        assert_eq!(value["stop"], json!(["END"]));
        assert_eq!(value.get("stream"), None);
        let streamed = Body::from(&request()).streamed().to_bytes();
        let strict: CreateChatCompletionRequest = serde_json::from_slice(&streamed).unwrap();
        assert_eq!(strict.stream, Some(true));
        assert_eq!(strict.stream_options.and_then(|options| options.include_usage), Some(true));
    }

    #[test]
    fn every_sample_of_a_seeded_request_has_its_own_seed() {
        let value = serde_json::to_value(Body::from(&request())).unwrap();
        assert_eq!(value["seed"], 7);
    }

    #[test]
    fn what_is_not_set_is_not_sent() {
        let request = ChatRequest { sampling: Arc::default(), ..request() };
        let value = serde_json::to_value(Body::from(&request)).unwrap();
        assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), ["model", "messages"]);
    }

    fn text(reply: &Reply) -> Option<&str> {
        reply.choices.as_ref()?.first()?.message.as_ref()?.content.0.as_deref()
    }

    #[test]
    fn a_reply_that_the_strict_types_read_is_read_the_same() {
        let body = json!({
            "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        });
        let strict: CreateChatCompletionResponse = serde_json::from_value(body.clone()).unwrap();
        let reply: Reply = serde_json::from_value(body).unwrap();
        assert_eq!(text(&reply), strict.choices[0].message.content.as_deref());
        let counts = strict.usage.map(|usage| (Some(usage.prompt_tokens), Some(usage.completion_tokens)));
        assert_eq!(reply.usage.map(|usage| (usage.prompt_tokens.0, usage.completion_tokens.0)), counts);
    }

    #[test]
    fn replies_of_servers_that_bend_the_protocol_are_read() {
        // vLLM: reasoning, stop_reason, null lists, prompt log probabilities.
        let vllm = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "Qwen/Qwen2.5-Coder-7B",
            "choices": [{"index": 0, "message": {"role": "assistant", "reasoning_content": null, "content": "hi",
                "tool_calls": []}, "logprobs": null, "finish_reason": "abort", "stop_reason": 151_645}],
            "usage": {"prompt_tokens": 3, "total_tokens": 4, "completion_tokens": 1, "prompt_tokens_details": null},
            "prompt_logprobs": null, "kv_transfer_params": null
        });
        // llama.cpp: timings, its fields in its own order.
        let llama = json!({
            "choices": [{"finish_reason": "stop", "index": 0, "message": {"role": "assistant", "content": "hi"}}],
            "created": 1.5, "model": "default", "system_fingerprint": "b1", "object": "chat.completion",
            "usage": {"completion_tokens": 1.0, "prompt_tokens": 3}, "id": "x", "timings": {"prompt_n": 3, "cache_n": 0}
        });
        // Parts, as some hosted models answer; no usage, no id.
        let parts = json!({
            "choices": [{"message": {"content": [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]}}]
        });
        for body in [vllm, llama, parts] {
            assert!(serde_json::from_value::<CreateChatCompletionResponse>(body.clone()).is_err());
            let reply: Reply = serde_json::from_value(body).unwrap();
            assert_eq!(text(&reply), Some("hi"));
        }
    }

    #[test]
    fn odd_counts_do_not_cost_the_answer() {
        for count in [json!(null), json!(-1), json!("x"), json!([1]), json!({"a": 1}), json!(1e300), json!(true)] {
            let usage: ReplyUsage =
                serde_json::from_value(json!({"prompt_tokens": count, "completion_tokens": "7"})).unwrap();
            assert_eq!((usage.prompt_tokens.0, usage.completion_tokens.0), (None, Some(7)));
        }
    }
}

//! What an endpoint says about itself before a run.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use super::key::ApiKey;
use super::response::{http_failure, scrub};
use super::transport::Exchange;
use super::{ChatRequest, Failure, FailureClass, Message, Role, Sampling};

/// How often the question is asked again after a failure that may pass.
pub(super) const RETRIES: usize = 2;

/// The longest wait in between: a person is waiting.
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// What an endpoint says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// The models it lists, or none if it has no such list.
    pub models: Option<Vec<String>>,
    /// Whether the model of the settings is among them; some servers answer to names that they do not list.
    pub listed: Option<bool>,
    /// Tokens of the model's context, where the server tells (vLLM, llama.cpp and OpenRouter do).
    pub context_tokens: Option<u32>,
}

/// A request for one token, which costs next to nothing and shows that a model answers. It bounds its answer as `sampling` does,
/// since some models refuse `max_tokens` and others know nothing else; those that do refuse it want 16 tokens at least.
pub fn one_token(model: &str, sampling: Option<&Sampling>) -> ChatRequest {
    let mut short = Sampling::default();
    match sampling {
        Some(sampling) if sampling.max_tokens.is_none() && sampling.extra.contains_key(BOUND) => {
            short.extra.insert(BOUND.to_owned(), 16.into());
        }
        _ => short.max_tokens = Some(1),
    }
    let hello = Message { role: Role::User, content: "Say yes.".to_owned() };
    ChatRequest { model: model.into(), messages: vec![hello], sampling: Arc::new(short), sample: 0 }
}

/// Newer hosted models' word for `max_tokens`.
const BOUND: &str = "max_completion_tokens";

/// Reads the answer to `GET /models`.
pub(super) fn read(exchange: &Exchange, model: &str, key: Option<&ApiKey>) -> Result<Preflight, Failure> {
    let none = Preflight { models: None, listed: None, context_tokens: None };
    match exchange.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => return Ok(none),
        status => return Err(http_failure(status, &exchange.headers, &exchange.body, key)),
    }
    let list: Value = serde_json::from_slice(&exchange.body).map_err(|error| {
        let body = String::from_utf8_lossy(&exchange.body);
        let message = scrub(&format!("the list of models is not JSON ({error}): {body}"), key);
        Failure::new(FailureClass::Malformed, message).with_status(200)
    })?;
    let Some(list) = list.get("data").unwrap_or(&list).as_array() else { return Ok(none) };
    let name = |entry: &Value| entry["id"].as_str().map(|name| scrub(name, key));
    let ours = list.iter().find(|entry| entry["id"] == model);
    Ok(Preflight {
        models: Some(list.iter().filter_map(name).collect()),
        listed: Some(ours.is_some()),
        context_tokens: ours.and_then(context_tokens),
    })
}

fn context_tokens(entry: &Value) -> Option<u32> {
    let fields =
        [&entry["max_model_len"], &entry["meta"]["n_ctx"], &entry["meta"]["n_ctx_train"], &entry["context_length"]];
    fields.into_iter().find_map(Value::as_u64).and_then(|tokens| u32::try_from(tokens).ok())
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn preflight(status: u16, body: &str) -> Result<Preflight, Failure> {
        let status = StatusCode::from_u16(status).unwrap();
        read(&Exchange { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec() }, "m", None)
    }

    #[test]
    fn a_listed_model_is_found_with_its_context() {
        let found = preflight(200, r#"{"data": [{"id": "a"}, {"id": "m", "max_model_len": 4096}]}"#).unwrap();
        assert_eq!((found.listed, found.context_tokens), (Some(true), Some(4096)));
        let llama = preflight(200, r#"{"data": [{"id": "m", "meta": {"n_ctx_train": 8192}}]}"#).unwrap();
        assert_eq!(llama.context_tokens, Some(8192));
    }

    #[test]
    fn an_unlisted_model_is_told_with_the_models_there_are() {
        let found = preflight(200, r#"{"data": [{"id": "a"}, {"id": "b"}]}"#).unwrap();
        assert_eq!((found.listed, found.models), (Some(false), Some(vec!["a".to_owned(), "b".to_owned()])));
    }

    #[test]
    fn a_token_is_asked_for_in_the_word_that_the_model_knows() {
        assert_eq!(one_token("m", None).sampling.max_tokens, Some(1));
        let bounded = Sampling { max_tokens: Some(500), temperature: Some(0.7), ..Sampling::default() };
        let request = one_token("m", Some(&bounded));
        assert_eq!((request.sampling.max_tokens, request.sampling.temperature), (Some(1), None));
        let mut hosted = Sampling::default();
        hosted.extra.insert(BOUND.to_owned(), 900.into());
        let request = one_token("m", Some(&hosted));
        assert_eq!((request.sampling.max_tokens, &request.sampling.extra[BOUND]), (None, &16.into()));
    }

    #[test]
    fn a_server_without_a_list_is_fine() {
        for status in [404, 405, 501] {
            assert_eq!(preflight(status, "").unwrap().listed, None);
        }
        assert_eq!(preflight(200, "{}").unwrap().models, None);
    }

    #[test]
    fn a_refused_key_is_a_failure_of_its_class() {
        assert_eq!(preflight(401, "no").unwrap_err().class, FailureClass::Unauthorised);
        assert_eq!(preflight(200, "<html>").unwrap_err().class, FailureClass::Malformed);
    }
}

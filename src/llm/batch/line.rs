//! Lines of request files and of result files.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::key::ApiKey;
use super::super::response::{judge, scrub};
use super::super::server_error::ServerError;
use super::super::wire::Body;
use super::super::{Answer, Attempt, CallResult, ChatRequest, EndpointSettings, Failure, FailureClass, Outcome};

/// Path of requests, as request files and the Batch API name it.
pub(super) const CHAT: &str = "/v1/chat/completions";

/// A request as a line of a request file, line end included.
pub fn request_line(custom_id: &str, request: &ChatRequest) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        custom_id: &'a str,
        method: &'a str,
        url: &'a str,
        body: Body<'a>,
    }
    let line = Line { custom_id, method: "POST", url: CHAT, body: Body::from(request) };
    let mut text = serde_json::to_string(&line).expect("text and numbers always serialise");
    text.push('\n');
    text
}

/// A line of a result file that tells nothing of any request.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is not a JSON object of the expected form.
    #[error("not a result: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It has no `custom_id`.
    #[error("a result without a custom_id")]
    Nameless,
}

/// What a result file says of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchResult {
    /// The request's name.
    pub custom_id: String,
    /// The answer, or why there is none; none either if it was never sent (the batch expired or was cancelled).
    pub result: Result<Answer, Failure>,
}

impl BatchResult {
    /// The outcome of a call that was sent at `sent_at` and heard of after `latency`.
    pub fn into_outcome(self, sent_at: DateTime<Utc>, latency: Duration) -> Outcome {
        let attempt = Attempt::new(sent_at, latency, None, &self.result);
        let result = match self.result {
            Ok(answer) => CallResult::Answered(answer),
            Err(failure) => CallResult::Failed(failure),
        };
        Outcome { attempts: vec![attempt], result }
    }
}

/// Reads the lines of result files.
#[derive(Debug)]
pub struct ResultReader {
    key: Option<ApiKey>,
}

impl ResultReader {
    /// A reader of an endpoint's results, which takes the endpoint's key out of them, should a server echo it. Reading needs
    /// no key, so one that is not set is no error.
    pub fn new(settings: &EndpointSettings) -> Self {
        Self { key: settings.api_key_env.as_deref().and_then(|variable| ApiKey::from_env(variable).ok()) }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// When it cannot be told which request it speaks of.
    pub fn read(&self, line: &[u8]) -> Result<BatchResult, LineError> {
        #[derive(Deserialize)]
        struct Line {
            custom_id: Option<String>,
            response: Option<Response>,
            error: Option<Value>,
        }
        #[derive(Deserialize)]
        struct Response {
            status_code: Option<u16>,
            body: Option<Value>,
        }
        let line: Line = serde_json::from_slice(line)?;
        let custom_id = line.custom_id.ok_or(LineError::Nameless)?;
        let key = self.key.as_ref();
        let result = match (line.response, line.error) {
            (Some(Response { status_code, body }), error) => {
                let status = status_code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::OK);
                // vLLM puts an error beside the response, not into its body.
                let body = body.unwrap_or_else(|| json!({ "error": error }));
                judge(status, &HeaderMap::new(), body.to_string().as_bytes(), key)
            }
            (None, Some(error)) => Err(never_sent(&error, key)),
            (None, None) => Err(Failure::new(FailureClass::Malformed, "a result with neither response nor error")),
        };
        Ok(BatchResult { custom_id, result })
    }
}

/// The failure of a request that the batch gave up on, by the error's code.
fn never_sent(error: &Value, key: Option<&ApiKey>) -> Failure {
    let code = error["code"].as_str().unwrap_or_default();
    let told = ServerError::from_value(error);
    let class = match told.status {
        Some(status) => told.class(status),
        None if code.contains("expired") || code.contains("timeout") => FailureClass::TimedOut,
        None if code.contains("invalid") => FailureClass::BadRequest,
        None => FailureClass::Overloaded,
    };
    Failure::new(class, scrub(&format!("the batch gave it up: {}", told.describe()), key))
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::super::super::{Message, Role, Sampling};
    use super::*;

    fn read(line: &Value) -> Result<Answer, Failure> {
        let reader = ResultReader { key: None };
        let result = reader.read(line.to_string().as_bytes()).unwrap();
        assert_eq!(result.custom_id, "c");
        result.result
    }

    #[test]
    fn a_request_line_holds_the_body_that_would_have_been_sent() {
        let request = ChatRequest {
            model: "m".into(),
            messages: vec![Message { role: Role::User, content: "a\nb".to_owned() }],
            sampling: Arc::new(Sampling { max_tokens: Some(9), ..Sampling::default() }),
            sample: 0,
        };
        let line = request_line("c", &request);
        assert_eq!(
            line,
            "{\"custom_id\":\"c\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"m\",\
             \"messages\":[{\"role\":\"user\",\"content\":\"a\\nb\"}],\"max_tokens\":9}}\n"
        );
    }

    #[test]
    fn answers_of_openai_and_vllm_are_judged_as_online_ones() {
        let body = |finish: &str| {
            json!({"choices": [{"message": {"content": "hi"}, "finish_reason": finish}],
                   "usage": {"prompt_tokens": 3, "completion_tokens": 1}})
        };
        let line = |body: Value| {
            json!({"id": "batch_req_1", "custom_id": "c", "error": null,
                   "response": {"status_code": 200, "request_id": "r", "body": body}})
        };
        assert_eq!(read(&line(body("stop"))).unwrap().text, "hi");
        let cut = read(&line(body("length"))).unwrap_err();
        assert_eq!((cut.class, cut.usage().unwrap().completion_tokens), (FailureClass::Truncated, Some(1)));
    }

    #[test]
    fn failures_have_their_class_wherever_the_server_puts_the_error() {
        let error = json!({"message": "too long", "type": "BadRequestError", "code": 400});
        for (line, class) in [
            // OpenAI: in the body.
            (
                json!({"custom_id": "c", "response": {"status_code": 400, "body": {"error": error}}, "error": null}),
                FailureClass::BadRequest,
            ),
            // vLLM: beside it.
            (
                json!({"custom_id": "c", "response": {"status_code": 400, "request_id": "r", "body": null},
                       "error": {"error": error}}),
                FailureClass::BadRequest,
            ),
            (
                json!({"custom_id": "c", "response": {"status_code": 500, "body": {"error": "down"}}}),
                FailureClass::Overloaded,
            ),
            (
                json!({"custom_id": "c", "response": null, "error": {"code": "batch_expired", "message": "m"}}),
                FailureClass::TimedOut,
            ),
            (
                json!({"custom_id": "c", "response": null, "error": {"code": "batch_cancelled", "message": "m"}}),
                FailureClass::Overloaded,
            ),
            (json!({"custom_id": "c"}), FailureClass::Malformed),
        ] {
            let failure = read(&line).unwrap_err();
            assert_eq!(failure.class, class, "{line}: {failure}");
        }
    }

    #[test]
    fn lines_that_name_no_request_are_told_apart() {
        let reader = ResultReader { key: None };
        assert!(matches!(reader.read(b"{\"custom_id\": "), Err(LineError::Malformed(_))));
        assert!(matches!(reader.read(b"{\"error\": null}"), Err(LineError::Nameless)));
    }

    #[test]
    fn a_key_that_a_server_echoes_is_taken_out() {
        let key = ApiKey::new(&"sk-0123456789abcdef".to_owned().into()).unwrap();
        let reader = ResultReader { key: Some(key) };
        let line = json!({"custom_id": "c", "response": {"status_code": 401, "body": {"error": {
            "message": "wrong key sk-0123456789abcdef"}}}});
        let failure = reader.read(line.to_string().as_bytes()).unwrap().result.unwrap_err();
        assert!(!failure.message.contains("0123456789"), "{failure}");
    }
}

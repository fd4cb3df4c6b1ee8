//! From a response to an answer or a failure of one of the classes.

use chrono::Utc;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION};

use super::key::ApiKey;
use super::retry_after::retry_after;
use super::server_error::ServerError;
use super::stream::Stream;
use super::wire::Reply;
use super::{Answer, Failure, FailureClass, FinishReason, Usage};

/// Judges a whole response.
pub(super) fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    key: Option<&ApiKey>,
) -> Result<Answer, Failure> {
    if status == StatusCode::OK { read_answer(body, key) } else { Err(http_failure(status, headers, body, key)) }
}

/// Judges an answer that came piece by piece.
pub(super) fn judge_stream(stream: Stream, key: Option<&ApiKey>) -> Result<Answer, Failure> {
    let malformed = |message: String| Failure::new(FailureClass::Malformed, scrub(&message, key)).with_status(200);
    read_reply(stream.into_reply().map_err(malformed)?, b"a stream without a piece of an answer", key)
}

/// The failure that a status other than 200 means.
pub(super) fn http_failure(status: StatusCode, headers: &HeaderMap, body: &[u8], key: Option<&ApiKey>) -> Failure {
    let status = status.as_u16();
    let error = ServerError::read(body);
    let class = error.class(status);
    let mut message = format!("http {status}: {}", error.describe());
    if let (300..400, Some(place)) = (status, headers.get(LOCATION)) {
        message =
            format!("http {status}: moved to {}: set that as base_url", String::from_utf8_lossy(place.as_bytes()));
    }
    Failure {
        retry_after: retry_after(headers, Utc::now(), class == FailureClass::Throttled),
        ..Failure::new(class, scrub(&message, key)).with_status(status)
    }
}

/// Takes the key out of a text. Done before a message is shortened, so that no half of it survives at the cut.
pub(super) fn scrub(text: &str, key: Option<&ApiKey>) -> String {
    key.map_or_else(|| text.to_owned(), |key| key.scrub(text))
}

fn read_answer(body: &[u8], key: Option<&ApiKey>) -> Result<Answer, Failure> {
    let fail = |class, message: &str| Failure::new(class, scrub(message, key)).with_status(200);
    let reply: Reply = serde_json::from_slice(body).map_err(|error| {
        let start = String::from_utf8_lossy(body);
        fail(FailureClass::Malformed, &format!("not a chat completion ({error}): {start}"))
    })?;
    read_reply(reply, body, key)
}

/// Judges a reply; `body` is quoted if that is no answer.
fn read_reply(reply: Reply, body: &[u8], key: Option<&ApiKey>) -> Result<Answer, Failure> {
    let fail = |class, message: &str| Failure::new(class, scrub(message, key)).with_status(200);
    let Some(choice) = reply.choices.and_then(|choices| choices.into_iter().next()) else {
        return Err(match reply.error {
            Some(error) => embedded(&ServerError::from_value(&error), &fail),
            None => fail(FailureClass::Malformed, &format!("no choices: {}", String::from_utf8_lossy(body))),
        });
    };
    let Some(message) = choice.message else {
        return Err(fail(FailureClass::Malformed, "a choice without a message"));
    };
    let usage = reply
        .usage
        .map(|usage| Usage { prompt_tokens: usage.prompt_tokens.0, completion_tokens: usage.completion_tokens.0 });
    let mut answer = Answer {
        text: message.content.0.unwrap_or_default(),
        finish_reason: FinishReason::from(choice.finish_reason),
        usage: usage.unwrap_or_default(),
        model: reply.model.filter(|name| name.len() <= 200 && !name.chars().any(char::is_control)),
    };
    if let Some(key) = key {
        key.scrub_answer(&mut answer.text);
        if let FinishReason::Other(word) = &mut answer.finish_reason {
            key.scrub_answer(word);
        }
        answer.model.iter_mut().for_each(|model| key.scrub_answer(model));
    }
    let fault = match &answer.finish_reason {
        FinishReason::Length => {
            Some((FailureClass::Truncated, "cut at the token limit: raise `max_tokens`".to_owned()))
        }
        FinishReason::ContentFilter => Some((FailureClass::Filtered, "withheld by the content filter".to_owned())),
        FinishReason::Other(word) if matches!(word.as_str(), "error" | "abort") => {
            Some((FailureClass::Malformed, format!("the server broke off: finish_reason {word}")))
        }
        _ => fault_of_text(&answer.text, message.refusal.as_deref()),
    };
    match fault {
        Some((class, message)) => Err(fail(class, &message).with_answer(answer)),
        None => Ok(answer),
    }
}

fn fault_of_text(text: &str, refusal: Option<&str>) -> Option<(FailureClass, String)> {
    match refusal {
        Some(refusal) if !refusal.trim().is_empty() => Some((FailureClass::Refused, refusal.to_owned())),
        _ if text.trim().is_empty() => Some((FailureClass::Empty, "an answer without text".to_owned())),
        _ if text.contains('\0') => {
            Some((FailureClass::Malformed, "a NUL in the answer, which cannot be stored".to_owned()))
        }
        _ => None,
    }
}

/// An error that came with status 200, as routers send when their upstream failed.
fn embedded(error: &ServerError, fail: &impl Fn(FailureClass, &str) -> Failure) -> Failure {
    let class = error.status.map_or(FailureClass::Malformed, |status| error.class(status));
    let failure = fail(class, &format!("an error with status 200: {}", error.describe()));
    error.status.map_or(failure.clone(), |status| failure.with_status(status))
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(choice: &Value) -> Result<Answer, Failure> {
        let body =
            json!({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}, "model": "served"});
        judge(StatusCode::OK, &HeaderMap::new(), body.to_string().as_bytes(), None)
    }

    fn class(choice: &Value) -> FailureClass {
        read(choice).unwrap_err().class
    }

    #[test]
    fn an_answer_keeps_its_text_as_it_came() {
        let answer = read(&json!({"message": {"content": " hi\n"}, "finish_reason": "stop"})).unwrap();
        assert_eq!((answer.text.as_str(), answer.finish_reason), (" hi\n", FinishReason::Stop));
        assert_eq!(answer.usage.total(), Some(5));
        assert_eq!(answer.model.as_deref(), Some("served"));
        assert!(read(&json!({"message": {"content": "hi", "refusal": ""}})).is_ok());
    }

    #[test]
    fn a_cut_answer_is_a_failure_that_keeps_text_and_usage() {
        let failure = read(&json!({"message": {"content": "def f("}, "finish_reason": "length"})).unwrap_err();
        assert_eq!(failure.class, FailureClass::Truncated);
        assert_eq!(failure.usage().unwrap().total(), Some(5));
        assert_eq!(failure.answer.unwrap().text, "def f(");
    }

    #[test]
    fn unusable_answers_fall_into_their_classes() {
        assert_eq!(
            class(&json!({"message": {"content": ""}, "finish_reason": "content_filter"})),
            FailureClass::Filtered
        );
        assert_eq!(class(&json!({"message": {"content": null, "refusal": "no"}})), FailureClass::Refused);
        assert_eq!(class(&json!({"message": {"content": null}, "finish_reason": "tool_calls"})), FailureClass::Empty);
        assert_eq!(class(&json!({"message": {"content": " \n"}})), FailureClass::Empty);
        assert_eq!(class(&json!({"message": {"content": "a"}, "finish_reason": "error"})), FailureClass::Malformed);
        assert_eq!(class(&json!({"message": {"content": "a\u{0}b"}})), FailureClass::Malformed);
        assert_eq!(class(&json!({"finish_reason": "stop"})), FailureClass::Malformed);
    }

    #[test]
    fn bodies_that_are_no_completion_are_malformed_and_quoted() {
        for body in
            ["<html>Bad gateway</html>", "", "[]", r#"{"choices": []}"#, r#"{"choices": null}"#, r#"{"choices": [{"#]
        {
            let failure = judge(StatusCode::OK, &HeaderMap::new(), body.as_bytes(), None).unwrap_err();
            assert_eq!(failure.class, FailureClass::Malformed, "{body}");
            assert!(failure.message.ends_with(body), "{}", failure.message);
        }
    }

    #[test]
    fn an_error_with_status_200_has_the_class_of_its_own_code() {
        let body = br#"{"error": {"message": "upstream is busy", "code": 429}}"#;
        let failure = judge(StatusCode::OK, &HeaderMap::new(), body, None).unwrap_err();
        assert_eq!((failure.class, failure.status), (FailureClass::Throttled, Some(429)));
        let body = br#"{"error": {"message": "odd", "code": "strange"}}"#;
        let failure = judge(StatusCode::OK, &HeaderMap::new(), body, None).unwrap_err();
        assert_eq!((failure.class, failure.status), (FailureClass::Malformed, Some(200)));
    }

    #[test]
    fn the_key_is_gone_from_messages_even_where_they_are_cut() {
        let secret = "sk-planted-0123456789abcdef";
        let key = ApiKey::new(&secret.to_owned().into()).unwrap();
        for pad in 440..500 {
            let body = format!("{} {secret} {secret}", "x".repeat(pad));
            let failure = http_failure(StatusCode::UNAUTHORIZED, &HeaderMap::new(), body.as_bytes(), Some(&key));
            assert!(!failure.message.contains("sk-p"), "{}", failure.message);
        }
        let reply = json!({"choices": [{"message": {"content": format!("you sent {secret}")}}], "model": secret});
        let answer = judge(StatusCode::OK, &HeaderMap::new(), reply.to_string().as_bytes(), Some(&key)).unwrap();
        assert!(!format!("{answer:?}").contains("planted"));
        let refusal = json!({"choices": [{"message": {"refusal": secret}}]});
        let failure = judge(StatusCode::OK, &HeaderMap::new(), refusal.to_string().as_bytes(), Some(&key)).unwrap_err();
        assert!(!format!("{failure:?}").contains("planted"));
    }
}

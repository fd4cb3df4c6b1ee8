//! The error a server sends: its text and code, wherever that server puts them.

use serde_json::Value;

use super::FailureClass;

/// What an error body says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ServerError {
    /// Its text, or the body itself if it has no known form.
    pub(super) message: String,
    /// Its codes and types, in lower case.
    codes: Vec<String>,
    /// A status inside the body, as routers send with 200.
    pub(super) status: Option<u16>,
}

impl ServerError {
    /// Reads a body: JSON in the form of OpenAI, vLLM, llama.cpp or FastAPI, or any text.
    pub(super) fn read(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value @ Value::Object(_)) => Self::from_value(&value),
            _ => Self { message: String::from_utf8_lossy(body).into_owned(), ..Self::default() },
        }
    }

    /// Reads a JSON body, or the `error` inside one.
    pub(super) fn from_value(value: &Value) -> Self {
        let error = value.get("error").unwrap_or(value);
        let message =
            [&error["message"], error, &value["message"], &value["detail"]].into_iter().find_map(Value::as_str);
        let fields = [&error["code"], &error["type"]];
        Self {
            message: message.map_or_else(|| value.to_string(), str::to_owned),
            codes: fields.into_iter().filter_map(Value::as_str).map(str::to_lowercase).collect(),
            status: error["code"]
                .as_u64()
                .and_then(|code| u16::try_from(code).ok())
                .filter(|code| (400..600).contains(code)),
        }
    }

    /// The class of a failure with this body and status.
    pub(super) fn class(&self, status: u16) -> FailureClass {
        let coded = |words: &[&str]| self.codes.iter().any(|code| words.iter().any(|word| code.contains(word)));
        match status {
            402 => FailureClass::OutOfQuota,
            429 if coded(&["insufficient_quota", "billing"]) => FailureClass::OutOfQuota,
            429 => FailureClass::Throttled,
            408 | 504 => FailureClass::TimedOut,
            400..500 if coded(&["content_filter", "content_policy"]) => FailureClass::Filtered,
            401 | 403 => FailureClass::Unauthorised,
            500.. => FailureClass::Overloaded,
            _ => FailureClass::BadRequest,
        }
    }

    /// The message with the first code behind it, for people.
    pub(super) fn describe(&self) -> String {
        let message = self.message.trim();
        match (message.is_empty(), self.codes.first()) {
            (true, None) => "no message".to_owned(),
            (true, Some(code)) => code.clone(),
            (false, Some(code)) if !message.to_lowercase().contains(code.as_str()) => format!("{message} ({code})"),
            (false, _) => message.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_found_in_every_known_form() {
        for body in [
            r#"{"error": {"message": "no", "type": "t", "param": null, "code": "c"}}"#,
            r#"{"object": "error", "message": "no", "type": "t", "code": 400}"#,
            r#"{"error": "no"}"#,
            r#"{"detail": "no"}"#,
            r#"{"message": "no", "request_id": "1"}"#,
            "no",
        ] {
            assert_eq!(ServerError::read(body.as_bytes()).message, "no", "{body}");
        }
        assert_eq!(ServerError::read(br#"{"detail": [{"loc": 1}]}"#).describe(), r#"{"detail":[{"loc":1}]}"#);
        assert_eq!(ServerError::read(b"").describe(), "no message");
    }

    #[test]
    fn statuses_fall_into_their_classes() {
        let plain = ServerError::default();
        for (status, class) in [
            (301, FailureClass::BadRequest),
            (400, FailureClass::BadRequest),
            (401, FailureClass::Unauthorised),
            (402, FailureClass::OutOfQuota),
            (403, FailureClass::Unauthorised),
            (404, FailureClass::BadRequest),
            (408, FailureClass::TimedOut),
            (413, FailureClass::BadRequest),
            (422, FailureClass::BadRequest),
            (429, FailureClass::Throttled),
            (500, FailureClass::Overloaded),
            (503, FailureClass::Overloaded),
            (504, FailureClass::TimedOut),
            (529, FailureClass::Overloaded),
        ] {
            assert_eq!(plain.class(status), class, "{status}");
        }
    }

    #[test]
    fn codes_refine_the_status() {
        let error =
            |code: &str| ServerError::read(format!(r#"{{"error": {{"message": "m", "code": "{code}"}}}}"#).as_bytes());
        assert_eq!(error("insufficient_quota").class(429), FailureClass::OutOfQuota);
        assert_eq!(error("rate_limit_exceeded").class(429), FailureClass::Throttled);
        assert_eq!(error("content_filter").class(400), FailureClass::Filtered);
        assert_eq!(error("content_filter").describe(), "m (content_filter)");
    }
}

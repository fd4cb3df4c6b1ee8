//! Failures of calls, by class. What is done about a failure follows from its class and status, never from its text.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Answer, Usage};

/// Characters of a failure's message that are kept.
const MESSAGE_CHARS: usize = 500;

/// Kinds of failure. The text forms are what `llm_calls.class` and `rejections.class` hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// 429: too many requests or tokens.
    Throttled,
    /// 5xx: the server has trouble.
    Overloaded,
    /// No answer within the endpoint's time-out, or 408 or 504.
    TimedOut,
    /// The server could not be reached, or hung up.
    Connection,
    /// The answer was cut at the token limit.
    Truncated,
    /// The provider's content filter withheld the answer.
    Filtered,
    /// What came back is not an answer in the protocol's form.
    Malformed,
    /// An answer without text.
    Empty,
    /// The model declined.
    Refused,
    /// The server rejects the request itself: 400, 404, 413, 422, redirects.
    BadRequest,
    /// 401 or 403: the key is missing, wrong or not enough.
    Unauthorised,
    /// 402, or 429 with `insufficient_quota`: the account is spent.
    OutOfQuota,
}

/// What a failure that is not retried any more means for the row it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// The row is rejected; the stage goes on.
    RejectRow,
    /// Every other row would fail as well: the stage stops, and the row stays to be done.
    StopStage,
}

impl FailureClass {
    /// Every class.
    pub const ALL: [Self; 12] = [
        Self::Throttled,
        Self::Overloaded,
        Self::TimedOut,
        Self::Connection,
        Self::Truncated,
        Self::Filtered,
        Self::Malformed,
        Self::Empty,
        Self::Refused,
        Self::BadRequest,
        Self::Unauthorised,
        Self::OutOfQuota,
    ];

    /// The form that tables hold.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Overloaded => "overloaded",
            Self::TimedOut => "timed_out",
            Self::Connection => "connection",
            Self::Truncated => "truncated",
            Self::Filtered => "filtered",
            Self::Malformed => "malformed",
            Self::Empty => "empty",
            Self::Refused => "refused",
            Self::BadRequest => "bad_request",
            Self::Unauthorised => "unauthorised",
            Self::OutOfQuota => "out_of_quota",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no failure class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown failure class `{word}`; allowed: {}", FailureClass::ALL.map(FailureClass::as_str).join(", "))]
pub struct UnknownClass {
    /// The word.
    pub word: String,
}

impl FromStr for FailureClass {
    type Err = UnknownClass;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|class| class.as_str() == word);
        known.ok_or_else(|| UnknownClass { word: word.to_owned() })
    }
}

/// A call, or one attempt of it, that gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {message}")]
pub struct Failure {
    /// Its kind.
    pub class: FailureClass,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// What happened: at most 500 characters on one line, without the key.
    pub message: String,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// The answer that was not usable, where there was one: cut, filtered, empty or a refusal. It may have been paid for.
    pub answer: Option<Box<Answer>>,
}

impl Failure {
    /// A failure without a status. The message is shortened and put on one line; scrub keys before.
    pub(super) fn new(class: FailureClass, message: impl AsRef<str>) -> Self {
        Self { class, status: None, message: shorten(message.as_ref()), retry_after: None, answer: None }
    }

    pub(super) fn with_status(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    pub(super) fn with_answer(self, answer: Answer) -> Self {
        Self { answer: Some(Box::new(answer)), ..self }
    }

    /// Tokens that the failed call used all the same.
    pub fn usage(&self) -> Option<Usage> {
        self.answer.as_ref().map(|answer| answer.usage)
    }

    /// What it means for the row where the pipeline file says nothing. Redirects, 404 and 405 stop the stage: base URL or model are wrong, so every row would fail.
    pub fn consequence(&self) -> Consequence {
        match (self.class, self.status) {
            (FailureClass::Unauthorised | FailureClass::OutOfQuota | FailureClass::Connection, _)
            | (FailureClass::BadRequest, Some(300..400 | 404 | 405)) => Consequence::StopStage,
            _ => Consequence::RejectRow,
        }
    }
}

/// One line of at most [`MESSAGE_CHARS`]; control characters, which Postgres and terminals dislike, become spaces.
fn shorten(message: &str) -> String {
    let mut short = String::with_capacity(message.len().min(MESSAGE_CHARS));
    let mut blank = true;
    let mut count = 0;
    for char in message.chars() {
        let space = char.is_whitespace() || char.is_control();
        if space && blank {
            continue;
        }
        if count == MESSAGE_CHARS - 1 {
            short.push('…');
            break;
        }
        short.push(if space { ' ' } else { char });
        count += 1;
        blank = space;
    }
    short.truncate(short.trim_end().len());
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_reads_back_from_its_text() {
        for class in FailureClass::ALL {
            assert_eq!(class.as_str().parse(), Ok(class));
        }
    }

    #[test]
    fn an_unknown_class_is_refused_with_what_is_allowed() {
        let error = "slow".parse::<FailureClass>().map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.contains("`slow`") && text.contains("throttled, overloaded")));
    }

    #[test]
    fn messages_are_one_short_line() {
        let failure = Failure::new(FailureClass::Malformed, format!(" a\n\t\0b {}", "ä".repeat(900)));
        assert!(failure.message.starts_with("a b ä"));
        assert_eq!(failure.message.chars().count(), 500);
    }

    #[test]
    fn only_what_fails_for_every_row_stops_the_stage() {
        let stops = FailureClass::ALL
            .into_iter()
            .filter(|class| Failure::new(*class, "").consequence() == Consequence::StopStage);
        let expected = [FailureClass::Connection, FailureClass::Unauthorised, FailureClass::OutOfQuota];
        assert_eq!(stops.collect::<Vec<_>>(), expected);
        let unknown_model = Failure::new(FailureClass::BadRequest, "").with_status(404);
        assert_eq!(unknown_model.consequence(), Consequence::StopStage);
    }
}

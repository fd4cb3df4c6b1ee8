//! What a call leaves behind, for the caller to commit.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Answer, Failure, FailureClass, Usage};

/// One request that was sent, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it was sent.
    pub started_at: DateTime<Utc>,
    /// From sending to the last byte, or to the failure.
    pub latency: Duration,
    /// From sending to the first piece of the answer, where that was streamed.
    pub first_token: Option<Duration>,
    /// How it failed; none for an answer.
    pub class: Option<FailureClass>,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// What went wrong.
    pub message: Option<String>,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
    /// Why the model stopped, in the protocol's word, where it answered at all.
    pub finish_reason: Option<String>,
    /// Tokens used, where the server told.
    pub usage: Option<Usage>,
}

impl Attempt {
    pub(super) fn new(
        started_at: DateTime<Utc>,
        latency: Duration,
        first_token: Option<Duration>,
        result: &Result<Answer, Failure>,
    ) -> Self {
        let answer = match result {
            Ok(answer) => Some(answer),
            Err(failure) => failure.answer.as_deref(),
        };
        let failure = result.as_ref().err();
        Self {
            started_at,
            latency,
            first_token,
            class: failure.map(|failure| failure.class),
            status: failure.map_or(Some(200), |failure| failure.status),
            message: failure.map(|failure| failure.message.clone()),
            retry_after: failure.and_then(|failure| failure.retry_after),
            finish_reason: answer.map(|answer| answer.finish_reason.as_str().to_owned()),
            usage: answer.map(|answer| answer.usage),
        }
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// With an answer.
    Answered(Answer),
    /// Without one; [`super::FailurePolicies::consequence`] says what that means for the row.
    Failed(Failure),
    /// Cancelled while it waited to be sent, or to be sent again. The row is still to be done.
    Cancelled,
}

/// A call: all its attempts, in order, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Every request that was sent; the last one is the answer's, if there is one.
    pub attempts: Vec<Attempt>,
    /// How it ended.
    pub result: CallResult,
}

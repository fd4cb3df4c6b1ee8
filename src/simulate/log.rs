//! A line of JSON for every request and what became of it, so that a client's behaviour can be checked from outside.

use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::time::Instant;

use super::protocol::FinishReason;
use super::settings::FaultKind;
use super::simulator::Answer;

/// Where lines go; each is written in one go, so that a reader sees whole ones.
#[derive(Debug)]
pub(super) struct RequestLog {
    started: Instant,
    file: Mutex<File>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fate {
    /// The client left before it was known.
    Left,
    /// Sent away by a limit.
    Refused,
    /// Admitted, and met with a fault on the way instead of an answer.
    Failed,
    /// Answered with status 200 and a whole body.
    Answered,
}

#[derive(Serialize)]
struct Line<'a> {
    at: f64,
    until: f64,
    model: &'a str,
    key: String,
    tokens: u32,
    fate: Fate,
    fault: Option<FaultKind>,
    finish_reason: FinishReason,
    content: &'a str,
}

impl RequestLog {
    pub(super) fn new(file: File) -> Self {
        Self { started: Instant::now(), file: Mutex::new(file) }
    }

    /// Opens the line of a request that has come now.
    pub(super) fn enter(self: &Arc<Self>, answer: &Arc<Answer>) -> Entry {
        let (log, answer) = (Arc::clone(self), Arc::clone(answer));
        Entry { log, answer, at: Instant::now(), fate: Fate::Left, fault: None }
    }

    fn write(&self, entry: &Entry) {
        let completion = &entry.answer.completion;
        let Some(choice) = completion.choices.first() else { return };
        let seconds = |time: Instant| time.duration_since(self.started).as_secs_f64();
        let line = Line {
            at: seconds(entry.at),
            until: seconds(Instant::now()),
            model: &completion.model,
            key: entry.answer.key.to_string(),
            tokens: completion.usage.total_tokens,
            fate: entry.fate,
            fault: entry.fault,
            finish_reason: choice.finish_reason,
            content: &choice.message.content,
        };
        let Ok(mut text) = serde_json::to_vec(&line) else { return };
        text.push(b'\n');
        if let Err(error) = self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text) {
            tracing::error!("the simulator's log cannot be written: {error}");
        }
    }
}

/// The line of one request: written when this goes, however the request ends.
#[derive(Debug)]
pub(super) struct Entry {
    log: Arc<RequestLog>,
    answer: Arc<Answer>,
    at: Instant,
    pub(super) fate: Fate,
    pub(super) fault: Option<FaultKind>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.log.write(self);
    }
}

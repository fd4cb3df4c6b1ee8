//! What the outcome of a call means for its row: the calls to record, and how the row ends. Answers of batches come the
//! same way as those of the driver.

use std::mem::take;

use super::{Answered, RowWork};
use crate::ids::CallId;
use crate::llm::{CallResult, Consequence, Failure, FailureClass, Outcome, Prices};
use crate::store::answers::{Ending, NewCall};

/// An outcome, ready to be committed.
pub struct Landing {
    /// Every attempt.
    pub calls: Vec<NewCall>,
    /// How the row ends.
    pub ending: Ending,
    /// The failure that every other row would meet as well: the stage is to stop.
    pub stop: Option<Failure>,
}

/// Reads an outcome; each attempt takes one of `ids`, of which there are enough.
pub fn land(
    work: &RowWork,
    key: [u8; 16],
    outcome: Outcome,
    prices: Option<Prices>,
    ids: impl Iterator<Item = CallId>,
) -> Landing {
    // The last attempt's answer is kept even if it is no use: it may have been paid for.
    let Outcome { attempts, mut result } = outcome;
    let answer = match &mut result {
        CallResult::Answered(answer) => Some(clean(take(&mut answer.text))),
        CallResult::Failed(Failure { answer: Some(answer), .. }) => Some(clean(take(&mut answer.text))),
        _ => None,
    };
    let mut calls = Vec::with_capacity(attempts.len());
    for ((attempt, sent), id) in (1..).zip(attempts).zip(ids) {
        calls.push(NewCall {
            id,
            attempt,
            request_key: key,
            class: sent.class.map_or("ok", FailureClass::as_str),
            status: sent.status,
            message: sent.message.map(clean),
            finish_reason: sent.finish_reason,
            prompt_tokens: sent.usage.and_then(|usage| usage.prompt_tokens),
            completion_tokens: sent.usage.and_then(|usage| usage.completion_tokens),
            cost_microdollars: prices.zip(sent.usage).map(|(prices, usage)| prices.cost_microdollars(usage)),
            latency_ms: sent.latency.as_secs_f64() * 1000.0,
            first_token_ms: sent.first_token.map(|time| time.as_secs_f64() * 1000.0),
            started_at: sent.started_at,
            answer: None,
        });
    }
    let (ending, stop) = match (result, &answer, calls.last()) {
        (CallResult::Answered(_), Some(text), Some(call)) => (ending(work, text, call.id), None),
        (CallResult::Failed(failure), ..) if work.policies.consequence(&failure) == Consequence::StopStage => {
            (Ending::Released, Some(failure))
        }
        (CallResult::Failed(failure), ..) => (rejected(failure.class.as_str(), clean(failure.message)), None),
        _ => (Ending::Released, None),
    };
    if let Some(last) = calls.last_mut() {
        last.answer = answer;
    }
    Landing { calls, ending, stop }
}

/// How a row ends with an answer.
pub fn ending(work: &RowWork, answer: &str, call: CallId) -> Ending {
    let read: Answered = (work.read)(answer);
    match read {
        Ok((text, blocks)) => Ending::Answered { text, blocks, call },
        Err((class, message)) => rejected(class, message),
    }
}

/// A row that is rejected.
pub fn rejected(class: &str, message: String) -> Ending {
    Ending::Rejected { class: class.to_owned(), message }
}

/// Postgres text cannot hold NUL.
fn clean(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

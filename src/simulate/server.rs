//! The simulator on a socket: routes, keys, limits, latency and faults on the way.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use futures::stream;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::batches::{self, Batches};
use super::chance::of_attempt;
use super::dice::Dice;
use super::log::{Entry, Fate};
use super::protocol::{ChatRequest, Failure};
use super::role::MODELS;
use super::settings::FaultKind;
use super::simulator::{Answer, AnswerError, Simulator};
use super::stats::Event;
use super::stream::events;
use super::window::{Allowance, Quota, Verdict};

/// Bytes of a request, at most.
const MAX_BODY_BYTES: usize = 32 << 20;

#[derive(Clone)]
pub(super) struct Shared {
    pub(super) simulator: Arc<Simulator>,
    pub(super) batches: Arc<Batches>,
    /// Limits hold for each model, as providers have it.
    quotas: Arc<Mutex<HashMap<String, Quota>>>,
    stop: CancellationToken,
}

/// Serves `simulator` on `listener` until `stop` is cancelled; requests in flight are finished, those that hang by an
/// injected fault are let go.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, simulator: Arc<Simulator>, stop: CancellationToken) -> std::io::Result<()> {
    let shared = Shared { simulator, batches: Arc::default(), quotas: Arc::default(), stop: stop.clone() };
    let router = Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/models", get(models))
        .route("/v1/files", post(batches::upload))
        .route("/v1/files/{id}/content", get(batches::content))
        .route("/v1/batches", post(batches::create).get(batches::list))
        .route("/v1/batches/{id}", get(batches::show))
        .route("/v1/batches/{id}/cancel", post(batches::show))
        .route("/stats", get(stats))
        .fallback(no_route)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(shared);
    // Small answers must not wait for the acknowledgement of the ones before.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "simulator: TCP_NODELAY could not be set");
        }
    });
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn no_route() -> Response {
    failure(StatusCode::NOT_FOUND, "the simulator has no such route", "invalid_request_error", None)
}

async fn stats(State(shared): State<Shared>) -> Response {
    Json(shared.simulator.stats()).into_response()
}

async fn models(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if !authorised(&shared.simulator, &headers) {
        return wrong_key();
    }
    let model = |name| json!({"id": name, "object": "model", "created": 0, "owned_by": "simulator"});
    Json(json!({"object": "list", "data": MODELS.map(model)})).into_response()
}

async fn chat(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let simulator = &shared.simulator;
    if !authorised(simulator, &headers) {
        return wrong_key();
    }
    let request: ChatRequest<'_> = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            let message = format!("the request is not valid: {error}");
            return failure(StatusCode::BAD_REQUEST, message, "invalid_request_error", None);
        }
    };
    let answer = match simulator.answer(&request) {
        Ok(answer) => answer,
        Err(error @ AnswerError::UnknownModel { .. }) => {
            let code = Some("model_not_found");
            return failure(StatusCode::NOT_FOUND, error.to_string(), "invalid_request_error", code);
        }
        Err(error) => {
            return failure(StatusCode::BAD_REQUEST, error.to_string(), "invalid_request_error", None);
        }
    };
    simulator.counters.arrived(answer.key);
    let mut entry = simulator.log.as_ref().map(|log| log.enter(&answer));
    let verdict = shared.take(&request.model, answer.completion.usage.total_tokens);
    let mut response = match verdict.refused {
        Some((wait, what)) => {
            simulator.counters.note(answer.key, Event::Refused);
            settle(&mut entry, Fate::Refused);
            too_many(wait, &format!("rate limit reached for {what} per minute on {}", request.model))
        }
        None => shared.deliver(&request, &answer, &mut entry).await,
    };
    limit_headers(response.headers_mut(), &verdict);
    response
}

impl Shared {
    fn take(&self, model: &str, tokens: u32) -> Verdict {
        let settings = &self.simulator.settings;
        let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        if !quotas.contains_key(model) {
            let quota = Quota::new(settings.requests_per_minute, settings.tokens_per_minute);
            quotas.insert(model.to_owned(), quota);
        }
        // The clock is read under the lock, so that admissions are in order.
        let now = Instant::now();
        let none = Verdict { refused: None, requests: None, tokens: None };
        quotas.get_mut(model).map_or(none, |quota| quota.take(now, tokens))
    }

    /// Sends an admitted request's answer, or the fault that is in its way.
    async fn deliver(&self, request: &ChatRequest<'_>, answer: &Answer, entry: &mut Option<Entry>) -> Response {
        let simulator = &self.simulator;
        let settings = &simulator.settings;
        let attempt = simulator.counters.note(answer.key, Event::Admitted).admitted;
        if settings.latency_ms > 0 {
            let mut dice = Dice::of(&[b"latency", &answer.key.0.to_le_bytes(), &attempt.to_le_bytes()]);
            let share = 0.5 + dice.unit();
            tokio::time::sleep(Duration::from_millis(settings.latency_ms).mul_f64(share)).await;
        }
        let fault = of_attempt(&settings.faults, settings.seed, answer.key, attempt);
        if let Some(kind) = fault.or(answer.fault) {
            simulator.counters.note(answer.key, Event::Fault(kind));
            if let Some(entry) = entry {
                entry.fault = Some(kind);
            }
        }
        if !matches!(fault, None | Some(FaultKind::Timeout)) {
            settle(entry, Fate::Failed);
        }
        match fault {
            Some(FaultKind::InternalError) => {
                let message = "the simulator injected an internal error";
                failure(StatusCode::INTERNAL_SERVER_ERROR, message, "server_error", None)
            }
            Some(FaultKind::Unavailable) => {
                let message = "the simulator injected an overload";
                failure(StatusCode::SERVICE_UNAVAILABLE, message, "server_error", None)
            }
            Some(FaultKind::TooManyRequests) => {
                too_many(Duration::from_millis(settings.retry_after_ms), "the simulator injected a rate limit")
            }
            Some(FaultKind::Timeout) => {
                self.stop.cancelled().await;
                failure(StatusCode::SERVICE_UNAVAILABLE, "the simulator stops", "server_error", None)
            }
            Some(FaultKind::Drop) => broken_off(request, answer),
            _ => {
                simulator.counters.note(answer.key, Event::Answered { known: answer.known });
                settle(entry, Fate::Answered);
                whole(request, answer)
            }
        }
    }
}

fn settle(entry: &mut Option<Entry>, fate: Fate) {
    if let Some(entry) = entry {
        entry.fate = fate;
    }
}

pub(super) fn authorised(simulator: &Simulator, headers: &HeaderMap) -> bool {
    let Some(key) = &simulator.api_key else {
        return true;
    };
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    given.and_then(|value| value.strip_prefix("Bearer ")).is_some_and(|given| given.trim() == key)
}

pub(super) fn wrong_key() -> Response {
    let message = "the API key is missing or wrong";
    failure(StatusCode::UNAUTHORIZED, message, "invalid_request_error", Some("invalid_api_key"))
}

pub(super) fn failure(
    status: StatusCode,
    message: impl Into<String>,
    class: &'static str,
    code: Option<&'static str>,
) -> Response {
    (status, Json(Failure::new(message, class, code))).into_response()
}

fn too_many(wait: Duration, message: &str) -> Response {
    let text = format!("{message}; try again in {}", in_words(wait));
    let mut response = failure(StatusCode::TOO_MANY_REQUESTS, text, "requests", Some("rate_limit_exceeded"));
    // Rounded up: who comes back when told must be let in.
    let milliseconds = wait.as_nanos().div_ceil(1_000_000) as u64;
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(milliseconds.div_ceil(1000)));
    headers.insert("retry-after-ms", HeaderValue::from(milliseconds));
    response
}

fn limit_headers(headers: &mut HeaderMap, verdict: &Verdict) {
    let mut insert = |allowance: Option<Allowance>, names: [&'static str; 3]| {
        let Some(allowance) = allowance else { return };
        headers.insert(names[0], HeaderValue::from(allowance.limit));
        headers.insert(names[1], HeaderValue::from(allowance.remaining));
        if let Ok(reset) = HeaderValue::try_from(in_words(allowance.reset)) {
            headers.insert(names[2], reset);
        }
    };
    insert(
        verdict.requests,
        ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
    );
    insert(verdict.tokens, ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]);
}

/// A time as OpenAI writes it: `6m0s`, `1.5s`, `20ms`.
fn in_words(time: Duration) -> String {
    let milliseconds = time.as_nanos().div_ceil(1_000_000) as u64;
    let (minutes, rest) = (milliseconds / 60_000, milliseconds % 60_000);
    let seconds = rest as f64 / 1000.0;
    match (minutes, rest) {
        (0, 0..1000) => format!("{rest}ms"),
        (0, _) => format!("{seconds}s"),
        _ => format!("{minutes}m{seconds}s"),
    }
}

fn is_stream(request: &ChatRequest<'_>) -> bool {
    request.stream.unwrap_or(false)
}

fn whole(request: &ChatRequest<'_>, answer: &Answer) -> Response {
    let malformed = answer.fault == Some(FaultKind::Malformed);
    if !is_stream(request) {
        let end = if malformed { answer.body.len() / 2 } else { answer.body.len() };
        return body_response("application/json", Body::from(answer.body[..end].to_vec()));
    }
    let with_usage = request.stream_options.is_some_and(|options| options.include_usage);
    let mut all = events(&answer.completion, with_usage);
    if malformed && let Some(first) = all.first_mut() {
        first.truncate(first.len() / 2);
        first.push_str("\n\n");
    }
    let parts = stream::iter(all.into_iter().map(Ok::<_, Infallible>));
    body_response("text/event-stream", Body::from_stream(parts))
}

/// Half of the answer, then the connection closes.
fn broken_off(request: &ChatRequest<'_>, answer: &Answer) -> Response {
    let (kind, half) = if is_stream(request) {
        let mut all = events(&answer.completion, false);
        all.truncate(all.len() / 2);
        ("text/event-stream", all.concat().into_bytes())
    } else {
        ("application/json", answer.body[..answer.body.len() / 2].to_vec())
    };
    let closed = || std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
    body_response(kind, Body::from_stream(stream::iter([Ok(half), Err(closed())])))
}

fn body_response(kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;

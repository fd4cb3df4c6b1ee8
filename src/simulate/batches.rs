//! The Batch API of the simulator: files and batches in memory, gone when it stops. A batch is done when it is made;
//! faults of the way (errors, time-outs, limits) do not concern it, those of an answer itself do.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::protocol::ChatRequest;
use super::server::{Shared, authorised, failure, wrong_key};
use super::settings::FaultKind;
use super::simulator::Simulator;

/// Files and batches by their names.
#[derive(Default)]
pub(super) struct Batches {
    files: Mutex<BTreeMap<String, Bytes>>,
    batches: Mutex<BTreeMap<String, Value>>,
}

impl Batches {
    fn add_file(&self, content: Bytes) -> String {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let id = format!("file-{}", files.len() + 1);
        files.insert(id.clone(), content);
        id
    }

    fn file(&self, id: &str) -> Option<Bytes> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

/// `POST /v1/files`: takes the part called `file` out of the form.
pub(super) async fn upload(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    if !authorised(&shared.simulator, &headers) {
        return wrong_key();
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary =
        kind.split_once("boundary=").map(|(_, rest)| rest.split(';').next().unwrap_or(rest).trim_matches('"'));
    match boundary.and_then(|boundary| part(&body, boundary)) {
        Some(range) => {
            let content = body.slice(range);
            let bytes = content.len();
            let id = shared.batches.add_file(content);
            Json(json!({ "id": id, "object": "file", "purpose": "batch", "bytes": bytes })).into_response()
        }
        None => refused("the form has no part called `file`"),
    }
}

/// Where the content of the part called `file` stands.
fn part(body: &[u8], boundary: &str) -> Option<std::ops::Range<usize>> {
    let mark = format!("--{boundary}");
    let find = |from: usize, what: &[u8]| memchr::memmem::find(body.get(from..)?, what).map(|at| from + at);
    let mut at = find(0, mark.as_bytes())? + mark.len();
    loop {
        let start = find(at, b"\r\n\r\n")? + 4;
        let end = find(start, format!("\r\n{mark}").as_bytes())?;
        if memchr::memmem::find(&body[at..start], b"name=\"file\"").is_some() {
            return Some(start..end);
        }
        at = end + 2 + mark.len();
    }
}

/// `GET /v1/files/{id}/content`
pub(super) async fn content(State(shared): State<Shared>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    match shared.batches.file(&id) {
        _ if !authorised(&shared.simulator, &headers) => wrong_key(),
        Some(content) => content.into_response(),
        None => unknown("file", &id),
    }
}

/// `POST /v1/batches`
pub(super) async fn create(State(shared): State<Shared>, headers: HeaderMap, Json(asked): Json<Value>) -> Response {
    if !authorised(&shared.simulator, &headers) {
        return wrong_key();
    }
    let name = asked["input_file_id"].as_str().unwrap_or_default();
    let Some(requests) = shared.batches.file(name) else { return unknown("file", name) };
    let simulator = std::sync::Arc::clone(&shared.simulator);
    let answered = tokio::task::spawn_blocking(move || answer(&simulator, &requests)).await;
    let Ok((answers, failures)) = answered else { return refused("the file could not be answered") };
    let file = |lines: &[String]| (!lines.is_empty()).then(|| shared.batches.add_file(lines.concat().into()));
    let (output, errors) = (file(&answers), file(&failures));
    let mut batches = shared.batches.batches.lock().unwrap_or_else(PoisonError::into_inner);
    let id = format!("batch_{}", batches.len() + 1);
    let total = answers.len() + failures.len();
    let batch = json!({
        "id": id, "object": "batch", "endpoint": asked["endpoint"], "input_file_id": name, "status": "completed",
        "completion_window": asked["completion_window"], "output_file_id": output, "error_file_id": errors,
        "request_counts": { "total": total, "completed": answers.len(), "failed": failures.len() },
    });
    batches.insert(id, batch.clone());
    Json(batch).into_response()
}

/// `GET /v1/batches`
pub(super) async fn list(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if !authorised(&shared.simulator, &headers) {
        return wrong_key();
    }
    let batches = shared.batches.batches.lock().unwrap_or_else(PoisonError::into_inner);
    let all: Vec<&Value> = batches.values().rev().collect();
    Json(json!({ "object": "list", "data": all, "has_more": false })).into_response()
}

/// `GET /v1/batches/{id}`, and `POST /v1/batches/{id}/cancel`, which comes too late for any batch.
pub(super) async fn show(State(shared): State<Shared>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let batches = shared.batches.batches.lock().unwrap_or_else(PoisonError::into_inner);
    match batches.get(&id) {
        _ if !authorised(&shared.simulator, &headers) => wrong_key(),
        Some(batch) => Json(batch.clone()).into_response(),
        None => unknown("batch", &id),
    }
}

/// Lines of answers and of failures.
fn answer(simulator: &Simulator, requests: &[u8]) -> (Vec<String>, Vec<String>) {
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    for line in requests.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        let request: Value = serde_json::from_slice(line).unwrap_or_default();
        let body = request["body"].to_string();
        let parsed = serde_json::from_str::<ChatRequest<'_>>(&body).map_err(|error| error.to_string());
        let answer = parsed.and_then(|request| simulator.answer(&request).map_err(|error| error.to_string()));
        // A malformed answer is half a body, which no line can hold: it is told as an error.
        let answer = answer.and_then(|answer| match answer.fault {
            Some(FaultKind::Malformed) => Err("the simulator injected an error".to_owned()),
            _ => serde_json::from_slice::<Value>(&answer.body).map_err(|error| error.to_string()),
        });
        let (lines, status, body) = match answer {
            Ok(body) => (&mut answers, 200, body),
            Err(message) => (&mut failures, 400, json!({ "error": { "message": message } })),
        };
        let response = json!({ "status_code": status, "request_id": "simulated", "body": body });
        let line = json!({ "id": "simulated", "custom_id": request["custom_id"], "response": response, "error": null });
        lines.push(format!("{line}\n"));
    }
    (answers, failures)
}

fn refused(message: &str) -> Response {
    failure(StatusCode::BAD_REQUEST, message, "invalid_request_error", None)
}

fn unknown(what: &str, id: &str) -> Response {
    failure(StatusCode::NOT_FOUND, format!("the simulator has no {what} `{id}`"), "invalid_request_error", None)
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn the_file_of_a_form_is_found_wherever_it_stands() {
        let form = b"--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\n\
                     content-disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n{\"a\": 1}\n\r\n--b--\r\n";
        let found = part(form, "b").map(|range| &form[range]);
        assert_eq!(found, Some(&b"{\"a\": 1}\n"[..]));
        assert_eq!(part(form, "c"), None);
        assert_eq!(part(b"--b\r\n\r\n--b--", "b"), None);
    }
}

//! A Batch API with a script: files and batches in memory, each request answered at once, and what can go wrong with them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What becomes of a request in a batch.
#[derive(Clone, Debug)]
pub enum Line {
    /// Answered with this text.
    Answer(String),
    /// Answered, cut at the token limit.
    Cut(String),
    /// Failed with this status, in the file of failures.
    Status(u16),
    /// Never sent: the batch expired.
    Expired,
    /// No line at all.
    Missing,
    /// Answered, and told twice.
    Twice(String),
}

type Script = Box<dyn Fn(&Value) -> Line + Send + Sync>;

struct Shared {
    script: Script,
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    batches: Mutex<BTreeMap<String, Value>>,
    /// What batches that are asked for are.
    status: Mutex<&'static str>,
    /// The next batches are made, but the client is told nothing.
    deaf: Mutex<u32>,
}

/// The server; it ends when dropped.
pub struct BatchServer {
    /// Up to and with its version.
    pub url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl BatchServer {
    /// Starts a server; `script` is shown the body of each request.
    pub async fn start(script: impl Fn(&Value) -> Line + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            script: Box::new(script),
            files: Mutex::default(),
            batches: Mutex::default(),
            status: Mutex::new("completed"),
            deaf: Mutex::new(0),
        });
        let router = Router::new()
            .route("/v1/files", post(upload))
            .route("/v1/files/{id}/content", get(content))
            .route("/v1/batches", post(create).get(list))
            .route("/v1/batches/{id}", get(show))
            .route("/v1/batches/{id}/cancel", post(show))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task }
    }

    /// From now on batches are `status`.
    pub fn set_status(&self, status: &'static str) {
        *self.shared.status.lock().unwrap() = status;
    }

    /// Makes the next `count` batches without telling the client.
    pub fn be_deaf(&self, count: u32) {
        *self.shared.deaf.lock().unwrap() = count;
    }

    /// Number of batches that were made.
    pub fn batches(&self) -> usize {
        self.shared.batches.lock().unwrap().len()
    }
}

impl Drop for BatchServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn reply(status: u16, body: impl Into<Body>) -> Response<Body> {
    Response::builder().status(status).body(body.into()).unwrap()
}

/// Takes the file out of its form.
async fn upload(State(shared): State<Arc<Shared>>, body: Bytes) -> Response<Body> {
    let text = std::str::from_utf8(&body).unwrap();
    let boundary = text.lines().next().unwrap();
    let parts: Vec<&str> = text.split(boundary).collect();
    assert!(parts[1].contains("name=\"purpose\"\r\n\r\nbatch\r\n"), "{text}");
    let (head, file) = parts[2].split_once("\r\n\r\n").unwrap();
    assert!(head.contains("name=\"file\"; filename=\"") && head.contains(".jsonl\""), "{head}");
    let mut files = shared.files.lock().unwrap();
    let id = format!("file-{}", files.len() + 1);
    files.insert(id.clone(), file.strip_suffix("\r\n").unwrap().as_bytes().to_vec());
    reply(200, json!({ "id": id, "object": "file" }).to_string())
}

async fn content(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response<Body> {
    match shared.files.lock().unwrap().get(&id) {
        Some(file) => reply(200, file.clone()),
        None => reply(404, json!({"error": {"message": "no such file"}}).to_string()),
    }
}

async fn create(State(shared): State<Arc<Shared>>, body: Bytes) -> Response<Body> {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&asked["endpoint"], &asked["completion_window"]), (&"/v1/chat/completions".into(), &"24h".into()));
    let id = {
        let mut batches = shared.batches.lock().unwrap();
        let id = format!("batch_{}", batches.len() + 1);
        let batch =
            json!({ "id": id, "object": "batch", "status": "validating", "input_file_id": asked["input_file_id"] });
        batches.insert(id.clone(), batch);
        id
    };
    let is_deaf = {
        let mut deaf = shared.deaf.lock().unwrap();
        let is_deaf = *deaf > 0;
        *deaf = deaf.saturating_sub(1);
        is_deaf
    };
    if is_deaf {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    reply(200, shared.batches.lock().unwrap()[&id].to_string())
}

async fn list(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let batches: Vec<Value> = shared.batches.lock().unwrap().values().cloned().collect();
    reply(200, json!({ "data": batches, "has_more": false }).to_string())
}

async fn show(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response<Body> {
    let status = *shared.status.lock().unwrap();
    let Some(mut batch) = shared.batches.lock().unwrap().get(&id).cloned() else {
        return reply(404, json!({"error": {"message": "no such batch"}}).to_string());
    };
    batch["status"] = status.into();
    if ["completed", "expired", "cancelled"].contains(&status) {
        let input = batch["input_file_id"].as_str().unwrap().to_owned();
        let requests = shared.files.lock().unwrap()[&input].clone();
        let (answers, failures) = results(&requests, &shared.script);
        let mut files = shared.files.lock().unwrap();
        for (key, lines) in [("output_file_id", answers), ("error_file_id", failures)] {
            let name = format!("{input}-{key}");
            batch[key] = if lines.is_empty() { Value::Null } else { name.clone().into() };
            files.insert(name, lines.into_bytes());
        }
    }
    reply(200, batch.to_string())
}

/// The files of answers and failures, in another order than the requests.
pub fn results(requests: &[u8], script: &dyn Fn(&Value) -> Line) -> (String, String) {
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    for line in std::str::from_utf8(requests).unwrap().lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&request["method"], &request["url"]), (&"POST".into(), &"/v1/chat/completions".into()));
        let id = &request["custom_id"];
        let answered = |text: &str, finish: &str| {
            let body = json!({
                "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 10}, "model": request["body"]["model"],
            });
            let response = json!({"status_code": 200, "request_id": "r", "body": body});
            json!({"id": "b", "custom_id": id, "response": response, "error": null}).to_string()
        };
        match script(&request["body"]) {
            Line::Answer(text) => answers.push(answered(&text, "stop")),
            Line::Cut(text) => answers.push(answered(&text, "length")),
            Line::Twice(text) => answers.extend([answered(&text, "stop"), answered(&text, "stop")]),
            Line::Status(status) => failures.push(
                json!({"custom_id": id, "error": null,
                       "response": {"status_code": status, "body": {"error": {"message": "no"}}}})
                .to_string(),
            ),
            Line::Expired => failures.push(
                json!({"custom_id": id, "response": null,
                       "error": {"code": "batch_expired", "message": "not in time"}})
                .to_string(),
            ),
            Line::Missing => {}
        }
    }
    answers.reverse();
    let file = |lines: Vec<String>| lines.into_iter().map(|line| line + "\n").collect();
    (file(answers), file(failures))
}

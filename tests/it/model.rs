//! A model server with a script, which counts what it is asked.
//!
//! Its answers follow from the request alone, and each carries the request's reference, so that a stored answer tells
//! which request it was paid with.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One request, as a script sees it.
#[derive(Clone, Debug)]
pub struct Question {
    /// Hash of its body.
    pub reference: String,
    /// The model it names.
    pub model: String,
    /// Its last message.
    pub prompt: String,
    /// What its `authorization` header says.
    pub authorization: Option<String>,
    /// Requests of the same body before it.
    pub seen: u32,
}

/// What the server does with it.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers.
    Text(String),
    /// Answers, cut at the token limit.
    Cut(String),
    /// Fails with this status and message.
    Status(u16, &'static str),
    /// Sends no completion, with status 200.
    Malformed,
    /// Closes the connection in the middle of the answer.
    Drop,
    /// Answers, but does not tell the tokens used.
    Uncounted(String),
    /// Keeps the client waiting for so long before an answer.
    Late(Duration, String),
}

/// What is known of the requests of one body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The model they name.
    pub model: String,
    /// How many there were.
    pub requests: u32,
    /// How many were answered well and to the end.
    pub answers: u32,
}

type Script = Box<dyn Fn(&Question) -> Reply + Send + Sync>;

struct Shared {
    /// Requests that are being worked on.
    open: AtomicU32,
    script: Mutex<Script>,
    latency: Duration,
    asked: Mutex<BTreeMap<String, Asked>>,
}

/// The server; it ends when dropped.
pub struct ModelServer {
    /// Up to and with its version.
    pub url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What the server says of its models.
fn models() -> String {
    let model = |name: &str| json!({"id": name, "max_model_len": 4096});
    let models = ["describer", "strong", "weak", "judge"].map(model);
    json!({ "data": models }).to_string()
}

/// What each model answers when nothing goes wrong.
pub fn answer(question: &Question) -> String {
    let reference = &question.reference;
    match question.model.as_str() {
        "describer" => format!("Write the function that note {reference} asks for."),
        "strong" => format!(
            "Here it is:\n\n```python\ndef noted_{reference}(values):\n    total = sum(values)\n    \
             return total + len(values)\n```\n"
        ),
        _ => format!(
            "```python\ndef noted_{reference}(values):\n    total = max(values)\n    return total - len(values)\n```"
        ),
    }
}

/// The script without faults.
pub fn well(question: &Question) -> Reply {
    Reply::Text(answer(question))
}

/// The script with faults that pass: one request in twelve fails in one of four ways, and works the next time.
pub fn shaky(question: &Question) -> Reply {
    let hash = blake3::hash(format!("{} {}", question.reference, question.seen / 2).as_bytes());
    let dice = hash.as_bytes()[0];
    match dice {
        _ if question.seen % 2 == 1 => well(question),
        0..=7 => Reply::Status(500, "the server stumbled"),
        8..=13 => Reply::Drop,
        14..=19 => Reply::Malformed,
        20..=21 => Reply::Status(429, "slow down"),
        _ => well(question),
    }
}

impl ModelServer {
    /// Starts a server of the models describer, strong, weak and judge, each answer after about `latency`.
    pub async fn start(latency: Duration, script: impl Fn(&Question) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            open: AtomicU32::new(0),
            script: Mutex::new(Box::new(script)),
            latency,
            asked: Mutex::default(),
        });
        let router = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/models", get(async || models()))
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task }
    }

    /// Goes on with another script.
    pub fn follow(&self, script: impl Fn(&Question) -> Reply + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Box::new(script);
    }

    /// What was asked so far, by reference.
    pub fn asked(&self) -> BTreeMap<String, Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Number of requests that are being worked on.
    pub fn open(&self) -> u32 {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Number of requests so far, failed ones too.
    pub fn requests(&self) -> u32 {
        self.shared.asked.lock().unwrap().values().map(|asked| asked.requests).sum()
    }

    /// Number of answers so far.
    pub fn answers(&self) -> u32 {
        self.shared.asked.lock().unwrap().values().map(|asked| asked.answers).sum()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A request that is being worked on, until it is answered or the client has gone.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The references that stored answers carry.
pub fn references(text: &str) -> Option<&str> {
    let start = ["note ", "noted_"].iter().find_map(|mark| text.find(mark).map(|at| at + mark.len()))?;
    text.get(start..start + 16)
}

async fn complete(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let _open = Open::new(&shared);
    let request: Value = serde_json::from_slice(&body).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let reference = blake3::hash(&body).to_hex()[..16].to_owned();
    let model = text(&request["model"]);
    let seen = {
        let mut asked = shared.asked.lock().unwrap();
        let asked = asked.entry(reference.clone()).or_default();
        asked.model.clone_from(&model);
        asked.requests += 1;
        asked.requests - 1
    };
    let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let messages = request["messages"].as_array().unwrap();
    let prompt = text(&messages[messages.len() - 1]["content"]);
    let question = Question { reference, model, prompt, authorization, seen };
    let reply = (shared.script.lock().unwrap())(&question);
    // Between half and one and a half of the latency, by the request.
    let share = 0.5 + f64::from(blake3::hash(question.reference.as_bytes()).as_bytes()[1]) / 255.0;
    tokio::time::sleep(shared.latency.mul_f64(share)).await;
    let status = |status: u16, body: String| Response::builder().status(status).body(Body::from(body)).unwrap();
    let counts = !matches!(reply, Reply::Uncounted(_));
    let (text, finish_reason) = match reply {
        Reply::Text(text) | Reply::Uncounted(text) => (text, "stop"),
        Reply::Cut(text) => (text, "length"),
        Reply::Late(wait, text) => {
            tokio::time::sleep(wait).await;
            (text, "stop")
        }
        Reply::Status(code, message) => return status(code, json!({"error": {"message": message}}).to_string()),
        Reply::Malformed => return status(200, "<html>no completion</html>".to_owned()),
        Reply::Drop => {
            let parts = [Ok(Bytes::from_static(b"{\"choices\": [")), Err(std::io::Error::other("dropped"))];
            return Response::new(Body::from_stream(futures::stream::iter(parts)));
        }
    };
    shared.asked.lock().unwrap().get_mut(&question.reference).unwrap().answers += 1;
    let mut body = json!({
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": question.prompt.len() / 4, "completion_tokens": text.len() / 4},
        "model": question.model,
    });
    if !counts {
        body["usage"] = Value::Null;
    }
    status(200, body.to_string())
}

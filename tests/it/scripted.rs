//! A model server that sends any bytes: its script decides by model and by how often that was asked.
//!
//! Only questions that begin with [`MARK`] follow the script and are counted; any other, as a check before a run makes one,
//! is answered well.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::post;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How the questions of these tests begin.
pub const MARK: &str = "Describe:";

/// One question.
#[derive(Clone, Debug)]
pub struct Question {
    /// The model it names.
    pub model: String,
    /// What its `authorization` header says after `Bearer`.
    pub key: String,
    /// Questions to this model before it.
    pub seen: u32,
    /// Its number of messages.
    pub messages: usize,
}

/// What the server does.
pub enum Act {
    /// Sends this status, these headers and this body.
    Send(u16, Vec<(&'static str, String)>, String),
    /// Sends these pieces, one after the other; then it ends, breaks off, or is silent.
    Stream(Vec<String>, End),
    /// Says nothing.
    Silence,
}

/// How a stream ends.
pub enum End {
    /// Well.
    Well,
    /// The connection breaks.
    Broken,
    /// Nothing more comes.
    Silent,
}

/// A completion with this text and reason.
pub fn completion(text: &str, finish_reason: &str) -> String {
    let choice = json!({"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason});
    json!({"choices": [choice], "usage": {"prompt_tokens": 20, "completion_tokens": 7}}).to_string()
}

/// A good answer.
pub fn good() -> Act {
    Act::Send(200, Vec::new(), completion("Write a function that doubles a value.", "stop"))
}

/// One event of a stream.
pub fn event(delta: &Value, finish_reason: Option<&str>) -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}))
}

type Script = dyn Fn(&Question) -> Act + Send + Sync;

struct Shared {
    script: Box<Script>,
    asked: Mutex<BTreeMap<String, u32>>,
}

/// The server; it ends when dropped.
pub struct ScriptedServer {
    /// Up to and with its version.
    pub url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl ScriptedServer {
    /// Starts a server.
    pub async fn start(script: impl Fn(&Question) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { script: Box::new(script), asked: Mutex::default() });
        let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task }
    }

    /// How often a model was asked.
    pub fn asked(&self, model: &str) -> u32 {
        self.shared.asked.lock().unwrap().get(model).copied().unwrap_or(0)
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn complete(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let messages = request["messages"].as_array().unwrap();
    let marked = messages[0]["content"].as_str().is_some_and(|text| text.starts_with(MARK));
    let act = if marked {
        let model = request["model"].as_str().unwrap().to_owned();
        let authorization = headers.get("authorization").map_or("", |value| value.to_str().unwrap());
        let key = authorization.trim_start_matches("Bearer ").to_owned();
        let seen = {
            let mut asked = shared.asked.lock().unwrap();
            let count = asked.entry(model.clone()).or_default();
            *count += 1;
            *count - 1
        };
        (shared.script)(&Question { model, key, seen, messages: messages.len() })
    } else {
        good()
    };
    match act {
        Act::Send(status, headers, body) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.try_into().unwrap());
            }
            response
        }
        Act::Stream(pieces, end) => {
            let pieces = futures::stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from(piece))));
            let end = futures::stream::once(async move {
                match end {
                    End::Well => Ok(Bytes::new()),
                    End::Broken => Err(std::io::Error::other("broken")),
                    End::Silent => {
                        tokio::time::sleep(Duration::from_secs(600)).await;
                        Ok(Bytes::new())
                    }
                }
            });
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(Body::from_stream(pieces.chain(end)))
                .unwrap()
        }
        Act::Silence => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            Response::new(Body::empty())
        }
    }
}

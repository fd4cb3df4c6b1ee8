//! The Batch API: files up, batches made and looked at, results down.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;

use super::super::endpoint::parse_base_url;
use super::super::key::ApiKey;
use super::super::response::http_failure;
use super::super::transport::Transport;
use super::super::{EndpointSettings, Failure, FailureClass, SettingsError};
use super::line::CHAT;

/// How long a question about a batch may take.
const QUESTION: Duration = Duration::from_secs(60);
/// How long a file may take, up or down.
const FILE: Duration = Duration::from_secs(3600);
/// How often a question is asked before its failure stands.
const ATTEMPTS: u32 = 4;
/// The longest wait between two attempts.
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// Batches on a page of the list.
const PAGE: usize = 100;
/// Pages of the list that are read to find one batch again: it is among the newest.
const PAGES: usize = 20;

/// A batch as the server tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteBatch {
    /// The server's name for it.
    pub id: String,
    /// validating, in_progress, finalizing, completed, failed, expired, cancelling or cancelled.
    pub status: String,
    /// The file with its requests.
    pub input_file_id: Option<String>,
    /// The file with answers, once there is one.
    pub output_file_id: Option<String>,
    /// The file with failures, once there is one.
    pub error_file_id: Option<String>,
    /// Requests that were answered.
    pub completed: i64,
    /// Requests that failed.
    pub failed: i64,
    /// Why the batch as a whole failed.
    pub message: Option<String>,
}

impl RemoteBatch {
    /// Whether nothing more will come of it.
    pub fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "expired" | "cancelled")
    }
}

/// The Batch API of one endpoint.
#[derive(Debug)]
pub struct Batches {
    transport: Transport,
    completion_window: String,
}

impl Batches {
    /// Takes an endpoint's settings, with the key from the environment variable that they name.
    ///
    /// # Errors
    /// As [`super::super::Client::new`].
    pub fn new(settings: &EndpointSettings) -> Result<Self, SettingsError> {
        settings.check()?;
        let key = settings.api_key_env.as_deref().map(ApiKey::from_env).transpose()?;
        let Some(&url) = settings.urls().first() else {
            return Err(SettingsError::new("simulator", "has no place for batches: use `base_url`"));
        };
        Ok(Self {
            transport: Transport::new(settings, parse_base_url(url)?, key)?,
            completion_window: settings.batch.completion_window.clone(),
        })
    }

    /// Uploads a request file; the server's name for it. Uploading it twice costs nothing but room.
    ///
    /// # Errors
    /// When the file cannot be read, or the server refuses it.
    pub async fn upload(&self, path: &Path) -> Result<String, Failure> {
        self.again(async || {
            let unreadable =
                |error: std::io::Error| Failure::new(FailureClass::BadRequest, format!("{}: {error}", path.display()));
            let file = File::open(path).await.map_err(unreadable)?;
            let length = file.metadata().await.map_err(unreadable)?.len();
            // The name is this program's own, so it holds nothing that a header would have to quote.
            let name = path.file_name().unwrap_or_default().to_string_lossy().replace(['"', '\r', '\n'], "_");
            let boundary = format!("codepmp-{:016x}", rand::random::<u64>());
            let head = format!(
                "--{boundary}\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--{boundary}\r\n\
                 content-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
                 content-type: application/jsonl\r\n\r\n"
            );
            let tail = format!("\r\n--{boundary}--\r\n");
            let size = head.len() as u64 + length + tail.len() as u64;
            let bytes = tokio_util::io::ReaderStream::new(file);
            let parts =
                futures::stream::iter([Ok(head.into())]).chain(bytes).chain(futures::stream::iter([Ok(tail.into())]));
            let request = (self.transport.at(Method::POST, "/files"))
                .header(CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
                .header(CONTENT_LENGTH, size)
                .body(Body::wrap_stream(parts));
            plain_id(&self.json(request, FILE).await?["id"])
        })
        .await
    }

    /// Makes a batch of an uploaded file. Not tried twice: whether a call that got no reply made one, [`Batches::find`]
    /// tells.
    ///
    /// # Errors
    /// When the server refuses it, or cannot be reached.
    pub async fn create(&self, file: &str) -> Result<RemoteBatch, Failure> {
        let body = json!({ "input_file_id": file, "endpoint": CHAT, "completion_window": self.completion_window,
                           "metadata": { "source": "codepmp" } });
        let request = self.transport.at(Method::POST, "/batches").body(body.to_string());
        read_batch(&self.json(request, QUESTION).await?)
    }

    /// The batch that was made of a file, if there is one.
    ///
    /// # Errors
    /// When the server does not list its batches: then it cannot be told.
    pub async fn find(&self, file: &str) -> Result<Option<RemoteBatch>, Failure> {
        let mut after = String::new();
        for _ in 0..PAGES {
            let path = format!("/batches?limit={PAGE}{after}");
            let list = self.again(async || self.json(self.transport.at(Method::GET, &path), QUESTION).await).await?;
            let batches = list["data"].as_array().map(Vec::as_slice).unwrap_or_default();
            if let Some(found) = batches.iter().find(|batch| batch["input_file_id"] == file) {
                return read_batch(found).map(Some);
            }
            match batches.last() {
                Some(last) if list["has_more"] == true => after = format!("&after={}", plain_id(&last["id"])?),
                _ => break,
            }
        }
        Ok(None)
    }

    /// How a batch stands.
    ///
    /// # Errors
    /// When the server does not know it, or cannot be reached.
    pub async fn get(&self, id: &str) -> Result<RemoteBatch, Failure> {
        let path = format!("/batches/{id}");
        let batch = self.again(async || self.json(self.transport.at(Method::GET, &path), QUESTION).await).await?;
        read_batch(&batch)
    }

    /// Asks the server to stop a batch; what it has answered by then is kept and paid for.
    ///
    /// # Errors
    /// When the server does not know it, or cannot be reached.
    pub async fn cancel(&self, id: &str) -> Result<RemoteBatch, Failure> {
        let path = format!("/batches/{id}/cancel");
        let batch = self.again(async || self.json(self.transport.at(Method::POST, &path), QUESTION).await).await?;
        read_batch(&batch)
    }

    /// Writes a file of the server's to `path`, without the key, should it hold that; it appears under that name when it is
    /// whole.
    ///
    /// # Errors
    /// When the server does not give it, or it cannot be written.
    pub async fn download(&self, file: &str, path: &Path) -> Result<(), Failure> {
        let part = path.with_extension("part");
        let unwritable =
            |error: std::io::Error| Failure::new(FailureClass::BadRequest, format!("{}: {error}", path.display()));
        self.again(async || {
            let request = self.transport.at(Method::GET, &format!("/files/{file}/content"));
            let mut response = request.timeout(FILE).send().await.map_err(|error| self.transport.broken(error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            if status != StatusCode::OK {
                let body = response.bytes().await.unwrap_or_default();
                return Err(http_failure(status, &headers, &body, self.transport.key()));
            }
            let mut out = File::create(&part).await.map_err(unwritable)?;
            let (mut held, mut clean) = (Vec::new(), Vec::new());
            loop {
                let chunk = response.chunk().await.map_err(|error| self.transport.broken(error))?;
                held.extend(chunk.iter().flatten());
                match self.transport.key() {
                    Some(key) => key.scrub_bytes(&mut held, &mut clean, chunk.is_none()),
                    None => clean.append(&mut held),
                }
                out.write_all(&clean).await.map_err(unwritable)?;
                clean.clear();
                if chunk.is_none() {
                    break;
                }
            }
            out.sync_all().await.map_err(unwritable)
        })
        .await?;
        tokio::fs::rename(&part, path).await.map_err(unwritable)
    }

    async fn json(&self, request: RequestBuilder, timeout: Duration) -> Result<Value, Failure> {
        let exchange = self.transport.exchange(request, timeout).await?;
        if !exchange.status.is_success() {
            return Err(http_failure(exchange.status, &exchange.headers, &exchange.body, self.transport.key()));
        }
        let mut reply = serde_json::from_slice(&exchange.body)
            .map_err(|error| Failure::new(FailureClass::Malformed, format!("the reply is not JSON: {error}")))?;
        if let Some(key) = self.transport.key() {
            key.scrub_value(&mut reply);
        }
        Ok(reply)
    }

    /// Asks until it works, or fails in a way that does not pass.
    async fn again<T>(&self, ask: impl AsyncFn() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut delay = Duration::from_millis(500);
        for _ in 1..ATTEMPTS {
            match ask().await {
                Err(failure) if passes(failure.class) => {
                    tracing::debug!("asking again: {failure}");
                    sleep(failure.retry_after.unwrap_or(delay).min(LONGEST_DELAY)).await;
                    delay *= 4;
                }
                done => return done,
            }
        }
        ask().await
    }
}

fn passes(class: FailureClass) -> bool {
    use FailureClass::{Connection, Overloaded, Throttled, TimedOut};
    matches!(class, Connection | Overloaded | Throttled | TimedOut)
}

/// A server's identifier, which goes into paths of later requests.
fn plain_id(id: &Value) -> Result<String, Failure> {
    let plain = |id: &&str| {
        (1..=200).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let known = id.as_str().filter(plain).filter(|id| !id.starts_with('.'));
    let malformed = || Failure::new(FailureClass::Malformed, format!("no identifier: {id}"));
    known.map(str::to_owned).ok_or_else(malformed)
}

fn read_batch(batch: &Value) -> Result<RemoteBatch, Failure> {
    #[derive(Deserialize)]
    struct Counts {
        #[serde(default)]
        completed: i64,
        #[serde(default)]
        failed: i64,
    }
    let file = |key: &str| Some(&batch[key]).filter(|id| id.is_string()).map(plain_id).transpose();
    let counts: Option<Counts> = Deserialize::deserialize(&batch["request_counts"]).unwrap_or_default();
    let messages = batch["errors"]["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let messages: Vec<&str> = messages.iter().filter_map(|error| error["message"].as_str()).take(3).collect();
    let status = batch["status"].as_str().filter(|word| word.len() <= 40 && word.bytes().all(|b| b.is_ascii_graphic()));
    Ok(RemoteBatch {
        id: plain_id(&batch["id"])?,
        status: status.unwrap_or("unknown").to_owned(),
        input_file_id: file("input_file_id")?,
        output_file_id: file("output_file_id")?,
        error_file_id: file("error_file_id")?,
        completed: counts.as_ref().map_or(0, |counts| counts.completed),
        failed: counts.as_ref().map_or(0, |counts| counts.failed),
        message: (!messages.is_empty()).then(|| Failure::new(FailureClass::BadRequest, messages.join("; ")).message),
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_with_what_servers_leave_out_or_make_null() {
        let batch = read_batch(&json!({
            "id": "batch_1", "status": "expired", "input_file_id": "file-1", "output_file_id": "file-2",
            "error_file_id": null, "request_counts": {"total": 3, "completed": 2, "failed": 1},
            "errors": {"object": "list", "data": [{"code": "x", "message": "line 3 is wrong\n", "line": 3}]}
        }))
        .unwrap();
        assert!(batch.has_ended());
        assert_eq!((batch.completed, batch.failed), (2, 1));
        assert_eq!((batch.output_file_id.as_deref(), batch.error_file_id), (Some("file-2"), None));
        assert_eq!(batch.message.as_deref(), Some("line 3 is wrong"));
        let bare = read_batch(&json!({"id": "b", "status": "in_progress"})).unwrap();
        assert!(!bare.has_ended() && bare.message.is_none());
    }

    #[test]
    fn identifiers_that_could_lead_elsewhere_are_refused() {
        for id in [json!("../files"), json!("a/b"), json!("a?b"), json!(""), json!(".."), json!(3), json!(null)] {
            assert!(plain_id(&id).is_err(), "{id}");
        }
        assert_eq!(plain_id(&json!("file-abc_1.2")).unwrap(), "file-abc_1.2");
    }
}

//! One HTTP exchange with an endpoint.

use std::error::Error;
use std::sync::Once;
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};

use super::key::ApiKey;
use super::response::scrub;
use super::stream::Stream;
use super::{EndpointSettings, Failure, FailureClass, SettingsError};

/// Bytes of a response that are read at most: a hundred times the longest answers, and small enough for every slot at once.
const MAX_BODY: usize = 8 << 20;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept: a second less than uvicorn, which serves vLLM, keeps its end, so that requests do not
/// meet a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(4);

/// How long the list of models may take: it costs a server nothing, and a person is waiting.
const LISTING: Duration = Duration::from_secs(20);

/// A whole response.
pub(super) struct Exchange {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// What came of a chat-completions request.
pub(super) struct Reception {
    /// Status, headers, and the body, unless that was read as a stream.
    pub(super) exchange: Exchange,
    /// The answer that came piece by piece, and how long its first piece took.
    pub(super) streamed: Option<(Stream, Option<Duration>)>,
}

/// The connections to one server.
#[derive(Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    base: Url,
    chat: Url,
    models: Url,
    key: Option<ApiKey>,
    timeout: Duration,
    stall: Duration,
}

impl Transport {
    pub(super) fn new(settings: &EndpointSettings, base: Url, key: Option<ApiKey>) -> Result<Self, SettingsError> {
        install_crypto();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(value) = key.as_ref().and_then(ApiKey::authorization) {
            headers.insert(AUTHORIZATION, value);
        }
        // HTTP/1.1: a connection of its own for each call in flight, so none waits behind another's stream, and a request
        // leaves when its permit is taken. Redirects would carry the key elsewhere; retries are ours.
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("codepmp/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .http1_only()
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(settings.concurrency as usize)
            .pool_idle_timeout(IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never());
        if base.scheme() == "http" {
            // A machine without certificates can still talk to a server without TLS.
            builder = builder.tls_certs_only([]);
        }
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| {
            SettingsError::new("base_url", format!("cannot be reached from this machine: {}", causes(&error)))
        })?;
        let below = |path: &str| {
            let mut url = base.clone();
            url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
            url
        };
        let (chat, models) = (below("/chat/completions"), below("/models"));
        let (timeout, stall) = (settings.timeout_seconds, settings.stall_seconds);
        let (timeout, stall) = (Duration::from_secs(timeout), Duration::from_secs(stall));
        Ok(Self { http, base, chat, models, key, timeout, stall })
    }

    #[cfg(test)]
    pub(super) fn set_timeouts(&mut self, timeout: Duration, stall: Duration) {
        (self.timeout, self.stall) = (timeout, stall);
    }

    /// The server's URL up to its version.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn key(&self) -> Option<&ApiKey> {
        self.key.as_ref()
    }

    /// Posts a chat-completions request. The answer is read as a stream if the server sends one.
    pub(super) async fn chat(&self, body: Vec<u8>) -> Result<Reception, Failure> {
        let request = self.http.post(self.chat.clone()).body(body);
        self.timed(self.timeout, async {
            let begun = Instant::now();
            let response = request.send().await.map_err(|error| self.broken(error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let (body, streamed) = if status == StatusCode::OK && kind.starts_with("text/event-stream") {
                (Vec::new(), Some(self.read_stream(response, begun).await?))
            } else {
                (self.read(response).await?, None)
            };
            Ok(Reception { exchange: Exchange { status, headers, body }, streamed })
        })
        .await
    }

    /// Asks for the list of models.
    pub(super) async fn models(&self) -> Result<Exchange, Failure> {
        self.exchange(self.http.get(self.models.clone()), self.timeout.min(LISTING)).await
    }

    /// A request to a path below the base URL, query included.
    pub(super) fn at(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base.as_str().trim_end_matches('/')))
    }

    /// Sends a request and reads its response to the end.
    pub(super) async fn exchange(&self, request: RequestBuilder, timeout: Duration) -> Result<Exchange, Failure> {
        self.timed(timeout, async {
            let response = request.send().await.map_err(|error| self.broken(error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok(Exchange { status, headers, body: self.read(response).await? })
        })
        .await
    }

    async fn timed<T>(&self, timeout: Duration, whole: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::time::timeout(timeout, whole).await.unwrap_or_else(|_| {
            let message = format!("{}: no answer within {timeout:?}", self.base);
            Err(Failure::new(FailureClass::TimedOut, message))
        })
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let status = response.status().as_u16();
        let expected = response.content_length().unwrap_or(0);
        let mut body = Vec::with_capacity(expected.min(64 << 10) as usize);
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error).with_status(status))? {
            if body.len() + chunk.len() > MAX_BODY {
                let message = format!("{}: a response of more than {MAX_BODY} bytes", self.base);
                return Err(Failure::new(FailureClass::Malformed, message).with_status(status));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Reads a stream to its end. The wait for its first byte is bounded by the time-out alone, since a busy server lets
    /// requests wait; after that it must not be silent for longer than the stall time-out.
    async fn read_stream(&self, mut response: Response, begun: Instant) -> Result<(Stream, Option<Duration>), Failure> {
        let fail =
            |class, message: String| Err(Failure::new(class, format!("{}: {message}", self.base)).with_status(200));
        let (mut stream, mut first, mut bytes) = (Stream::default(), None, 0);
        let mut patience = self.timeout;
        while !stream.is_done() {
            let chunk = match tokio::time::timeout(patience, response.chunk()).await {
                Err(_) if stream.is_whole() => break,
                Err(_) => {
                    let message = format!("stalled: nothing for {patience:?} after {}", stream.progress());
                    return fail(FailureClass::TimedOut, message);
                }
                Ok(Ok(Some(chunk))) => chunk,
                // What comes after the answer's end is no loss.
                Ok(_) if stream.is_whole() => break,
                Ok(Ok(None)) => {
                    return fail(FailureClass::Connection, format!("the stream ended after {}", stream.progress()));
                }
                Ok(Err(error)) => return Err(self.broken(error).with_status(200)),
            };
            patience = self.stall;
            bytes += chunk.len();
            if bytes > MAX_BODY {
                return fail(FailureClass::Malformed, format!("a response of more than {MAX_BODY} bytes"));
            }
            stream.push(&chunk);
            first = first.or_else(|| stream.has_begun().then(|| begun.elapsed()));
        }
        Ok((stream, first))
    }

    /// The failure that a broken exchange means.
    pub(super) fn broken(&self, error: reqwest::Error) -> Failure {
        let class = if error.is_timeout() && !error.is_connect() {
            FailureClass::TimedOut
        } else if error.is_builder() {
            FailureClass::BadRequest
        } else {
            FailureClass::Connection
        };
        let message = format!("{}: {}", self.base, causes(&error.without_url()));
        Failure::new(class, scrub(&message, self.key()))
    }
}

/// An error with its causes.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Sets the process's TLS implementation, unless somebody else did.
fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

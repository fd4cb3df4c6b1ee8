//! A server for tests that sends bytes as scripted, one script entry for each request, and counts requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What to do with one request.
#[derive(Clone)]
pub(super) enum Reply {
    /// Send a response with this status, these headers, and this body.
    Http(u16, &'static str, String),
    /// Send these bytes and hang up.
    Raw(&'static str),
    /// Send the head of a response and then bytes for as long as anybody reads.
    Flood,
    /// Say nothing until the client has gone.
    Silence,
}

/// A server on a loopback port.
pub(super) struct FakeServer {
    pub(super) base_url: String,
    requests: Arc<AtomicUsize>,
}

impl FakeServer {
    /// Starts a server; the last entry of the script answers all further requests.
    pub(super) async fn start(script: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base_url = format!("http://{}/v1", listener.local_addr().expect("bound"));
        let requests = Arc::new(AtomicUsize::new(0));
        let (script, counter) = (Arc::new(script), Arc::clone(&requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&counter)));
            }
        });
        Self { base_url, requests }
    }

    /// Requests that came in so far.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Vec<Reply>>, counter: Arc<AtomicUsize>) {
    while read_request(&mut stream).await.is_some() {
        let number = counter.fetch_add(1, Ordering::SeqCst);
        let written = match script.get(number).or(script.last()) {
            Some(Reply::Http(status, headers, body)) => {
                let head = format!("HTTP/1.1 {status} Status\r\n{headers}content-length: {}\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await
            }
            Some(Reply::Raw(bytes)) => {
                drop(stream.write_all(bytes.as_bytes()).await);
                return;
            }
            Some(Reply::Flood) => {
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
                let bytes = vec![b'x'; 1 << 16];
                while stream.write_all(&bytes).await.is_ok() {}
                return;
            }
            Some(Reply::Silence) | None => {
                drop(stream.read_u8().await);
                return;
            }
        };
        if written.is_err() {
            return;
        }
    }
}

/// Reads one request, head and body; none when the client hung up.
async fn read_request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                return Some(bytes);
            }
        }
    }
}

//! A server that gives every chat request the same answer after a fixed time, and keeps account of when they came.
//!
//! Plain HTTP/1.1 on a socket for each connection, with as little work as a limit should have: what it costs, it takes
//! from the figure.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Times at which chat requests had arrived in whole.
pub type Arrivals = Arc<Mutex<Vec<Instant>>>;

const MODELS: &str = r#"{"object":"list","data":[{"id":"fixed","object":"model"}]}"#;

/// Serves until the runtime ends.
pub async fn serve(listener: TcpListener, answer: &str, latency: Duration, arrivals: Arrivals) -> std::io::Result<()> {
    let chat = serde_json::json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "fixed",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200},
    });
    let chat: Arc<[u8]> = response(&chat.to_string()).into();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(converse(stream, Arc::clone(&chat), latency, Arc::clone(&arrivals)));
    }
}

fn response(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into()
}

async fn converse(
    mut stream: TcpStream,
    chat: Arc<[u8]>,
    latency: Duration,
    arrivals: Arrivals,
) -> std::io::Result<()> {
    let mut held = Vec::with_capacity(16 << 10);
    loop {
        let (end, posted) = loop {
            if let Some(found) = request(&held) {
                break found;
            }
            if stream.read_buf(&mut held).await? == 0 {
                return Ok(());
            }
        };
        held.drain(..end);
        if posted {
            if let Ok(mut arrivals) = arrivals.lock() {
                arrivals.push(Instant::now());
            }
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            stream.write_all(&chat).await?;
        } else {
            stream.write_all(&response(MODELS)).await?;
        }
    }
}

/// Where the first request ends, if it is whole, and whether it is a POST.
fn request(held: &[u8]) -> Option<(usize, bool)> {
    let head = memchr::memmem::find(held, b"\r\n\r\n")? + 4;
    let posted = held.starts_with(b"POST");
    let text = std::str::from_utf8(&held[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let end = head + length.unwrap_or(0);
    (held.len() >= end).then_some((end, posted))
}

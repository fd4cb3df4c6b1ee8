//! Measures the requests per minute that a client holds in real time: the share of the allowance that it uses, and the
//! largest number that the server saw in any minute.
//!
//! ```text
//! cargo bench --bench rate
//! ```

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use codepmp::llm::{ChatRequest, Client, EndpointSettings, Message, Role, Sampling};
use support::{head, row, say, server};
use tokio_util::sync::CancellationToken;

const PER_MINUTE: u32 = 6000;
const MINUTE: Duration = Duration::from_secs(60);
const SECONDS: u64 = 75;

fn main() -> support::Result<()> {
    let arrivals = server::Arrivals::default();
    let seen = Arc::clone(&arrivals);
    let (send, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let _ = send.send(listener.local_addr()?);
            server::serve(listener, "x = 1", Duration::from_millis(20), seen).await
        })
    });
    let url = format!("http://{}/v1", address.recv()?);
    support::runtime()?.block_on(ask(&url))?;
    let arrivals = arrivals.lock().map_err(|_| "the server panicked")?.clone();
    let first = arrivals.first().ok_or("nothing arrived")?;
    let in_minute = |from: Instant| arrivals.iter().filter(|at| (from..from + MINUTE).contains(at)).count();
    let fullest = arrivals.iter().map(|at| in_minute(*at)).max().unwrap_or(0);
    say(format!("{} requests in {SECONDS} s at {PER_MINUTE} a minute", arrivals.len()))?;
    head()?;
    row("first minute", in_minute(*first) as f64, PER_MINUTE.into(), "requests", "99 %")?;
    row("fullest minute, as the server saw it", fullest as f64, PER_MINUTE.into(), "requests", "at most 100 %")?;
    Ok(())
}

/// Keeps more calls waiting than may go.
async fn ask(url: &str) -> support::Result<()> {
    let settings = EndpointSettings {
        concurrency: 64,
        requests_per_minute: Some(PER_MINUTE),
        ..EndpointSettings::new(url, "fixed")
    };
    let (client, cancel) = (Arc::new(Client::new(settings)?), CancellationToken::new());
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let calls = (0..64).map(|worker| {
        let (client, cancel) = (Arc::clone(&client), cancel.clone());
        tokio::spawn(async move {
            let messages = vec![Message { role: Role::User, content: format!("hello from {worker}") }];
            let request =
                ChatRequest { model: "fixed".into(), messages, sampling: Arc::new(Sampling::default()), sample: 0 };
            while Instant::now() < end {
                client.call(&request, &cancel).await;
            }
        })
    });
    futures::future::try_join_all(calls).await?;
    Ok(())
}

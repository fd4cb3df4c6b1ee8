//! Measures answers per second of a describe stage, each durably committed, against a server that answers at once, with and
//! without a cap on money, and one that takes 200 ms; 256 calls in flight.
//!
//! ```text
//! cargo bench --bench answers -- FOLDER      # or CODEPMP_BENCH_ARCHIVES=FOLDER
//! ```
//!
//! The servers are further processes, and so is Postgres, all on the same cores.

#[path = "support/bare.rs"]
mod bare;
mod support;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use codepmp::engine::runner::Options;
use codepmp::llm::{CallResult, ChatRequest, Client, EndpointSettings, Message, Role, Sampling};
use codepmp::store::budget::Caps;
use futures::StreamExt as _;
use support::{corpus, database, head, row, runtime, say, server};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const IN_FLIGHT: usize = 256;
const LATENCY: Duration = Duration::from_millis(200);
const ANSWERS: u64 = 25_000;
const SLOW_ANSWERS: u64 = 15_000;
const TEXT_BYTES: usize = 40_000_000;
const ANSWER: &str = "Write a function that takes a list of records and a key, and returns a mapping from each value of \
    that key to the records that have it, in the order in which they came. Records without the key are left out. \
    It must not change its arguments, and it must raise a ValueError that names the key where no record has it.";

fn main() -> support::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--serve", milliseconds] => runtime()?.block_on(serve(Duration::from_millis(milliseconds.parse()?))),
        ["--ask", url, count, system, text] => runtime()?.block_on(bare::ask(url, count.parse()?, system, text)),
        _ => runtime()?.block_on(compare()),
    }
}

async fn serve(latency: Duration) -> support::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    say(listener.local_addr()?)?;
    std::io::stdout().flush()?;
    Ok(server::serve(listener, ANSWER, latency, server::Arrivals::default()).await?)
}

/// A server process, which ends with this value.
struct Server(Child, String);

impl Server {
    fn start(latency: Duration) -> support::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(["--serve", &latency.as_millis().to_string()]).stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut address)?;
        Ok(Self(child, format!("http://{}/v1", address.trim())))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn compare() -> support::Result<()> {
    let dir = database::folder()?;
    let (fast, slow) = (Server::start(Duration::ZERO)?, Server::start(LATENCY)?);
    let mut texts = corpus::planted(&corpus::folder())?;
    let mut room = TEXT_BYTES;
    texts.retain(|text| {
        room = room.saturating_sub(text.len());
        room > 0
    });
    corpus::write_jsonl(&texts, &dir.path().join("texts.jsonl"))?;
    let (database, store) = database::open(dir.path()).await?;
    let pipeline = pipeline(&fast.1, &slow.1);
    let select = |name: &str, limit| Options { select: vec![name.to_owned()], limit, ..Options::default() };
    let sources = Options { select: ["ingest", "parse"].map(String::from).to_vec(), ..Options::default() };
    let (outcome, _) = database::run(&store, &pipeline, dir.path(), sources).await?;
    say(format!("{} snippets to describe, {IN_FLIGHT} in flight", outcome.meters[1].done()))?;

    let bare = calls(&fast.1, ANSWERS).await?;
    let mut rates = Vec::new();
    let cap = Caps { microdollars: Some(1_000_000_000), tokens: None };
    for (stage, answers, caps) in [
        ("fast", ANSWERS, Caps::default()),
        ("capped", ANSWERS, cap),
        ("slow", SLOW_ANSWERS, Caps::default()),
        ("slow-capped", SLOW_ANSWERS, cap),
    ] {
        let options = Options { caps, ..select(stage, Some(answers)) };
        let (outcome, seconds) = database::run(&store, &pipeline, dir.path(), options).await?;
        let meter = outcome.meters.iter().find(|meter| meter.name == stage).ok_or("no such stage")?;
        let kept: i64 = sqlx::query_scalar(
            "select count(*) from descriptions e join stages s on s.id = e.stage_id where s.name = $1",
        )
        .bind(stage)
        .fetch_one(store.pool())
        .await?;
        say(format!("{stage}: {kept} answers in {seconds:.2} s, {} rejected", meter.rejected()))?;
        rates.push(kept as f64 / seconds);
    }
    head()?;
    row("client alone, nothing kept", bare, 5000.0, "answers/s", "the limit, for scale")?;
    row("answers committed, zero latency", rates[0], 5000.0, "answers/s", "100 %")?;
    row("the same under a cap, to those without", rates[1], rates[0], "answers/s", "80 %")?;
    row("answers committed, 200 ms under a cap, to those without", rates[3], rates[2], "answers/s", "80 %")?;
    row("answers committed, 200 ms", rates[2], IN_FLIGHT as f64 / LATENCY.as_secs_f64(), "answers/s", "95 %")?;
    database.close().await;
    Ok(())
}

/// Calls per second of the client by itself.
async fn calls(url: &str, count: u64) -> support::Result<f64> {
    let settings = EndpointSettings { concurrency: IN_FLIGHT as u32, ..EndpointSettings::new(url, "fixed") };
    let (client, cancel) = (Arc::new(Client::new(settings)?), CancellationToken::new());
    let start = Instant::now();
    let calls = futures::stream::iter(0..count).map(|number| {
        let (client, cancel) = (Arc::clone(&client), cancel.clone());
        tokio::spawn(async move {
            let content = format!("{number}\n{}", "x = call(argument)\n".repeat(40));
            let messages = vec![Message { role: Role::User, content }];
            let request =
                ChatRequest { model: "fixed".into(), messages, sampling: Arc::new(Sampling::default()), sample: 0 };
            matches!(client.call(&request, &cancel).await.result, CallResult::Answered(_))
        })
    });
    let answered =
        calls.buffer_unordered(IN_FLIGHT).filter(|done| std::future::ready(matches!(done, Ok(true)))).count().await;
    Ok(answered as f64 / start.elapsed().as_secs_f64())
}

fn pipeline(fast: &str, slow: &str) -> String {
    let mut text = String::from(
        "name = \"answers\"\n\
         [[stages]]\nname = \"ingest\"\nkind = \"ingest\"\n\
         [[stages.sources]]\nkind = \"jsonl\"\npath = \"texts.jsonl\"\n\
         [[stages]]\nname = \"parse\"\nkind = \"parse\"\nneeds = [\"ingest\"]\n",
    );
    let stages = [("fast", fast, 0.5), ("capped", fast, 0.6), ("slow", slow, 0.7), ("slow-capped", slow, 0.8)];
    for (name, url, temperature) in stages {
        let _ = write!(
            text,
            "[endpoints.{name}]\nbase_url = \"{url}\"\nmodel = \"fixed\"\nconcurrency = {IN_FLIGHT}\n\
             price_input_per_million = 1.0\nprice_output_per_million = 2.0\n\
             [[stages]]\nname = \"{name}\"\nkind = \"describe\"\nneeds = [\"parse\"]\nendpoint = \"{name}\"\n\
             sampling = {{ temperature = {temperature}, max_tokens = 200 }}\nprompt.user = \"Describe this:\\n{{{{ code }}}}\"\n",
        );
    }
    text
}

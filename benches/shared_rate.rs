//! Measures in real time the requests a minute that three processes on one database hold together: the share of the
//! allowance that they use, and the largest number that the server saw in any minute.
//!
//! ```text
//! cargo bench --bench shared_rate
//! ```

mod support;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use codepmp::engine::runner::Options;
use support::{corpus, database, head, row, say, server};

const PROCESSES: usize = 3;
const PER_MINUTE: u32 = 3000;
const MINUTE: Duration = Duration::from_secs(60);
/// A minute and a half of work.
const ROWS: usize = PER_MINUTE as usize * 3 / 2;

fn main() -> support::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--work", url, dir] => support::runtime()?.block_on(work(url, Path::new(dir))),
        _ => compare(),
    }
}

fn compare() -> support::Result<()> {
    let arrivals = server::Arrivals::default();
    let seen = Arc::clone(&arrivals);
    let (send, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let _ = send.send(listener.local_addr()?);
            server::serve(listener, "Write it.", Duration::from_millis(100), seen).await
        })
    });
    let url = format!("http://{}/v1", address.recv()?);
    let dir = database::folder()?;
    support::runtime()?.block_on(async {
        let texts: Vec<String> = (0..ROWS / 10).map(module).collect();
        corpus::write_jsonl(&texts, &dir.path().join("texts.jsonl"))?;
        let (database, store) = database::open(dir.path()).await?;
        let sources = Options { select: ["ingest", "parse"].map(String::from).to_vec(), ..Options::default() };
        let (outcome, _) = database::run(&store, &pipeline(&url), dir.path(), sources).await?;
        say(format!("{} rows, {PROCESSES} processes, {PER_MINUTE} requests a minute", outcome.meters[1].done()))?;
        let exe = std::env::current_exe()?;
        let start = || Command::new(&exe).args(["--work", &url]).arg(dir.path()).spawn();
        let workers = (0..PROCESSES).map(|_| start()).collect::<std::io::Result<Vec<_>>>()?;
        for mut worker in workers {
            if !worker.wait()?.success() {
                return Err("a worker failed".into());
            }
        }
        database.close().await;
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    let mut arrivals = arrivals.lock().map_err(|_| "the server panicked")?.clone();
    arrivals.sort_unstable();
    let (first, last) = (*arrivals.first().ok_or("nothing arrived")?, *arrivals.last().ok_or("nothing arrived")?);
    let in_minute = |from: Instant| arrivals.iter().filter(|at| (from..from + MINUTE).contains(at)).count();
    let fullest = arrivals.iter().map(|at| in_minute(*at)).max().unwrap_or(0);
    // The last calls are few, since the rows end.
    let steady = arrivals.iter().filter(|at| **at + Duration::from_secs(2) < last).count();
    let seconds = (last - first).as_secs_f64() - 2.0;
    head()?;
    row("first minute", in_minute(first) as f64, PER_MINUTE.into(), "requests", "97 %")?;
    row("a minute, on average", steady as f64 / seconds * 60.0, PER_MINUTE.into(), "requests", "97 %")?;
    row("fullest minute, as the server saw it", fullest as f64, PER_MINUTE.into(), "requests", "at most 100 %")?;
    Ok(())
}

/// One process: it describes rows as long as there are any.
async fn work(url: &str, dir: &Path) -> support::Result<()> {
    let (database, store) = database::open(dir).await?;
    let own = dir.join(std::process::id().to_string());
    std::fs::create_dir(&own)?;
    let options = Options { select: vec!["describe".to_owned()], ..Options::default() };
    let (outcome, _) = database::run(&store, &pipeline(url), &own, options).await?;
    say(format!("a process described {} rows", outcome.meters[2].done()))?;
    database.close().await;
    Ok(())
}

/// Ten functions that no other module has.
fn module(number: usize) -> String {
    (0..10).fold(String::new(), |mut text, function| {
        let _ = writeln!(
            text,
            "def number_{number}_{function}(values):\n    total = {number}\n    for value in values:\n        \
             total += value * {function}\n    return total\n\n"
        );
        text
    })
}

fn pipeline(url: &str) -> String {
    format!(
        "name = \"shared\"\n\
         [[stages]]\nname = \"ingest\"\nkind = \"ingest\"\n\
         [[stages.sources]]\nkind = \"jsonl\"\npath = \"texts.jsonl\"\n\
         [[stages]]\nname = \"parse\"\nkind = \"parse\"\nneeds = [\"ingest\"]\n\
         [endpoints.fixed]\nbase_url = \"{url}\"\nmodel = \"fixed\"\nconcurrency = 64\n\
         requests_per_minute = {PER_MINUTE}\n\
         [[stages]]\nname = \"describe\"\nkind = \"describe\"\nneeds = [\"parse\"]\nendpoint = \"fixed\"\n\
         prompt.user = \"Describe this:\\n{{{{ code }}}}\"\n"
    )
}

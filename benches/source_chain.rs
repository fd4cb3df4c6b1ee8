//! Measures the whole source chain (read, filter, deduplicate, parse, commit into Postgres) against the bare
//! tree-sitter parse of the same bytes, and its memory.
//!
//! ```text
//! cargo bench --bench source_chain -- FOLDER      # or CODEPMP_BENCH_ARCHIVES=FOLDER
//! ```
//!
//! `FOLDER` holds `.whl`, `.zip` or `.tar.gz` files of Python packages. Parse and chain take turns, each in a process of its own. The
//! limit is tree-sitter as it comes, with the allocator of the C library; the chain lends it mimalloc, and what a bare parse gains by that is a
//! row of its own. The server of the chain's cluster is a further process, on the same cores.

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use codepmp::engine::runner::Options;
use support::{THREADS, Used, child, corpus, database, figures, head, median, peak_memory, row, runtime, say};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;

fn main() -> support::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--parse", file] => parse(Path::new(file)),
        ["--parse-mimalloc", file] => {
            // Sets the allocator of tree-sitter, which the chain has as well.
            drop(codepmp::python::Parser::new());
            parse(Path::new(file))
        }
        ["--chain", file] => runtime()?.block_on(chain(Path::new(file))),
        _ => compare(),
    }
}

fn compare() -> support::Result<()> {
    let dir = database::folder()?;
    let texts = corpus::planted(&corpus::folder())?;
    let bytes: usize = texts.iter().map(String::len).sum();
    let megabytes = bytes as f64 / 1e6;
    let [whole, pieces, half] = ["whole", "pieces", "half"].map(|name| dir.path().join(format!("{name}.jsonl")));
    corpus::write_jsonl(&texts, &whole)?;
    let small = corpus::pieces(&texts);
    corpus::write_jsonl(&small, &pieces)?;
    corpus::write_jsonl(&small[..small.len() / 2], &half)?;
    let documents = small.len() as f64;
    drop(small);
    say(format!("{} documents, {megabytes:.1} MB of Python, {THREADS} threads, {ROUNDS} rounds", texts.len()))?;
    drop(texts);
    let (whole, half, pieces) = (whole.to_string_lossy(), half.to_string_lossy(), pieces.to_string_lossy());
    let (mut bare, mut tuned, mut chain, mut busy) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let alone = figures(&child(&["--parse", &whole])?)?;
        let quicker = figures(&child(&["--parse-mimalloc", &whole])?)?;
        let printed = child(&["--chain", &whole])?;
        let found = figures(&printed)?;
        let (parsed, chained) = (megabytes / alone[0], megabytes / found[0]);
        let (own, server) = (found[2], found[3]);
        say(format!(
            "round {round}: parse {parsed:.2} MB/s, with the chain's allocator {:.2} MB/s, chain {chained:.2} MB/s ({:.1} %), peak {:.0} MB; \
             processor {:.2} s against {own:.2} + {server:.2} s ({:.1} %); {}",
            megabytes / quicker[0],
            100.0 * chained / parsed,
            found[1] / 1e6,
            alone[1],
            100.0 * alone[1] / (own + server),
            printed.lines().next().unwrap_or_default()
        ))?;
        bare.push(parsed);
        tuned.push(megabytes / quicker[0]);
        chain.push(chained);
        busy.push(alone[1] / (own + server));
    }
    // Many small documents: what each leaves behind must show against what is in flight at any time.
    let peak = |file: &str| Ok::<_, Box<dyn std::error::Error>>(figures(&child(&["--chain", file])?)?[1]);
    let (smaller, larger) = (peak(&half)?, peak(&pieces)?);
    say(format!(
        "peak {:.0} MB with {:.0} documents, {:.0} MB with {documents}",
        smaller / 1e6,
        documents / 2.0,
        larger / 1e6
    ))?;
    let growth = (larger - smaller) / (documents / 2.0);
    head()?;
    let chain = median(chain);
    row("source chain against bare parse", chain, median(bare), "MB/s", "80 %")?;
    row("against a parse with its allocator", chain, median(tuned), "MB/s", "for scale")?;
    row("the same by processor time", 100.0 * median(busy), 100.0, "of 100", "80 %")?;
    row("peak memory growth", growth, 400.0, "B/document", "at most 100 %")?;
    Ok(())
}

/// The limit: tree-sitter alone, as it comes, on texts that are in memory.
fn parse(file: &Path) -> support::Result<()> {
    let texts = corpus::read_jsonl(file)?;
    let next = AtomicUsize::new(0);
    let (start, used) = (Instant::now(), Used::here()?);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut parser = tree_sitter::Parser::new();
                parser.set_language(&tree_sitter_python::LANGUAGE.into()).expect("the grammar fits");
                while let Some(text) = texts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    std::hint::black_box(parser.parse(text, None));
                }
            });
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    say(format!("{seconds} {}", Used::here()? - used))
}

async fn chain(file: &Path) -> support::Result<()> {
    let dir = database::folder()?;
    let (database, store) = database::open(dir.path()).await?;
    let pipeline = format!(
        r#"
        name = "source-chain"
        [[stages]]
        name = "ingest"
        kind = "ingest"
        [[stages.sources]]
        kind = "jsonl"
        path = "{}"
        [[stages]]
        name = "filter"
        kind = "filter"
        needs = ["ingest"]
        [[stages]]
        name = "dedupe"
        kind = "dedupe"
        needs = ["filter"]
        [[stages]]
        name = "parse"
        kind = "parse"
        needs = ["dedupe"]
        "#,
        file.display()
    );
    let (used, server) = (Used::here()?, database::server_seconds(dir.path())?);
    let (outcome, seconds) = database::run(&store, &pipeline, dir.path(), Options::default()).await?;
    let counts = outcome.meters.iter().map(|meter| format!("{} {}+{}", meter.name, meter.done(), meter.rejected()));
    say(counts.collect::<Vec<_>>().join(", "))?;
    let (used, server) = (Used::here()? - used, database::server_seconds(dir.path())? - server);
    say(format!("{seconds} {} {used} {server}", peak_memory()?))?;
    database.close().await;
    Ok(())
}

//! `make-benchmark`: a reasoning set that is made, not collected.

use serde_json::json;
use tokio::task::spawn_blocking;

use super::Exit;
use super::args::MakeBenchmarkArgs;
use super::output::outln;
use crate::reasoning::{SetSettings, write};

/// `codepmp make-benchmark`
pub async fn make_benchmark(args: MakeBenchmarkArgs) -> anyhow::Result<Exit> {
    let MakeBenchmarkArgs { out, seed, train, test, questions, samples, json } = args;
    let settings = SetSettings { seed, train, test, questions, samples };
    let of = settings.clone();
    let made = spawn_blocking(move || write(&out, &of)).await??;
    if json {
        outln!("{}", json!({ "event": "benchmark", "settings": settings, "made": made }));
        return Ok(Exit::Done);
    }
    for file in &made.files {
        outln!("{}", file.display());
    }
    outln!(
        "{train} pairs to train on, {test} to measure on, {questions} questions of {samples} samples, {:.1} % right",
        100.0 * made.right
    );
    Ok(Exit::Done)
}

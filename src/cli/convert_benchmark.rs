//! `convert-benchmark`: a benchmark's file as files of pairs.

use anyhow::Context as _;
use serde_json::json;
use tokio::task::spawn_blocking;

use super::Exit;
use super::args::ConvertBenchmarkArgs;
use super::output::outln;
use super::table::number;
use crate::stages::convert::{Conversion, convert};

/// `codepmp convert-benchmark`
pub async fn convert_benchmark(args: ConvertBenchmarkArgs) -> anyhow::Result<Exit> {
    let ConvertBenchmarkArgs { file, format, template, out, files, test_share, seed, json } = args;
    let conversion = Conversion { path: file, format, template, out: out.clone(), files, test_share, seed };
    let converted = spawn_blocking(move || convert(&conversion)).await.context("a bug: converting ended early")??;
    if json {
        outln!("{}", json!({ "event": "converted", "converted": converted }));
        return Ok(Exit::Done);
    }
    let (train, test) = (number(converted.train as i64), number(converted.test as i64));
    outln!(
        "{} ({}): {train} pairs for training, {test} held out, in {}",
        converted.source,
        converted.format,
        out.display()
    );
    converted.left_out.lines().for_each(|line| outln!("{line}"));
    Ok(Exit::Done)
}

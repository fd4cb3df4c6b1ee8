//! `score`: rewards for answers in a file.

use super::output::outln;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use super::Exit;
use super::eval::computing;
use super::progress::{Display, Output};
use super::table::number;
use super::training_args::ScoreArgs;
use crate::progress::{Meter, State};
use crate::stages::training;

/// `codepmp score`
pub async fn score(args: ScoreArgs, data_dir: &Path) -> anyhow::Result<Exit> {
    let shutdown = crate::shutdown::on_signals().context("setting up Ctrl-C")?;
    let meter = Meter::new("score".to_owned(), "score");
    meter.set_state(State::Running);
    let to_stdout = args.output.as_os_str() == "-";
    let display = Display::start(vec![Arc::clone(&meter)], Output::Text);
    let scored = training::score(
        &args.model,
        &args.input,
        &args.output,
        &computing(&args.device),
        data_dir.to_owned(),
        Arc::clone(&meter),
        &shutdown,
    )
    .await;
    meter.set_state(if scored.is_ok() { State::Done } else { State::Failed });
    display.end().await;
    let Some(scored) = scored? else { return Ok(Exit::Interrupted) };
    if !to_stdout {
        outln!("{}: {} answers scored", args.output.display(), number(scored.answers as i64));
    }
    Ok(Exit::Done)
}

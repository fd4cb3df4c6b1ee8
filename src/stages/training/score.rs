//! Rewards for a file of answers.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{Computing, WrongInput};
use crate::progress::Meter;
use crate::train::Scorer;
use crate::train::data::{Answers, ScoreInput, read_score_inputs};

/// How many answers were scored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scored {
    /// Answers with a reward.
    pub answers: u64,
    /// Rows without: their line says why.
    pub refused: u64,
}

/// Rows that are laid out together.
const PART: usize = 256;

/// Writes a line of JSON for every row of `input`: its fields, and `reward`, or `reward_chosen` and `reward_rejected`; a row
/// that cannot be scored has `error` instead. The output appears when all rows are scored; `-` writes to standard output as
/// it goes. None after a shutdown.
///
/// # Errors
/// [`WrongInput`] for a model, a device or a row that cannot be used; when the device or the disk fails.
pub async fn score(
    model: &Path,
    input: &Path,
    output: &Path,
    computing: &Computing,
    library_dir: PathBuf,
    meter: Arc<Meter>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<Scored>> {
    let (model, input, output) = (model.to_owned(), input.to_owned(), output.to_owned());
    let (computing, shutdown) = (computing.clone(), shutdown.clone());
    spawn_blocking(move || {
        let wrong = |error: crate::train::data::DataError| WrongInput(error.to_string());
        let mut rows = read_score_inputs(&input).map_err(wrong)?;
        let mut scorer = Scorer::open(&model, &library_dir, &computing).map_err(super::run::refused)?;
        let mut out = Output::create(&output)?;
        let mut scored = Scored::default();
        loop {
            let part = rows.by_ref().take(PART).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
            if part.is_empty() {
                out.finish()?;
                return Ok(Some(scored));
            }
            if shutdown.is_cancelled() {
                return Ok(None);
            }
            write_part(&part, &mut scorer, &mut out, &mut scored)?;
            meter.add_done(part.len() as u64);
        }
    })
    .await
    .context("a bug: scoring ended early")?
}

fn write_part(part: &[ScoreInput], scorer: &mut Scorer, out: &mut Output, scored: &mut Scored) -> anyhow::Result<()> {
    let encoded = part.iter().map(|row| row.encode(scorer.encoder())).collect::<Result<Vec<_>, _>>()?;
    let fitting: Vec<_> = encoded.iter().filter_map(|row| row.as_ref().ok().cloned()).collect();
    let mut scores = scorer.scores(&fitting)?.into_iter();
    for (row, encoded) in part.iter().zip(&encoded) {
        let mut line = row.rest.clone();
        line.insert("prompt".to_owned(), json!(row.prompt));
        match &row.answers {
            Answers::One(answer) => line.extend([("answer".to_owned(), json!(answer))]),
            Answers::Two(chosen, rejected) => {
                line.extend([("chosen".to_owned(), json!(chosen)), ("rejected".to_owned(), json!(rejected))]);
            }
        }
        match encoded {
            Err(refusal) => {
                scored.refused += 1;
                line.insert("error".to_owned(), json!(refusal.to_string()));
            }
            Ok(_) => {
                let rewards = scores.next().unwrap_or_default();
                scored.answers += rewards.len() as u64;
                let names: &[&str] = match row.answers {
                    Answers::One(_) => &["reward"],
                    Answers::Two(..) => &["reward_chosen", "reward_rejected"],
                };
                line.extend(names.iter().zip(rewards).map(|(name, reward)| ((*name).to_owned(), json!(reward))));
            }
        }
        writeln!(out.writer, "{}", Value::Object(line)).with_context(|| format!("writing {}", out.path.display()))?;
    }
    Ok(())
}

/// A file that appears under its name when it is whole, or standard output.
struct Output {
    path: PathBuf,
    partial: Option<tempfile::NamedTempFile>,
    writer: Box<dyn Write>,
}

impl Output {
    fn create(path: &Path) -> anyhow::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self { path: path.to_owned(), partial: None, writer: Box::new(std::io::stdout()) });
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let open = || {
            std::fs::create_dir_all(folder)?;
            let partial = tempfile::NamedTempFile::new_in(folder)?;
            let writer = Box::new(BufWriter::new(partial.reopen()?));
            std::io::Result::Ok((partial, writer))
        };
        let (partial, writer) = open().map_err(|error| WrongInput(format!("{}: {error}", path.display())))?;
        Ok(Self { path: path.to_owned(), partial: Some(partial), writer })
    }

    fn finish(mut self) -> anyhow::Result<()> {
        let whole = || format!("writing {}", self.path.display());
        self.writer.flush().with_context(whole)?;
        if let Some(partial) = self.partial {
            partial.as_file().sync_all().with_context(whole)?;
            partial.persist(&self.path).with_context(whole)?;
        }
        Ok(())
    }
}

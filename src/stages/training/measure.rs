//! The accuracy of a model on pairs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::json;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{Pairs, WrongInput};
use crate::eval::{Accuracy, Estimate};
use crate::store::training::NewEvaluation;
use crate::train::data::Counts;
use crate::train::{ScoreSettings, Scorer};

/// Probability that the intervals are made for; `eval` knows no other.
const CONFIDENCE: f64 = 0.95;

/// A row with what was measured; the rest is for the caller to fill in.
pub(super) fn evaluation(found: &Accuracy) -> NewEvaluation {
    let Estimate { metric, value, low, high, n } = found.accuracy.clone();
    NewEvaluation {
        run: None,
        stage: None,
        training: None,
        step: None,
        model: String::new(),
        data: String::new(),
        data_mark: String::new(),
        metric,
        value,
        low,
        high,
        confidence: CONFIDENCE,
        n,
        details: json!({ "interval": "wilson", "bootstrap": found.bootstrap, "margin": found.margin,
                         "reward_mean": found.reward_mean, "reward_std": found.reward_std, "ties": found.ties,
                         "invalid": found.invalid }),
    }
}

/// What to compute on.
pub type Computing = ScoreSettings;

impl ScoreSettings {
    /// Checks the settings.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        self.device.parse::<crate::runtime::Device>()?;
        if self.micro_tokens == 0 || self.max_length < 3 {
            return Err("micro_tokens must be at least 1, and max_length at least 3".to_owned());
        }
        Ok(())
    }
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Accuracy, margin and spread of the rewards.
    #[serde(flatten)]
    pub accuracy: Accuracy,
    /// What became of the pairs on the way to tokens.
    pub counts: Counts,
}

impl Measured {
    /// A row with what was measured; the rest is for the caller to fill in.
    pub fn row(&self) -> NewEvaluation {
        let mut row = evaluation(&self.accuracy);
        row.details["counts"] = json!(self.counts);
        row
    }

    /// In a line.
    pub fn brief(&self) -> String {
        let Estimate { value, low, high, n, .. } = &self.accuracy.accuracy;
        let left_out = self.counts.read - self.counts.kept;
        let left_out = if left_out > 0 { format!("; {left_out} left out, too long or empty") } else { String::new() };
        format!("accuracy {value:.4} ({low:.4} to {high:.4}, {n} pairs){left_out}")
    }
}

/// Pairs that are scored between two looks at the shutdown.
const PART: usize = 256;

/// Measures a model on pairs; none after a shutdown. `library_dir` is the data folder, where ONNX Runtime may lie.
///
/// # Errors
/// [`WrongInput`] for a model or device that cannot be used; when the device fails.
pub async fn accuracy(
    model: &Path,
    pairs: &Arc<Pairs>,
    computing: &Computing,
    library_dir: PathBuf,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<Measured>> {
    let (model, pairs, computing, shutdown) =
        (model.to_owned(), Arc::clone(pairs), computing.clone(), shutdown.clone());
    spawn_blocking(move || {
        let mut scorer = Scorer::open(&model, &library_dir, &computing).map_err(super::run::refused)?;
        let (mut rewards, mut counts) = (Vec::new(), Counts::default());
        for part in pairs.pairs.chunks(PART) {
            if shutdown.is_cancelled() {
                return Ok(None);
            }
            let (found, counted) = scorer.rewards(part)?;
            rewards.extend(found);
            counts.add(&counted);
        }
        let found = crate::eval::accuracy(&rewards, 0);
        let accuracy =
            found.ok_or_else(|| WrongInput("no pair fits into max_length: nothing was measured".to_owned()))?;
        Ok(Some(Measured { accuracy, counts }))
    })
    .await
    .context("a bug: measuring ended early")?
}

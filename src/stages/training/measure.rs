//! The accuracy of a model on pairs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{Pairs, WrongInput};
use crate::eval::{Accuracy, Estimate};
use crate::progress::Meter;
use crate::store::training::NewEvaluation;
use crate::train::{ScoreSettings, Scorer, TrainError};

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

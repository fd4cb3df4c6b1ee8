//! A measurement on pairs as a row, and what is computed on.

use crate::eval::{Accuracy, Estimate};
use crate::store::training::NewEvaluation;
use crate::train::ScoreSettings;

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
        details: found.details(),
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

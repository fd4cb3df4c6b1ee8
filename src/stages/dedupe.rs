//! `dedupe`: drops exact and near copies of documents read before.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnyStage, Kind, only_need};
use crate::dedupe;

/// Settings of a `dedupe` stage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DedupeSettings {
    /// Words in a shingle.
    pub ngram: usize,
    /// Registers of a MinHash sketch.
    pub permutations: usize,
    /// Jaccard similarity of shingles from which two documents are near copies.
    pub threshold: f64,
    /// Drop exact copies only.
    pub exact_only: bool,
}

impl Default for DedupeSettings {
    fn default() -> Self {
        let dedupe::Settings { ngram, permutations, threshold, exact_only } = dedupe::Settings::default();
        Self { ngram, permutations, threshold, exact_only }
    }
}

/// A `dedupe` stage.
#[derive(Debug)]
pub struct Dedupe {
    identity: DedupeSettings,
    /// Checked settings.
    pub settings: dedupe::Settings,
}

impl Dedupe {
    /// Checks the settings.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(identity: DedupeSettings) -> Result<Self, (&'static str, String)> {
        let DedupeSettings { ngram, permutations, threshold, exact_only } = identity;
        let settings = dedupe::Settings { ngram, permutations, threshold, exact_only };
        settings.validate().map_err(|error| {
            let name = match error {
                dedupe::SettingsError::Ngram { .. } => "ngram",
                dedupe::SettingsError::Permutations { .. } => "permutations",
                dedupe::SettingsError::Threshold { .. } => "threshold",
            };
            (name, error.to_string())
        })?;
        Ok(Self { identity, settings })
    }
}

impl Kind for Dedupe {
    fn identity(&self) -> serde_json::Value {
        serde_json::json!(self.identity)
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        only_need(needs, &["ingest", "filter", "dedupe"]).map(drop)
    }
}

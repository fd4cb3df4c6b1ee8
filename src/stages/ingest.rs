//! `ingest`: reads sources into documents.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnyStage, Kind};
use crate::corpus::Source;

/// Settings of an `ingest` stage.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IngestSettings {
    /// What to read, in this order.
    pub sources: Vec<Source>,
}

/// An `ingest` stage.
#[derive(Debug)]
pub struct Ingest {
    /// Its settings.
    pub settings: IngestSettings,
    /// The folder that paths start from.
    pub base: PathBuf,
}

impl Ingest {
    /// Checks the settings.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(settings: IngestSettings, base: PathBuf) -> Result<Self, (&'static str, String)> {
        if settings.sources.is_empty() {
            return Err(("sources", "is empty: add `[[stages.sources]]` with a kind and a path".into()));
        }
        for source in &settings.sources {
            source.check().map_err(|error| ("sources", error.to_string()))?;
        }
        Ok(Self { settings, base })
    }
}

impl Kind for Ingest {
    fn identity(&self) -> serde_json::Value {
        serde_json::json!(self.settings)
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        if needs.is_empty() { Ok(()) } else { Err("an ingest stage is a beginning: remove `needs`".into()) }
    }
}

//! `parse`: cuts documents into functions, methods, classes and modules.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnyStage, Kind, only_need};
use crate::python::{Limits, Unit};

/// Settings of a `parse` stage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ParseSettings {
    /// What to cut out: function, method, class, module.
    pub units: Vec<Unit>,
    /// Which of them are worth it.
    pub limits: Limits,
}

impl Default for ParseSettings {
    fn default() -> Self {
        let limits = Limits { min_lines: 4, max_lines: 120, ..Limits::default() };
        Self { units: vec![Unit::Function, Unit::Method], limits }
    }
}

/// A `parse` stage.
#[derive(Clone, Debug)]
pub struct Parse {
    /// Its settings.
    pub settings: ParseSettings,
}

impl Parse {
    /// Checks the settings.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(settings: ParseSettings) -> Result<Self, (&'static str, String)> {
        if settings.units.is_empty() {
            return Err(("units", "is empty; allowed: function, method, class, module".into()));
        }
        if settings.limits.min_lines > settings.limits.max_lines {
            return Err(("limits", "min_lines is above max_lines: nothing could be cut out".into()));
        }
        Ok(Self { settings })
    }
}

impl Kind for Parse {
    fn identity(&self) -> serde_json::Value {
        serde_json::json!(self.settings)
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        only_need(needs, &["ingest", "filter", "dedupe"]).map(drop)
    }
}

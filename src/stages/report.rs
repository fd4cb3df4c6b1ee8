//! `report`: writes the run as one page, once all that it stands on has ended.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{AnyStage, Kind, resolve};
use crate::engine::Context;
use crate::report;

/// Settings of a `report` stage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportSettings {
    /// Folder for report.html and report.json, relative to the pipeline file's folder.
    pub out: String,
}

/// A `report` stage.
#[derive(Debug)]
pub struct Report {
    settings: ReportSettings,
    base: PathBuf,
}

impl Report {
    /// Checks the settings.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(settings: ReportSettings, base: PathBuf) -> Result<Self, (&'static str, String)> {
        if settings.out.trim().is_empty() {
            return Err(("out", "is empty: name a folder".into()));
        }
        Ok(Self { settings, base })
    }

    /// Writes the page anew: it is cheap, and what it tells of may have changed without a new fingerprint.
    pub async fn run(&self, mut context: Context<AnyStage>) -> anyhow::Result<()> {
        if !context.inputs_end().await {
            return Ok(());
        }
        let Some(lock) = super::pair::lock(&context).await? else { return Ok(()) };
        let written = self.write(&context).await;
        lock.release().await;
        written
    }

    async fn write(&self, context: &Context<AnyStage>) -> anyhow::Result<()> {
        let report = report::gather(&context.store, context.run).await?;
        let out = resolve(&self.base, &self.settings.out);
        report::write(&report, &out)?;
        context.meter().add_done(1);
        context.meter().set_note(out.join("report.html").display().to_string());
        Ok(())
    }
}

impl Kind for Report {
    fn identity(&self) -> serde_json::Value {
        json!(self.settings)
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        if needs.is_empty() {
            return Err("it needs the stages that it is to wait for, such as those that measure".into());
        }
        Ok(())
    }
}

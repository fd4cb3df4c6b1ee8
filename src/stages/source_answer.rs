//! `source`: the original source as the answer to its description, in place of a model's. For the ablation "source as
//! chosen".

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{AnyStage, Kind, only_need};
use crate::engine::Context;

/// Settings of a `source` stage.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SourceSettings {
    /// Role of the answers; the stage's name if left out.
    pub role: Option<String>,
}

/// A `source` stage.
#[derive(Debug)]
pub struct SourceAnswer {
    role: String,
}

impl SourceAnswer {
    /// Takes the role, or the stage's name in its place.
    pub fn new(name: &str, settings: SourceSettings) -> Self {
        Self { role: settings.role.unwrap_or_else(|| name.to_owned()) }
    }

    /// Answers every description that has no answer yet.
    pub async fn run(&self, mut context: Context<AnyStage>) -> anyhow::Result<()> {
        if context.inputs_end().await {
            let (id, descriptions) = (context.id(), context.needs[0][0]);
            let added = context.store.source_as_answer(id, descriptions, &self.role).await?;
            context.meter().add_done(added);
        }
        Ok(())
    }
}

impl Kind for SourceAnswer {
    fn identity(&self) -> serde_json::Value {
        json!({ "role": self.role })
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        only_need(needs, &["describe"]).map(drop)
    }
}

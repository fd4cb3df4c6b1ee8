//! `describe`: a model writes the instruction that a person could have given to get the snippet.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::endpoints::Endpoints;
use super::generate::whole;
use super::rows::RowWork;
use super::wrong::Wrong;
use super::{AnyStage, Kind, only_need};
use crate::engine::Facets;
use crate::llm::{FailurePolicies, PromptSettings, Sampling};
use crate::store::tasks::Inputs;

/// What a describing prompt may speak of.
pub const VARIABLES: [&str; 9] =
    ["code", "name", "qualified_name", "unit", "signature", "docstring", "imports", "path", "repository"];

/// Settings of a `describe` stage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DescribeSettings {
    /// Name of the endpoint to ask.
    pub endpoint: String,
    /// Templates of the prompt. Variables: code, name, qualified_name, unit, signature, docstring, imports, path,
    /// repository.
    pub prompt: PromptSettings,
    /// Sampling settings.
    #[serde(default)]
    pub sampling: Sampling,
    /// Descriptions for each snippet.
    #[serde(default = "super::generate::one")]
    pub samples: u32,
    /// What is done about failures, by class, in place of what is done without this.
    #[serde(default)]
    pub on_failure: FailurePolicies,
}

/// A `describe` stage.
#[derive(Debug)]
pub struct Describe {
    /// The work on rows.
    pub work: Arc<RowWork>,
}

impl Describe {
    /// Checks the settings.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(settings: DescribeSettings, endpoints: &Endpoints) -> Result<Self, Wrong> {
        let DescribeSettings { endpoint, prompt, sampling, samples, on_failure } = settings;
        let work = RowWork::new(
            Inputs::Snippets,
            String::new(),
            samples,
            &endpoint,
            endpoints,
            &prompt,
            &VARIABLES,
            sampling,
            on_failure,
            whole,
        )?;
        Ok(Self { work: Arc::new(work) })
    }
}

impl Kind for Describe {
    fn identity(&self) -> serde_json::Value {
        self.work.identity()
    }

    fn facets(&self) -> Facets {
        self.work.facets()
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        only_need(needs, &["parse"]).map(drop)
    }
}

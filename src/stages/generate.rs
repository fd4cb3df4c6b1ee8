//! `generate`: a model writes code for a description, in the role that the stage is given.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::endpoints::Endpoints;
use super::rows::{Answered, RowWork};
use super::wrong::Wrong;
use super::{AnyStage, Kind, only_need};
use crate::engine::Facets;
use crate::llm::{FailurePolicies, PromptSettings, Sampling};
use crate::python::{AnswerForm, code_from_answer};
use crate::store::tasks::Inputs;

/// What a generating prompt may speak of. The code is not among them: the model must not see what it is to write.
pub const VARIABLES: [&str; 8] =
    ["description", "name", "qualified_name", "unit", "signature", "imports", "path", "repository"];

/// Settings of a `generate` stage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerateSettings {
    /// Name of the endpoint to ask.
    pub endpoint: String,
    /// Role of the answers, such as chosen or rejected; the stage's name if left out.
    pub role: Option<String>,
    /// Templates of the prompt. Variables: description, name, qualified_name, unit, signature, imports, path, repository.
    pub prompt: PromptSettings,
    /// Sampling settings.
    #[serde(default)]
    pub sampling: Sampling,
    /// Answers for each description.
    #[serde(default = "one")]
    pub samples: u32,
    /// What is done about failures, by class, in place of what is done without this.
    #[serde(default)]
    pub on_failure: FailurePolicies,
}

pub(super) fn one() -> u32 {
    1
}

/// A `generate` stage.
#[derive(Debug)]
pub struct Generate {
    /// The work on rows.
    pub work: RowWork,
}

impl Generate {
    /// Checks the settings.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(name: &str, settings: GenerateSettings, endpoints: &Endpoints) -> Result<Self, Wrong> {
        let GenerateSettings { endpoint, role, prompt, sampling, samples, on_failure } = settings;
        let role = role.unwrap_or_else(|| name.to_owned());
        let work = RowWork::new(
            Inputs::Descriptions,
            role,
            samples,
            &endpoint,
            endpoints,
            &prompt,
            &VARIABLES,
            sampling,
            on_failure,
            read,
        )?;
        Ok(Self { work })
    }
}

fn read(answer: &str) -> Answered {
    let found = code_from_answer(answer);
    match found.form {
        AnswerForm::NoCode => Err(("no_code", "the answer holds no code, only prose".into())),
        _ if found.code.trim().is_empty() => Err(("no_code", "the answer's code block is empty".into())),
        _ => Ok((found.code, found.blocks)),
    }
}

impl Kind for Generate {
    fn identity(&self) -> serde_json::Value {
        self.work.identity()
    }

    fn facets(&self) -> Facets {
        self.work.facets()
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        only_need(needs, &["describe"]).map(drop)
    }
}

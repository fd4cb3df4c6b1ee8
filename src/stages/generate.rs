//! `generate`: a model writes code for a description, in the role that the stage is given, or answers a benchmark's question,
//! as often as it is asked.

use std::sync::Arc;

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

/// What a prompt that puts a question may speak of. The right answer is not among them.
pub const QUESTION_VARIABLES: [&str; 2] = ["prompt", "subset"];

/// Settings of a `generate` stage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerateSettings {
    /// Name of the endpoint to ask.
    pub endpoint: String,
    /// Role of the answers, such as chosen or rejected; the stage's name if left out. Answers to questions have none.
    pub role: Option<String>,
    /// Templates of the prompt. Variables: description, name, qualified_name, unit, signature, imports, path, repository; of
    /// a stage that stands on questions: prompt, subset.
    pub prompt: PromptSettings,
    /// Sampling settings.
    #[serde(default)]
    pub sampling: Sampling,
    /// Answers for each description or question.
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
    pub work: Arc<RowWork>,
}

impl Generate {
    /// Checks the settings; `asks_questions`: it stands on questions, not on descriptions.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(
        name: &str,
        settings: GenerateSettings,
        asks_questions: bool,
        endpoints: &Endpoints,
    ) -> Result<Self, Wrong> {
        let GenerateSettings { endpoint, role, prompt, sampling, samples, on_failure } = settings;
        if asks_questions && role.is_some() {
            return Err(("role", "is for answers to descriptions: answers to questions have none".to_owned()).into());
        }
        let (inputs, variables, role, read): (_, &[&str], _, fn(&str) -> Answered) = if asks_questions {
            (Inputs::Questions, &QUESTION_VARIABLES, String::new(), whole)
        } else {
            (Inputs::Descriptions, &VARIABLES, role.unwrap_or_else(|| name.to_owned()), read)
        };
        let work =
            RowWork::new(inputs, role, samples, &endpoint, endpoints, &prompt, variables, sampling, on_failure, read)?;
        Ok(Self { work: Arc::new(work) })
    }

    /// Whether it answers questions, not descriptions.
    pub fn asks_questions(&self) -> bool {
        self.work.inputs() == Inputs::Questions
    }
}

/// The whole answer, trimmed.
#[allow(clippy::unnecessary_wraps)] // of one type with the reader of code
pub(super) fn whole(answer: &str) -> Answered {
    Ok((answer.trim().to_owned(), 0))
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
        only_need(needs, &["describe", "questions"]).map(drop)
    }
}

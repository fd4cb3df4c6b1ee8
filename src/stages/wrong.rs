//! A setting of a stage that is wrong, and where in it.

use crate::llm::PromptError;

/// What is wrong with a setting.
#[derive(Debug)]
pub struct Wrong {
    /// Name of the setting; a dot leads into a table.
    pub key: &'static str,
    /// What is wrong, and what is allowed.
    pub message: String,
    /// The byte of the setting's text that is at fault, where it is one.
    pub offset: Option<usize>,
}

impl From<(&'static str, String)> for Wrong {
    fn from((key, message): (&'static str, String)) -> Self {
        Self { key, message, offset: None }
    }
}

impl Wrong {
    /// A mistake in a template of setting `prompt`.
    pub fn prompt(error: &PromptError) -> Self {
        Self::template(if error.template() == "system" { "prompt.system" } else { "prompt.user" }, error)
    }

    /// A mistake in the template that setting `key` holds.
    pub fn template(key: &'static str, error: &PromptError) -> Self {
        Self { key, message: error.to_string(), offset: Some(error.offset()) }
    }
}

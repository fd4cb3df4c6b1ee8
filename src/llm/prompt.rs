//! Prompts: minijinja templates of a pipeline file, checked before the first call.
//!
//! Undefined variables and attributes are errors, never empty text: a prompt with a hole in it would be paid for row by row.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::probe;
use super::{Message, Role};

/// The templates of a prompt, in minijinja's (Jinja2's) syntax.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptSettings {
    /// Template of the system message; without it none is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Template of the user's message.
    pub user: String,
}

/// A template that cannot be used, or a row that it cannot be rendered for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    /// It does not parse, or uses a filter, test or function that does not exist.
    #[error("template `{template}`, line {line}: {message}")]
    Invalid {
        /// `system` or `user`.
        template: &'static str,
        /// Line in the template, from 1.
        line: usize,
        /// Byte of the template.
        offset: usize,
        /// What is wrong.
        message: String,
    },
    /// It uses a variable that the stage does not offer.
    #[error("template `{template}`, line {line}: unknown variable `{variable}`; allowed: {allowed}")]
    UnknownVariable {
        /// `system` or `user`.
        template: &'static str,
        /// Line in the template, from 1.
        line: usize,
        /// Byte of the template.
        offset: usize,
        /// The variable.
        variable: String,
        /// The variables that the stage offers.
        allowed: String,
    },
}

impl PromptError {
    /// The template that is at fault: `system` or `user`.
    pub fn template(&self) -> &'static str {
        match self {
            Self::Invalid { template, .. } | Self::UnknownVariable { template, .. } => template,
        }
    }

    /// The byte of the template at which the mistake stands.
    pub fn offset(&self) -> usize {
        match self {
            Self::Invalid { offset, .. } | Self::UnknownVariable { offset, .. } => *offset,
        }
    }
}

/// A compiled prompt.
#[derive(Debug)]
pub struct Prompt {
    environment: Environment<'static>,
    roles: Vec<(&'static str, Role)>,
    fingerprint: [u8; 16],
}

impl Prompt {
    /// Compiles the templates and checks that they use only `allowed_variables`.
    ///
    /// # Errors
    /// The first mistake, with template, line, and what is allowed.
    pub fn compile(settings: &PromptSettings, allowed_variables: &[&str]) -> Result<Self, PromptError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // A prompt that is trained on may well end with a line end.
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        let mut roles = Vec::new();
        let system = settings.system.as_ref().map(|source| ("system", Role::System, source));
        for (name, role, source) in system.into_iter().chain([("user", Role::User, &settings.user)]) {
            if source.trim().is_empty() {
                let message = "must not be empty".to_owned();
                return Err(PromptError::Invalid { template: name, line: 1, offset: 0, message });
            }
            environment.add_template_owned(name, source.clone()).map_err(|error| invalid(name, source, &error))?;
            check(&environment, name, source, allowed_variables)?;
            roles.push((name, role));
        }
        let json = serde_json::to_vec(settings).expect("text always serialises");
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&blake3::hash(&json).as_bytes()[..16]);
        Ok(Self { environment, roles, fingerprint })
    }

    /// The messages for one row, whose variables are the fields of `variables`.
    ///
    /// # Errors
    /// When the row lacks an attribute that a template uses, or a filter refuses its value.
    pub fn render(&self, variables: &impl Serialize) -> Result<Vec<Message>, PromptError> {
        let variables = Value::from(minijinja::value::Serde(variables));
        let message = |&(name, role): &(&'static str, Role)| {
            let rendered = self.environment.get_template(name).and_then(|template| template.render(&variables));
            Ok(Message { role, content: rendered.map_err(|error| invalid(name, "", &error))? })
        };
        self.roles.iter().map(message).collect()
    }

    /// The identity of the templates: the first 16 bytes of BLAKE3 over their texts as JSON.
    pub fn fingerprint(&self) -> [u8; 16] {
        self.fingerprint
    }
}

fn check(environment: &Environment<'_>, name: &'static str, source: &str, allowed: &[&str]) -> Result<(), PromptError> {
    let template = environment.get_template(name).map_err(|error| invalid(name, source, &error))?;
    let is_global = |variable: &String| environment.globals().any(|(global, _)| global == variable);
    let mut unknown: Vec<(usize, String)> = template
        .undeclared_variables(false)
        .into_iter()
        .filter(|variable| !allowed.contains(&variable.as_str()) && !is_global(variable))
        .map(|variable| (place_of(source, &variable), variable))
        .collect();
    unknown.sort();
    if let Some((offset, variable)) = unknown.into_iter().next() {
        let line = 1 + source[..offset].matches('\n').count();
        return Err(PromptError::UnknownVariable {
            template: name,
            line,
            offset,
            variable,
            allowed: allowed.join(", "),
        });
    }
    probe::unknown_names(&template, allowed).map_or(Ok(()), |error| Err(invalid(name, source, &error)))
}

fn invalid(template: &'static str, source: &str, error: &minijinja::Error) -> PromptError {
    let message = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    let line = error.line().unwrap_or(1);
    // Not every error has its range; then the start of its line is as near as it gets.
    let line_start = || source.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let offset = error.range().map_or_else(line_start, |range| range.start);
    PromptError::Invalid { template, line, offset, message }
}

/// Where `variable` first stands as a word inside a tag: minijinja lists unknown variables without their places.
fn place_of(source: &str, variable: &str) -> usize {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let (mut inside, mut at) = (false, 0);
    while at < source.len() {
        let marks = if inside { ["}}", "%}"] } else { ["{{", "{%"] };
        let end = marks.iter().filter_map(|mark| source[at..].find(mark)).min().map_or(source.len(), |end| at + end);
        if inside {
            let mut from = at;
            while let Some(found) = source[from..end].find(variable).map(|found| from + found) {
                let behind = found + variable.len();
                if !source[at..found].ends_with(is_word) && !source[behind..end].starts_with(is_word) {
                    return found;
                }
                from = behind;
            }
        }
        inside = !inside;
        at = end + 2;
    }
    0
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compile(user: &str) -> Result<Prompt, PromptError> {
        Prompt::compile(&PromptSettings { system: None, user: user.to_owned() }, &["snippet", "prompt"])
    }

    fn error(user: &str) -> String {
        compile(user).unwrap_err().to_string()
    }

    #[test]
    fn a_row_fills_the_templates() {
        let settings = PromptSettings {
            system: Some("You write {{ snippet.language }}.".to_owned()),
            user: "{% for part in snippet.parts %}{{ loop.index }}. {{ part | upper }}\n{% endfor %}<{{ prompt }}>"
                .to_owned(),
        };
        let prompt = Prompt::compile(&settings, &["snippet", "prompt"]).unwrap();
        let row = json!({"snippet": {"language": "Python", "parts": ["a", "b"]}, "prompt": "x & \"y\""});
        let messages = prompt.render(&row).unwrap();
        assert_eq!(messages[0], Message { role: Role::System, content: "You write Python.".to_owned() });
        assert_eq!(messages[1], Message { role: Role::User, content: "1. A\n2. B\n<x & \"y\">".to_owned() });
    }

    #[test]
    fn an_unknown_variable_is_named_with_its_line_and_what_is_allowed() {
        let text = error("snipet\n{{ snippet.text }}\n{% if\n snipet.name %}x{% endif %}");
        assert_eq!(text, "template `user`, line 4: unknown variable `snipet`; allowed: snippet, prompt");
    }

    #[test]
    fn a_syntax_error_is_named_with_its_line() {
        let text = error("a\n{% if snippet %}\n{{ prompt }");
        assert!(text.starts_with("template `user`, line 3: syntax error"), "{text}");
    }

    #[test]
    fn an_empty_template_is_refused() {
        assert_eq!(error(" \n"), "template `user`, line 1: must not be empty");
    }

    #[test]
    fn unknown_filters_tests_and_functions_are_found_wherever_they_hide() {
        for template in [
            "{{ prompt | uper }}",
            "{% if snippet.name %}{{ prompt | uper }}{% endif %}",
            "{% if snippet.name %}a{% else %}{{ prompt | uper }}{% endif %}",
            "{% for part in snippet.parts %}{{ part.text | uper }}{% endfor %}",
            "{{ snippet.text | trim | uper }}",
            "{% if prompt is uper %}a{% endif %}",
        ] {
            assert!(error(&format!("\n{template}")).contains("line 2: unknown"), "{template}: {}", error(template));
        }
        assert!(error("{{ uper(prompt) }}").contains("unknown variable `uper`"));
    }

    #[test]
    fn usual_templates_compile() {
        for template in [
            "{{ prompt }}",
            "{% for i in range(3) %}{{ i }}{% endfor %}",
            "{{ snippet.text | indent(4) }}{{ snippet.lines | length + 1 }}",
            "{% set name = snippet.name %}{{ name | default('none') | replace('a', 'b') }}",
            "{% macro quote(text) %}'{{ text }}'{% endmacro %}{{ quote(prompt) }}",
            "{{ snippet.imports | join(', ') if snippet.imports else 'nothing' }}",
            "{% if snippet.kind == 'method' and snippet.docstring is not none %}x{% endif %}",
        ] {
            compile(template).unwrap();
        }
    }

    #[test]
    fn a_row_that_lacks_an_attribute_is_an_error_and_not_a_hole() {
        let prompt = compile("a\n{{ snippet.docstring }}").unwrap();
        let error = prompt.render(&json!({"snippet": {"text": "x"}, "prompt": ""})).unwrap_err();
        assert!(error.to_string().starts_with("template `user`, line 2: undefined value"), "{error}");
    }

    #[test]
    fn the_fingerprint_follows_the_text_alone() {
        let one = compile("{{ prompt }}").unwrap().fingerprint();
        assert_eq!(one, compile("{{ prompt }}").unwrap().fingerprint());
        assert_ne!(one, compile("{{ prompt }} ").unwrap().fingerprint());
        let system = PromptSettings { system: Some("x".to_owned()), user: "{{ prompt }}".to_owned() };
        assert_ne!(one, Prompt::compile(&system, &["prompt"]).unwrap().fingerprint());
    }
}

//! Questions whose answers are programs: how an answer and its tests become one program.

use crate::python::{AnswerForm, code_from_answer};

/// The tests of a question that asks for code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeTest {
    /// What comes before the answer where that only goes on with it: imports and the head of the function.
    pub head: String,
    /// The function that is asked for, where the question names it.
    pub entry_point: Option<String>,
    /// Statements that fail unless the answer is right.
    pub tests: String,
}

impl CodeTest {
    /// The whole program: it ends without an error if the answer is right. None if the answer holds no code.
    pub fn program(&self, answer: &str) -> Option<String> {
        let code = self.code(answer)?;
        Some(format!("{code}\n\n{}\n", self.tests.trim_end()))
    }

    fn code(&self, answer: &str) -> Option<String> {
        if answer.trim().is_empty() {
            return None;
        }
        if self.head.is_empty() {
            let found = code_from_answer(answer);
            return (found.form != AnswerForm::NoCode).then_some(found.code);
        }
        // A bare completion is indented as the body that it goes on with; a whole function stands for itself. The head
        // goes before it all the same, for its imports: a function that is defined twice is the second one.
        let names_it = self.entry_point.as_ref().is_some_and(|name| answer.contains(&format!("def {name}")));
        if answer.starts_with([' ', '\t', '\n']) && !names_it && !answer.contains("```") {
            return Some(format!("{}{answer}", self.head));
        }
        let found = code_from_answer(answer);
        match found.form {
            AnswerForm::NoCode => Some(format!("{}{answer}", self.head)).filter(|_| !answer.contains("```")),
            _ if names_it => Some(format!("{}\n{}", self.head, found.code)),
            _ => Some(format!("{}{}", self.head, found.code)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn test() -> CodeTest {
        CodeTest {
            head: "import math\n\ndef half(x):\n    \"\"\"Half of x.\"\"\"\n".into(),
            entry_point: Some("half".into()),
            tests: "assert half(4) == 2".into(),
        }
    }

    #[test]
    fn a_completion_goes_on_with_the_head_and_a_whole_function_stands_after_it() {
        let program = test().program("    return x / 2\n").unwrap();
        assert!(program.contains("\"\"\"Half of x.\"\"\"\n    return x / 2\n"), "{program}");
        let whole = test().program("Here:\n```python\ndef half(x):\n    return x / 2\n```\nDone.").unwrap();
        assert!(whole.starts_with("import math") && whole.contains("\ndef half(x):\n    return x / 2"), "{whole}");
        assert!(!whole.contains("Here") && whole.ends_with("assert half(4) == 2\n"), "{whole}");
    }

    #[test]
    fn prose_is_no_program_where_a_whole_one_is_asked_for() {
        let bare = CodeTest { head: String::new(), entry_point: None, tests: "assert f(1) == 1".into() };
        assert_eq!(bare.program("I would rather not write that, sorry."), None);
        assert_eq!(bare.program("  "), None);
        assert!(bare.program("```python\ndef f(x):\n    return x\n```").unwrap().starts_with("def f(x):"));
    }
}

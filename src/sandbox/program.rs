//! An answer with its tests, composed from the items of HumanEval and MBPP.

use crate::python::{AnswerForm, Parser, code_from_answer};

/// An answer's code and the tests that judge it; the two never see each other (see [`super`]).
///
/// The tests call the answer's functions by name. Names of `context` and of Python itself are never taken from the
/// answer, `entry_point` always is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Source that runs in the answer's process.
    pub answer: String,
    /// Source that runs before the tests, in their process: what they may name beside the answer's functions.
    pub context: String,
    /// The tests; they pass if they run to their end.
    pub tests: String,
    /// The function under test, where one name is known.
    pub entry_point: Option<String>,
}

impl Program {
    /// Of an item of HumanEval (Chen et al., 2021): `prompt` ends within the function `entry_point`, `test` defines
    /// `check(candidate)`. `answer` is the rest of the function, or a whole one, in a code block or without.
    pub fn human_eval(prompt: &str, answer: &str, test: &str, entry_point: &str) -> Self {
        // A function that has its docstring alone is whole as soon as something stands in it.
        let context = format!("{}\n    pass\n", prompt.trim_end());
        let found = code_from_answer(answer);
        let answer = if defines(&found.code, entry_point) {
            format!("{context}\n{}\n", found.code)
        } else if matches!(found.form, AnswerForm::Fenced | AnswerForm::Several) {
            format!("{}\n{}\n", prompt.trim_end(), indented(&found.code))
        } else {
            format!("{prompt}{answer}\n") // its indentation belongs to it
        };
        let tests = format!("{test}\n\ncheck({entry_point})\n");
        Self { answer, context, tests, entry_point: Some(entry_point.to_owned()) }
    }

    /// Of an item of MBPP (Austin et al., 2021): `setup` is its set-up code or its imports, `tests` its assertions, which
    /// call `entry_point`.
    pub fn mbpp(answer: &str, setup: &str, tests: &[String], entry_point: Option<&str>) -> Self {
        let code = code_from_answer(answer).code;
        Self {
            answer: format!("{setup}\n{code}\n"),
            context: format!("{setup}\n"),
            tests: tests.join("\n"),
            entry_point: entry_point.map(str::to_owned),
        }
    }
}

/// Whether `code` defines the function `name` at its top.
fn defines(code: &str, name: &str) -> bool {
    let heads = [format!("def {name}("), format!("async def {name}(")];
    code.lines().any(|line| heads.iter().any(|head| line.starts_with(head))) && Parser::new().parse(code).errors() == 0
        || code.lines().any(|line| line.starts_with(&format!("{name} = ")))
}

/// `code` as the body of a function.
fn indented(code: &str) -> String {
    let lines: Vec<String> =
        code.lines().map(|line| if line.is_empty() { String::new() } else { format!("    {line}") }).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: &str = "from typing import List\n\n\ndef double(x: int) -> int:\n    \"\"\" Twice x. \"\"\"\n";

    fn human_eval(answer: &str) -> String {
        Program::human_eval(PROMPT, answer, "def check(candidate):\n    assert candidate(2) == 4\n", "double").answer
    }

    #[test]
    fn a_bare_completion_goes_on_where_the_prompt_ends() {
        assert_eq!(human_eval("    return 2 * x"), format!("{PROMPT}    return 2 * x\n"));
    }

    #[test]
    fn a_body_in_a_code_block_is_indented_again() {
        let found = human_eval("```python\n    y = x\n\n    return y + x\n```");
        assert!(found.ends_with("Twice x. \"\"\"\n    y = x\n\n    return y + x\n"), "{found}");
    }

    #[test]
    fn a_whole_function_replaces_the_prompts_and_keeps_its_imports() {
        for answer in ["def double(x):\n    return 2 * x", "Sure:\n```python\ndef double(x):\n    return 2 * x\n```\n"]
        {
            let found = human_eval(answer);
            assert!(found.starts_with("from typing") && found.contains("    pass\n\ndef double(x):\n"), "{found}");
        }
    }

    #[test]
    fn an_answer_never_stands_beside_its_tests() {
        let tests = vec!["assert twice(2) == 4".to_owned()];
        let found = Program::mbpp("```\ndef twice(x):\n    return 2 * x\n```", "import math", &tests, None);
        assert_eq!(found.answer, "import math\ndef twice(x):\n    return 2 * x\n");
        assert_eq!((found.context.as_str(), found.tests.as_str()), ("import math\n", "assert twice(2) == 4"));
    }
}

//! Questions whose answers are programs.

use serde::{Deserialize, Serialize};

/// The tests of a question that asks for code, as its benchmark has them; how they are run is for others.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeTest {
    /// HumanEval: `test` defines `check`, which is given the function `entry_point` that the prompt begins.
    HumanEval {
        /// Imports, head and docstring of the function.
        prompt: String,
        /// The definition of `check`.
        test: String,
        /// The function.
        entry_point: String,
    },
    /// MBPP: assertions.
    Mbpp {
        /// What runs before them: imports, or set-up code.
        setup: String,
        /// The assertions.
        tests: Vec<String>,
        /// The function that they call, by the name that the set's own solution gives it.
        entry_point: Option<String>,
    },
}

impl CodeTest {
    /// All of it in one text, to tell one question from another.
    pub(super) fn text(&self) -> String {
        match self {
            Self::HumanEval { prompt, test, entry_point } => format!("{prompt}\0{test}\0{entry_point}"),
            Self::Mbpp { setup, tests, entry_point } => {
                format!("{setup}\0{}\0{}", tests.join("\0"), entry_point.as_deref().unwrap_or_default())
            }
        }
    }
}

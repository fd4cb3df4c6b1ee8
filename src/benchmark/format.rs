//! The formats that are read, and how one is told from its first row.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::records::Row;

macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// A format of a benchmark's file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
        pub enum Format {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Format {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name in files and arguments.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

formats! {
    /// `prompt`, `chosen`, `rejected`.
    Pairs = "pairs",
    /// `prompt`, `options`, `answer` (the place of the right option, from 0, or its text).
    Options = "options",
    /// `prompt`, `samples`, `answer`, and how to compare it in `compare`.
    Samples = "samples",
    /// `prompt`, `answer`, and how to compare it in `compare`: questions without samples.
    Questions = "questions",
    /// GSM8K: `question`, `answer` with `#### 42`.
    Gsm8k = "gsm8k",
    /// MATH and MATH-500: `problem`, `solution` with a box, or `answer`.
    Math = "math",
    /// Math-Shepherd: `input`, `label`, `task`.
    MathShepherd = "math-shepherd",
    /// ReClor: `context`, `question`, `answers`, `label`.
    Reclor = "reclor",
    /// LogiQA 2.0: `text`, `question`, `options`, `answer`.
    Logiqa2 = "logiqa2",
    /// CodeUltraFeedback: `instruction`, `responses`, `annotations`; or the binarized set's `chosen` and `rejected`.
    CodeUltraFeedback = "code-ultra-feedback",
    /// HumanEval: `task_id`, `prompt`, `entry_point`, `test`.
    HumanEval = "humaneval",
    /// MBPP, full or sanitized: `task_id`, `text` or `prompt`, `test_list`.
    Mbpp = "mbpp",
    /// RewardBench 2: `id`, `prompt`, `chosen` and `rejected` as lists, `subset`.
    RewardBench2 = "reward-bench-2",
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|format| format.name() == text);
        found.copied().ok_or_else(|| format!("there is no format `{text}`; formats are: {}", Self::names()))
    }
}

impl Format {
    /// All names, for messages.
    pub fn names() -> String {
        Self::ALL.iter().map(|format| format.name()).collect::<Vec<_>>().join(", ")
    }

    /// Whether its rows are pairs, or stand for some: a right option or answer beside wrong ones.
    pub fn has_pairs(self) -> bool {
        match self {
            Self::Pairs
            | Self::Options
            | Self::MathShepherd
            | Self::Reclor
            | Self::Logiqa2
            | Self::CodeUltraFeedback
            | Self::RewardBench2 => true,
            Self::Samples | Self::Questions | Self::Gsm8k | Self::Math | Self::HumanEval | Self::Mbpp => false,
        }
    }

    /// Names of the formats whose rows stand for pairs, for messages.
    pub fn names_with_pairs() -> String {
        let with = Self::ALL.iter().filter(|format| format.has_pairs());
        with.map(|format| format.name()).collect::<Vec<_>>().join(", ")
    }

    /// What a row of these fields must be; none if it could be nothing that is known.
    pub(super) fn of(row: &Row) -> Option<Self> {
        // Those with the most telling fields first.
        let known: [(&[&str], Self); 14] = [
            (&["task_id", "entry_point", "test"], Self::HumanEval),
            (&["task_id", "test_list"], Self::Mbpp),
            (&["input", "label", "task"], Self::MathShepherd),
            (&["context", "question", "answers"], Self::Reclor),
            (&["text", "question", "options"], Self::Logiqa2),
            (&["instruction", "responses", "annotations"], Self::CodeUltraFeedback),
            (&["instruction", "chosen", "rejected"], Self::CodeUltraFeedback),
            (&["problem", "solution"], Self::Math),
            (&["problem", "answer"], Self::Math),
            (&["prompt", "samples"], Self::Samples),
            (&["prompt", "options"], Self::Options),
            (&["prompt", "chosen", "rejected"], Self::Pairs),
            (&["question", "answer"], Self::Gsm8k),
            (&["prompt", "answer"], Self::Questions),
        ];
        let found = known.iter().find(|(fields, _)| row.has(fields)).map(|(_, format)| *format);
        let lists = row.get("chosen").is_some_and(serde_json::Value::is_array);
        if found == Some(Self::Pairs) && lists { Some(Self::RewardBench2) } else { found }
    }
}

//! What is scored: a prompt, and the texts that answer it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CodeTest;

/// How two answers to a question are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answering {
    /// The last number, as GSM8K has it.
    Number,
    /// A mathematical expression, as MATH has it.
    #[default]
    Math,
    /// Words, up to case, spacing and the punctuation at their ends.
    Text,
}

impl Answering {
    const ALL: [Self; 3] = [Self::Number, Self::Math, Self::Text];

    /// The word in files and rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Math => "math",
            Self::Text => "text",
        }
    }

    /// By its word.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|answering| answering.name() == name)
    }
}

/// What is asked of a model's rewards.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// The better of two answers.
    Pair {
        /// The better answer.
        chosen: String,
        /// The worse answer.
        rejected: String,
    },
    /// The right one of several options.
    Choice {
        /// All options, in the order of the file.
        options: Vec<String>,
        /// Place of the right one.
        answer: usize,
    },
    /// Right answers before wrong ones.
    Ranking {
        /// Right answers; more than one in RewardBench 2's subset of ties.
        correct: Vec<String>,
        /// Wrong answers.
        wrong: Vec<String>,
    },
    /// A right one among a generator's samples, by its final answer.
    Answer {
        /// The right answer.
        gold: String,
        /// How it is compared.
        answering: Answering,
    },
    /// A right one among a generator's samples, by its tests.
    Code(CodeTest),
}

/// One row of a benchmark.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The row's own identifier, else its number in the file, from 0.
    pub key: String,
    /// The part of the benchmark that it belongs to: subject, task, subset; empty if there are none.
    pub subset: String,
    /// What is asked.
    pub prompt: String,
    /// What is asked of the rewards.
    pub task: Task,
    /// A generator's answers to the prompt; empty until they are attached.
    pub samples: Vec<String>,
}

impl Item {
    /// An item without samples.
    pub(super) fn new(key: String, subset: String, prompt: String, task: Task) -> Self {
        Self { key, subset, prompt, task, samples: Vec::new() }
    }

    /// The texts that are given rewards: both sides of a pair, the options, the right answers before the wrong ones, the
    /// samples.
    pub fn texts(&self) -> Vec<&str> {
        match &self.task {
            Task::Pair { chosen, rejected } => vec![chosen, rejected],
            Task::Choice { options, .. } => options.iter().map(String::as_str).collect(),
            Task::Ranking { correct, wrong } => correct.iter().chain(wrong).map(String::as_str).collect(),
            Task::Answer { .. } | Task::Code(_) => self.samples.iter().map(String::as_str).collect(),
        }
    }

    /// The pairs that the item stands for: itself, or its right option with each wrong one.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        match &self.task {
            Task::Pair { chosen, rejected } => vec![(chosen, rejected)],
            Task::Choice { options, answer } => (options.iter().enumerate())
                .filter(|(at, _)| at != answer)
                .map(|(_, wrong)| (options[*answer].as_str(), wrong.as_str()))
                .collect(),
            Task::Ranking { correct, wrong } => correct
                .iter()
                .flat_map(|right| wrong.iter().map(move |wrong| (right.as_str(), wrong.as_str())))
                .collect(),
            Task::Answer { .. } | Task::Code(_) => Vec::new(),
        }
    }
}

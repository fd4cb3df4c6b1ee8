//! Measuring models on benchmarks, as the command line and the `evaluate` stage both do it.
//!
//! ```text
//! file, pairs ── data ──> Data      items with their texts, what is right among them
//! model folder ── score ──> rewards of all texts
//! both ── figures ──> estimates     from rows alone, so that the database can give them again
//! ```
//!
//! Invariants: a text that cannot be scored ranks last and stays in the denominator of choices and best-of-N; figures
//! depend on rows and seed alone, never on timing.

mod caged;
mod data;
mod figures;
mod judged;
mod mark;
mod measure;
mod score;
mod side_by_side;

pub use caged::judge_for;
pub use data::{Data, DataSettings, drawn};
pub use figures::{Figure, ItemValues, figures, item_values};
pub use mark::model_mark;
pub use measure::{Asked, Found, keep, measure};
pub use side_by_side::{compared, differences, means, over_seeds};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of pairs whose chosen answer has the higher reward; a draw counts half.
    #[default]
    Accuracy,
    /// Right answers when the sample with the highest reward among N is taken.
    BestOfN,
    /// Share of questions whose right option has the highest reward.
    Choice,
    /// RewardBench 2, as that benchmark defines it.
    #[serde(rename = "reward_bench_2")]
    #[value(name = "reward-bench-2")]
    RewardBench2,
}

impl Metric {
    /// The word in rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::BestOfN => "best_of_n",
            Self::Choice => "choice",
            Self::RewardBench2 => "reward_bench_2",
        }
    }
}

//! Measures of a preference model, each with its interval of confidence.
//!
//! Pure arithmetic over rewards: how they were computed is for `train`, where they are kept is for `store`.

pub mod accuracy;
pub mod answer;
pub mod best_of_n;
pub mod bootstrap;
pub mod choice;
pub mod code;
pub mod compare;
pub mod interval;
pub mod ranking;
pub mod subsets;
pub mod vote;

pub use accuracy::{Accuracy, PairReward, accuracy};
pub use interval::Estimate;

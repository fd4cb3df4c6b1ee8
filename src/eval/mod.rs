//! Measures of a preference model, each with its interval of confidence.
//!
//! Pure arithmetic over rewards: how they were computed is for `train`, where they are kept is for `store`.

pub mod accuracy;
pub mod bootstrap;
pub mod interval;

pub use accuracy::{Accuracy, PairReward, accuracy};
pub use interval::Estimate;

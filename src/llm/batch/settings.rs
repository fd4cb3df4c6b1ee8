//! Settings of an endpoint's batches.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::SettingsError;

/// How requests are put into batch files, and what they cost there. The defaults are OpenAI's terms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchSettings {
    /// Requests in a file, at most.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_requests: u32,
    /// Bytes of a file, at most.
    #[schemars(range(min = 1024))]
    pub max_bytes: u64,
    /// What a token costs in a batch, as a share of its price online.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub price_factor: f64,
    /// Time within which the provider is to answer, in its own words.
    pub completion_window: String,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self { max_requests: 50_000, max_bytes: 200_000_000, price_factor: 0.5, completion_window: "24h".to_owned() }
    }
}

impl BatchSettings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first setting that is wrong, and what is allowed.
    pub fn check(&self) -> Result<(), SettingsError> {
        let wrong = |message: &str| Err(SettingsError::new("batch", message));
        match self {
            Self { max_requests: 0 | 10_000_001.., .. } => wrong("max_requests must be between 1 and 10000000"),
            Self { max_bytes: 0..1024, .. } => wrong("max_bytes must be at least 1024"),
            Self { price_factor, .. } if !(0.0..=10.0).contains(price_factor) => {
                wrong("price_factor must be between 0 and 10")
            }
            Self { completion_window, .. } if completion_window.trim().is_empty() => {
                wrong("completion_window must not be empty, e.g. `24h`")
            }
            _ => Ok(()),
        }
    }
}

//! How a model is asked to sample. Part of a request's identity: change it and the request is another one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::SettingsError;

/// Fields of a request that `extra` must not set, since they are ours to set.
const OURS: [&str; 10] =
    ["model", "messages", "temperature", "top_p", "max_tokens", "stop", "seed", "stream", "stream_options", "n"];

/// How the model samples its answer. What is left out is not sent, so that the server's default holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Randomness: 0 always takes the likeliest token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 2.0))]
    pub temperature: Option<f64>,
    /// Samples from the likeliest tokens that together have this probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub top_p: Option<f64>,
    /// The most tokens that an answer may have. An answer that reaches it is rejected as truncated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_tokens: Option<u32>,
    /// Texts that end the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Seed of the server's sampling. Sample n of a row is asked for with `seed + n`, as equal seeds give equal answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// More fields for this server's requests, sent as they are, e.g. `top_k` or `repetition_penalty`.
    #[serde(default, skip_serializing_if = "Map::is_empty", serialize_with = "sorted")]
    pub extra: Map<String, Value>,
}

impl Sampling {
    /// Checks the ranges, and that `extra` leaves our fields alone.
    ///
    /// # Errors
    /// The first setting that is wrong, and what is allowed.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.temperature.is_some_and(|value| !(0.0..=2.0).contains(&value)) {
            return Err(SettingsError::new("temperature", "must be between 0 and 2"));
        }
        if self.top_p.is_some_and(|value| !(value > 0.0 && value <= 1.0)) {
            return Err(SettingsError::new("top_p", "must be above 0 and at most 1"));
        }
        if self.max_tokens == Some(0) {
            return Err(SettingsError::new("max_tokens", "must be at least 1"));
        }
        if let Some(key) = OURS.iter().find(|key| self.extra.contains_key(**key)) {
            return Err(SettingsError::new("extra", format!("must not contain `{key}`: the program sets it itself")));
        }
        Ok(())
    }
}

/// Writes a map with its keys in order at every depth, so that equal settings have equal text.
fn sorted<S: Serializer>(map: &Map<String, Value>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut entries: Vec<_> = map.iter().map(|(key, value)| (key, Sorted(value))).collect();
    entries.sort_by_key(|(key, _)| *key);
    serializer.collect_map(entries)
}

struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => sorted(map, serializer),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            plain => plain.serialize(serializer),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(toml: &str) -> Sampling {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn the_order_of_extra_fields_does_not_matter() {
        let one = parse("temperature = 0.7\nextra = { top_k = 20, nested = { b = 1, a = [ { d = 1, c = 2 } ] } }");
        let other = parse("extra = { nested = { a = [ { c = 2, d = 1 } ], b = 1 }, top_k = 20 }\ntemperature = 0.7");
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(text, serde_json::to_string(&other).unwrap());
        assert_eq!(text, r#"{"temperature":0.7,"extra":{"nested":{"a":[{"c":2,"d":1}],"b":1},"top_k":20}}"#);
    }

    #[test]
    fn whole_numbers_and_decimals_are_the_same_temperature() {
        assert_eq!(parse("temperature = 1"), parse("temperature = 1.0"));
    }

    #[test]
    fn what_is_out_of_range_is_refused_by_name() {
        for (toml, key) in [
            ("temperature = -0.1", "temperature"),
            ("temperature = 2.5", "temperature"),
            ("temperature = nan", "temperature"),
            ("top_p = 0.0", "top_p"),
            ("max_tokens = 0", "max_tokens"),
            ("extra = { stream = true }", "extra"),
        ] {
            assert_eq!(parse(toml).check().unwrap_err().key, key, "{toml}");
        }
        assert_eq!(parse("temperature = 0.0\ntop_p = 1.0").check(), Ok(()));
    }

    #[test]
    fn unknown_settings_are_refused() {
        let error = toml::from_str::<Sampling>("temprature = 1").unwrap_err().to_string();
        assert!(error.contains("temprature") && error.contains("temperature"), "{error}");
    }
}

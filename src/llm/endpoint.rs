//! The settings of an endpoint, as a pipeline file has them.
//!
//! Only the model and the sampling are part of a row's identity. Everything here but `model` may change between two
//! starts without making a finished row stale.

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BatchSettings, Prices};

/// Where a model is asked, and how hard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointSettings {
    /// URL of an OpenAI-compatible server up to its version, e.g. `https://api.openai.com/v1` or
    /// `http://localhost:8000/v1`. Either this or `simulator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Name of a simulator in `[simulators]`, which is then started for the run. Either this or `base_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulator: Option<String>,
    /// Name of the environment variable that holds the key. Without it no key is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// The model, by the server's name for it.
    pub model: String,
    /// Requests in flight at once, at most.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = 65536))]
    pub concurrency: u32,
    /// Requests in any 60 seconds, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub requests_per_minute: Option<u32>,
    /// Tokens of prompts and answers in any 60 seconds, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub tokens_per_minute: Option<u32>,
    /// Seconds to wait for an answer, from sending to its last byte.
    #[serde(default = "default_timeout_seconds")]
    #[schemars(range(min = 1, max = 86400))]
    pub timeout_seconds: u64,
    /// How often a request is sent at most before its row fails. Answers of status 429 are not counted: they are waited
    /// out, up to ten times as often.
    #[serde(default = "default_max_attempts")]
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: u32,
    /// Price of a million prompt tokens in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub price_input_per_million: Option<f64>,
    /// Price of a million answer tokens in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub price_output_per_million: Option<f64>,
    /// Tokens that prompt and answer may have together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub context_tokens: Option<u32>,
    /// Whether an answer of one token is asked for before a run, to see that the key may call the model and that the server
    /// tells the tokens used. It is recorded in `preflights`, and not repeated within a day.
    #[serde(default = "default_preflight_completion")]
    pub preflight_completion: bool,
    /// Batch files: `codepmp batch`.
    #[serde(default)]
    pub batch: BatchSettings,
}

fn default_preflight_completion() -> bool {
    true
}

fn default_concurrency() -> u32 {
    16
}

fn default_timeout_seconds() -> u64 {
    120
}

fn default_max_attempts() -> u32 {
    6
}

/// A setting that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` {message}")]
pub struct SettingsError {
    /// The setting.
    pub key: &'static str,
    /// What is wrong with it and what is allowed.
    pub message: String,
}

impl SettingsError {
    pub(super) fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self { key, message: message.into() }
    }
}

impl EndpointSettings {
    /// Settings with defaults for a model at a URL.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base_url: Some(base_url.into()),
            simulator: None,
            api_key_env: None,
            model: model.into(),
            concurrency: default_concurrency(),
            requests_per_minute: None,
            tokens_per_minute: None,
            timeout_seconds: default_timeout_seconds(),
            max_attempts: default_max_attempts(),
            price_input_per_million: None,
            price_output_per_million: None,
            context_tokens: None,
            preflight_completion: default_preflight_completion(),
            batch: BatchSettings::default(),
        }
    }

    /// The same settings at a URL: for an endpoint that named a simulator, once that listens.
    #[must_use]
    pub fn at(&self, base_url: impl Into<String>) -> Self {
        Self { base_url: Some(base_url.into()), simulator: None, ..self.clone() }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// The first setting that is wrong, and what is allowed.
    pub fn check(&self) -> Result<(), SettingsError> {
        match (&self.base_url, &self.simulator) {
            (Some(url), None) => parse_base_url(url).map(drop)?,
            (None, Some(_)) => {}
            (None, None) => return Err(SettingsError::new("base_url", "is missing: set it, or `simulator`")),
            (Some(_), Some(_)) => return Err(SettingsError::new("simulator", "must not be set along with `base_url`")),
        }
        if self.api_key_env.as_deref().is_some_and(|name| !is_variable_name(name)) {
            let message = "must be the name of an environment variable, not the key itself";
            return Err(SettingsError::new("api_key_env", message));
        }
        if self.model.trim().is_empty() {
            return Err(SettingsError::new("model", "must not be empty"));
        }
        within("concurrency", u64::from(self.concurrency), 1..=65536)?;
        within("timeout_seconds", self.timeout_seconds, 1..=86400)?;
        within("max_attempts", u64::from(self.max_attempts), 1..=100)?;
        for (key, value) in [
            ("requests_per_minute", self.requests_per_minute),
            ("tokens_per_minute", self.tokens_per_minute),
            ("context_tokens", self.context_tokens),
        ] {
            within(key, u64::from(value.unwrap_or(1)), 1..=u64::from(u32::MAX))?;
        }
        for (key, value) in [
            ("price_input_per_million", self.price_input_per_million),
            ("price_output_per_million", self.price_output_per_million),
        ] {
            if value.is_some_and(|price| !price.is_finite() || price < 0.0) {
                return Err(SettingsError::new(key, "must be a price of 0 or more"));
            }
        }
        self.batch.check()
    }

    /// The prices, if either is set; the other is then 0.
    pub fn prices(&self) -> Option<Prices> {
        (self.price_input_per_million.is_some() || self.price_output_per_million.is_some()).then(|| Prices {
            input_per_million: self.price_input_per_million.unwrap_or(0.0),
            output_per_million: self.price_output_per_million.unwrap_or(0.0),
        })
    }
}

fn within(key: &'static str, value: u64, range: std::ops::RangeInclusive<u64>) -> Result<(), SettingsError> {
    let message = || format!("must be between {} and {}", range.start(), range.end());
    if range.contains(&value) { Ok(()) } else { Err(SettingsError::new(key, message())) }
}

fn is_variable_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|char| char.is_ascii_alphanumeric() || char == '_')
}

/// Parses a base URL, without the slash at its end. User names, passwords and queries are refused: they are where keys
/// hide, and URLs are logged and stored.
pub(super) fn parse_base_url(text: &str) -> Result<Url, SettingsError> {
    let fail = |message: &str| Err(SettingsError::new("base_url", message));
    let Ok(mut url) = Url::parse(text) else {
        return fail("must be a URL such as `http://localhost:8000/v1`");
    };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return fail("must start with `http://` or `https://` and a host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return fail("must not contain a user name or password; name the key's variable in `api_key_env`");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return fail("must not contain `?` or `#`");
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if path.ends_with("/chat/completions") {
        return fail("must end before `/chat/completions`");
    }
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key_of_error(toml: &str) -> &'static str {
        toml::from_str::<EndpointSettings>(toml).unwrap().check().unwrap_err().key
    }

    #[test]
    fn an_endpoint_needs_a_url_and_a_model_only() {
        let settings: EndpointSettings = toml::from_str("base_url = 'http://h/v1'\nmodel = 'm'").unwrap();
        assert_eq!(settings, EndpointSettings::new("http://h/v1", "m"));
        assert_eq!(settings.check(), Ok(()));
        assert_eq!((settings.concurrency, settings.timeout_seconds, settings.max_attempts), (16, 120, 6));
    }

    #[test]
    fn an_endpoint_is_at_a_url_or_a_simulator_but_not_both() {
        assert_eq!(key_of_error("model = 'm'"), "base_url");
        assert_eq!(key_of_error("model = 'm'\nbase_url = 'http://h/v1'\nsimulator = 's'"), "simulator");
        let simulated: EndpointSettings = toml::from_str("model = 'm'\nsimulator = 's'").unwrap();
        assert_eq!(simulated.check(), Ok(()));
        assert_eq!(simulated.at("http://127.0.0.1:9/v1").check(), Ok(()));
    }

    #[test]
    fn urls_that_could_hold_a_key_or_lead_elsewhere_are_refused() {
        for url in [
            "localhost:8000/v1",
            "ftp://h/v1",
            "http://user:pass@h/v1",
            "http://h/v1?key=secret",
            "http://h/v1#x",
            "http://h/v1/chat/completions",
            "v1",
        ] {
            let error = EndpointSettings::new(url, "m").check().unwrap_err();
            assert_eq!(error.key, "base_url", "{url}");
            assert!(!error.to_string().contains("pass@") && !error.to_string().contains("secret"));
        }
        assert_eq!(parse_base_url("http://h:1/v1/").unwrap().as_str(), "http://h:1/v1");
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        for (line, key) in [
            ("concurrency = 0", "concurrency"),
            ("requests_per_minute = 0", "requests_per_minute"),
            ("tokens_per_minute = 0", "tokens_per_minute"),
            ("timeout_seconds = 0", "timeout_seconds"),
            ("max_attempts = 0", "max_attempts"),
            ("price_input_per_million = -1.0", "price_input_per_million"),
            ("price_output_per_million = inf", "price_output_per_million"),
            ("context_tokens = 0", "context_tokens"),
            ("api_key_env = 'sk-abc'", "api_key_env"),
            ("batch.max_requests = 0", "batch"),
            ("batch.max_bytes = 10", "batch"),
            ("batch.price_factor = -1.0", "batch"),
            ("batch.completion_window = ' '", "batch"),
        ] {
            assert_eq!(key_of_error(&format!("base_url = 'http://h'\nmodel = 'm'\n{line}")), key);
        }
    }

    #[test]
    fn an_unknown_setting_is_refused_with_what_is_allowed() {
        let error = toml::from_str::<EndpointSettings>("model = 'm'\nrpm = 3").unwrap_err().to_string();
        assert!(error.contains("rpm") && error.contains("requests_per_minute"), "{error}");
    }

    #[test]
    fn the_schema_explains_every_setting() {
        let schema = schemars::schema_for!(EndpointSettings);
        let properties = schema.as_value()["properties"].as_object().unwrap();
        assert!(properties.len() >= 12);
        assert!(properties.values().all(|property| property["description"].is_string()));
    }
}

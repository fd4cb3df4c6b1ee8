//! The settings of an endpoint, as a pipeline file has them.
//!
//! Only the model and the sampling are part of a row's identity. Everything here but `model` may change between two
//! starts without making a finished row stale.

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BatchSettings, Booking, Limits, Prices};

/// Where a model is asked, and how hard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointSettings {
    /// URL of an OpenAI-compatible server up to its version, e.g. `https://api.openai.com/v1` or
    /// `http://localhost:8000/v1`. Either this, `base_urls` or `simulator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// URLs of servers that are the same model: each call goes to the one with the fewest calls under way; one that fails
    /// again and again is rested and then tried with one call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub base_urls: Vec<String>,
    /// Name of a simulator in `[simulators]`, which is then started for the run. In place of `base_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulator: Option<String>,
    /// Name of the environment variable that holds the key. Without it no key is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// The model, by the server's name for it.
    pub model: String,
    /// Requests in flight at once from this process, at most.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = 65536))]
    pub concurrency: u32,
    /// Lets the requests in flight go down from `concurrency`, by a tenth at a time, while answers slow down or many
    /// calls meet 429, 5xx or time-outs, and up again step by step when that is over.
    #[serde(default = "yes")]
    pub adaptive_concurrency: bool,
    /// Whose limits these are: endpoints of one account share them, in every process on the database. Left out, an
    /// endpoint's account follows from host, key variable and model, so that only its own processes share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Requests of the account in any 60 seconds, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub requests_per_minute: Option<u32>,
    /// Tokens of the account's prompts and answers in any 60 seconds, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub tokens_per_minute: Option<u32>,
    /// Tokens of the account's prompts in any 60 seconds, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub input_tokens_per_minute: Option<u32>,
    /// Tokens of the account's answers in any 60 seconds, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub output_tokens_per_minute: Option<u32>,
    /// What is booked of the limits by tokens before a call is sent. `learnt`: what nearly all of the last answers stayed
    /// within, so that the whole allowance is used though `max_tokens` is far above what answers need; should answers grow
    /// longer all at once, those in flight may pass the limit once. `most`: `max_tokens`, which never passes a limit, and
    /// suits servers that count `max_tokens` themselves.
    #[serde(default)]
    pub token_booking: Booking,
    /// Requests of the account in flight at once, at most, of all processes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub account_concurrency: Option<u32>,
    /// Seconds to wait for an answer, from sending to its last byte.
    #[serde(default = "default_timeout_seconds")]
    #[schemars(range(min = 1, max = 86400))]
    pub timeout_seconds: u64,
    /// Has answers sent piece by piece, so that a server that stalls is noticed early and its speed can be measured.
    #[serde(default)]
    pub stream: bool,
    /// With `stream`: seconds without a byte, once an answer has begun, after which it is given up.
    #[serde(default = "default_stall_seconds")]
    #[schemars(range(min = 1, max = 86400))]
    pub stall_seconds: u64,
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
    #[serde(default = "yes")]
    pub preflight_completion: bool,
    /// Batch files: `codepmp batch`.
    #[serde(default)]
    pub batch: BatchSettings,
}

fn default_concurrency() -> u32 {
    16
}

fn yes() -> bool {
    true
}

fn default_timeout_seconds() -> u64 {
    120
}

fn default_stall_seconds() -> u64 {
    30
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
            base_urls: Vec::new(),
            simulator: None,
            api_key_env: None,
            model: model.into(),
            concurrency: default_concurrency(),
            adaptive_concurrency: true,
            account: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            input_tokens_per_minute: None,
            output_tokens_per_minute: None,
            token_booking: Booking::default(),
            account_concurrency: None,
            timeout_seconds: default_timeout_seconds(),
            stream: false,
            stall_seconds: default_stall_seconds(),
            max_attempts: default_max_attempts(),
            price_input_per_million: None,
            price_output_per_million: None,
            context_tokens: None,
            preflight_completion: true,
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
        self.check_place()?;
        if self.api_key_env.as_deref().is_some_and(|name| !is_variable_name(name)) {
            let message = "must be the name of an environment variable, not the key itself";
            return Err(SettingsError::new("api_key_env", message));
        }
        if self.model.trim().is_empty() {
            return Err(SettingsError::new("model", "must not be empty"));
        }
        within("concurrency", u64::from(self.concurrency), 1..=65536)?;
        within("timeout_seconds", self.timeout_seconds, 1..=86400)?;
        within("stall_seconds", self.stall_seconds, 1..=86400)?;
        within("max_attempts", u64::from(self.max_attempts), 1..=100)?;
        for (key, value) in [
            ("requests_per_minute", self.requests_per_minute),
            ("tokens_per_minute", self.tokens_per_minute),
            ("input_tokens_per_minute", self.input_tokens_per_minute),
            ("output_tokens_per_minute", self.output_tokens_per_minute),
            ("account_concurrency", self.account_concurrency),
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

    /// Where it is: exactly one of the three settings that can say so.
    fn check_place(&self) -> Result<(), SettingsError> {
        match (&self.base_url, &self.base_urls[..], &self.simulator) {
            (Some(url), [], None) => parse_base_url(url).map(drop)?,
            (None, [_, ..], None) => {
                for (at, url) in self.base_urls.iter().enumerate() {
                    parse_base_url(url).map_err(|error| SettingsError::new("base_urls", error.message))?;
                    if self.base_urls[..at].contains(url) {
                        return Err(SettingsError::new("base_urls", format!("has {url} twice")));
                    }
                }
            }
            (None, [], Some(_)) => {}
            (None, [], None) => {
                return Err(SettingsError::new("base_url", "is missing: set it, or `base_urls`, or `simulator`"));
            }
            (Some(_), [], Some(_)) => {
                return Err(SettingsError::new("simulator", "must not be set along with `base_url`"));
            }
            _ => {
                let message =
                    "must not be set along with `base_url` or `simulator`: one of them says where the model is";
                return Err(SettingsError::new("base_urls", message));
            }
        }
        if self.account.as_ref().is_some_and(|name| !(1..=200).contains(&name.trim().len())) {
            return Err(SettingsError::new("account", "must be a name of 1 to 200 characters"));
        }
        Ok(())
    }

    /// Where it is, all replicas; none if it names a simulator that does not listen yet.
    pub fn urls(&self) -> Vec<&str> {
        self.base_url.iter().chain(&self.base_urls).map(String::as_str).collect()
    }

    /// The name by which processes on one database know whose limits these are; none where they cannot be shared, since a
    /// simulator is a process's own.
    pub fn account_name(&self) -> Option<String> {
        self.account.clone().or_else(|| {
            let url = parse_base_url(self.urls().first()?).ok()?;
            let key = self.api_key_env.as_deref().unwrap_or("no key");
            Some(format!("{}, {key}, {}", url.authority(), self.model))
        })
    }

    /// The account's limits.
    pub fn limits(&self) -> Limits {
        Limits {
            requests: self.requests_per_minute,
            tokens: self.tokens_per_minute,
            input: self.input_tokens_per_minute,
            output: self.output_tokens_per_minute,
            concurrency: self.account_concurrency,
        }
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
    fn replicas_are_checked_one_by_one_and_exclude_the_other_places() {
        let of = |line: &str| format!("model = 'm'\n{line}");
        for line in [
            "base_urls = ['http://h/v1', 'h/v1']",
            "base_urls = ['http://h/v1', 'http://h/v1']",
            "base_url = 'http://h/v1'\nbase_urls = ['http://h/v1']",
            "simulator = 's'\nbase_urls = ['http://h/v1']",
        ] {
            assert_eq!(key_of_error(&of(line)), "base_urls", "{line}");
        }
        let two: EndpointSettings = toml::from_str(&of("base_urls = ['http://a:1/v1', 'http://b:2/v1']")).unwrap();
        assert_eq!(two.check(), Ok(()));
        assert_eq!(two.urls(), ["http://a:1/v1", "http://b:2/v1"]);
    }

    #[test]
    fn an_account_is_named_or_follows_from_host_key_variable_and_model() {
        let plain = EndpointSettings::new("http://h:8000/v1", "m");
        assert_eq!(plain.account_name().as_deref(), Some("h:8000, no key, m"));
        let keyed = EndpointSettings { api_key_env: Some("KEY".to_owned()), ..plain.clone() };
        assert_eq!(keyed.account_name().as_deref(), Some("h:8000, KEY, m"));
        let named = EndpointSettings { account: Some("team".to_owned()), ..plain };
        assert_eq!(named.account_name().as_deref(), Some("team"));
        let simulated: EndpointSettings = toml::from_str("model = 'm'\nsimulator = 's'").unwrap();
        assert_eq!(simulated.account_name(), None);
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
            ("input_tokens_per_minute = 0", "input_tokens_per_minute"),
            ("output_tokens_per_minute = 0", "output_tokens_per_minute"),
            ("account_concurrency = 0", "account_concurrency"),
            ("account = ''", "account"),
            ("stall_seconds = 0", "stall_seconds"),
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

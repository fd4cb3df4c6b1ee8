//! What the simulator is told: its corpus, its limits, how often it fails and how.

use std::collections::BTreeMap;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of a simulated model server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Folders, `.py` files and archives whose code the simulator knows; patterns with `*` are expanded.
    pub corpus: Vec<String>,
    /// Another seed gives other descriptions, bugs and faults.
    pub seed: u64,
    /// Requests that one model admits in any 60 seconds.
    pub requests_per_minute: Option<u32>,
    /// Tokens (prompt and answer) that one model admits in any 60 seconds.
    pub tokens_per_minute: Option<u32>,
    /// Mean time to an answer in milliseconds; each answer takes between half and one and a half of it.
    pub latency_ms: u64,
    /// Probability of each fault.
    pub faults: BTreeMap<FaultKind, f64>,
    /// Share of the strong model's answers that have bugs.
    pub strong_bug_share: f64,
    /// Share of the weak model's answers that have bugs.
    pub weak_bug_share: f64,
    /// Probability of each unidiomatic habit in a strong answer.
    pub strong_habit_share: f64,
    /// Probability of each unidiomatic habit in a weak answer.
    pub weak_habit_share: f64,
    /// Share of the answers with bugs that are not even syntactically valid.
    pub broken_syntax_share: f64,
    /// Share of the strong model's right answers to the word problems of `make-benchmark`, in the mean over problems.
    pub strong_right_share: f64,
    /// Share of the weak model's right answers to them.
    pub weak_right_share: f64,
    /// Share of the judge's verdicts, beside ties and those by position, for the answer that is nearer to the code of the
    /// corpus.
    pub judge_right_share: f64,
    /// Share of the judge's verdicts that are ties, beside those by position.
    pub judge_tie_share: f64,
    /// Share of the judge's verdicts that name the first answer whatever it is: a bias by position.
    pub judge_first_share: f64,
    /// What an injected 429 asks the client to wait, in milliseconds.
    pub retry_after_ms: u64,
    /// Answers that are kept in memory.
    pub cached_answers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            corpus: Vec::new(),
            seed: 0,
            requests_per_minute: None,
            tokens_per_minute: None,
            latency_ms: 0,
            faults: BTreeMap::new(),
            strong_bug_share: 0.03,
            weak_bug_share: 0.9,
            strong_habit_share: 0.03,
            weak_habit_share: 0.25,
            broken_syntax_share: 0.05,
            strong_right_share: 0.7,
            weak_right_share: 0.35,
            judge_right_share: 0.85,
            judge_tie_share: 0.05,
            judge_first_share: 0.1,
            retry_after_ms: 1000,
            cached_answers: 16_384,
        }
    }
}

/// What is wrong with the simulator's settings.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// A probability or share outside 0 to 1.
    #[error("simulator: {name} is {value}, it must lie between 0 and 1")]
    Share {
        /// The setting.
        name: String,
        /// Its value.
        value: f64,
    },
    /// Faults that exclude each other add up to more than 1.
    #[error("simulator: the probabilities of faults add up to {sum}, they must stay within 1")]
    Sum {
        /// The sum.
        sum: f64,
    },
    /// A limit that admits nothing.
    #[error("simulator: {name} is 0 and would refuse every request; leave it out for no limit")]
    Zero {
        /// The setting.
        name: &'static str,
    },
    /// `--fault` without a kind and a probability.
    #[error("`{text}` is no fault: write KIND=PROBABILITY, such as 500=0.02; kinds: {}", FaultKind::names())]
    Fault {
        /// What was given.
        text: String,
    },
}

impl Settings {
    /// Checks what the types cannot say.
    pub fn check(&self) -> Result<(), SettingsError> {
        let shares = [
            ("strong_bug_share", self.strong_bug_share),
            ("weak_bug_share", self.weak_bug_share),
            ("strong_habit_share", self.strong_habit_share),
            ("weak_habit_share", self.weak_habit_share),
            ("broken_syntax_share", self.broken_syntax_share),
            ("strong_right_share", self.strong_right_share),
            ("weak_right_share", self.weak_right_share),
            ("judge_right_share", self.judge_right_share),
            ("judge_tie_share", self.judge_tie_share),
            ("judge_first_share", self.judge_first_share),
        ];
        let faults = self.faults.iter().map(|(kind, share)| (kind.as_str(), *share));
        for (name, value) in shares.into_iter().chain(faults) {
            if !(0.0..=1.0).contains(&value) {
                return Err(SettingsError::Share { name: name.to_owned(), value });
            }
        }
        let sum: f64 = self.faults.values().sum();
        if sum > 1.0 + 1e-9 {
            return Err(SettingsError::Sum { sum });
        }
        for (name, limit) in
            [("requests_per_minute", self.requests_per_minute), ("tokens_per_minute", self.tokens_per_minute)]
        {
            if limit == Some(0) {
                return Err(SettingsError::Zero { name });
            }
        }
        Ok(())
    }
}

/// A fault that the simulator injects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FaultKind {
    /// Status 500.
    #[serde(rename = "500")]
    InternalError,
    /// Status 503.
    #[serde(rename = "503")]
    Unavailable,
    /// Status 429 although the limits would have allowed the request.
    #[serde(rename = "429")]
    TooManyRequests,
    /// No answer until the client leaves.
    #[serde(rename = "timeout")]
    Timeout,
    /// The connection closes in the middle of the answer.
    #[serde(rename = "drop")]
    Drop,
    /// The answer is cut, with `finish_reason` `length`.
    #[serde(rename = "truncated")]
    Truncated,
    /// Status 200 with a body that is not JSON.
    #[serde(rename = "malformed")]
    Malformed,
    /// An answer without content.
    #[serde(rename = "empty")]
    Empty,
    /// An answer in prose, without code.
    #[serde(rename = "prose")]
    Prose,
    /// An answer with several code blocks.
    #[serde(rename = "several")]
    Several,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::InternalError,
        Self::Unavailable,
        Self::TooManyRequests,
        Self::Timeout,
        Self::Drop,
        Self::Truncated,
        Self::Malformed,
        Self::Empty,
        Self::Prose,
        Self::Several,
    ];

    /// The form that settings hold.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InternalError => "500",
            Self::Unavailable => "503",
            Self::TooManyRequests => "429",
            Self::Timeout => "timeout",
            Self::Drop => "drop",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::Empty => "empty",
            Self::Prose => "prose",
            Self::Several => "several",
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    /// Whether the fault is one of the way to the answer, so that the next attempt may go well, and not of the answer
    /// itself, which a repeated request gets again.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::InternalError | Self::Unavailable | Self::TooManyRequests | Self::Timeout | Self::Drop)
    }
}

/// A fault with its probability, as `--fault 500=0.02` gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// How often, from 0 to 1.
    pub probability: f64,
}

impl FromStr for Fault {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || SettingsError::Fault { text: text.to_owned() };
        let (name, probability) = text.split_once('=').ok_or_else(fault)?;
        let kind = FaultKind::ALL.into_iter().find(|kind| kind.as_str() == name.trim());
        let kind = kind.ok_or_else(fault)?;
        let probability: f64 = probability.trim().parse().map_err(|_| fault())?;
        if !(0.0..=1.0).contains(&probability) {
            return Err(SettingsError::Share { name: name.trim().to_owned(), value: probability });
        }
        Ok(Self { kind, probability })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_from_the_command_line() {
        let fault: Fault = "500=0.02".parse().unwrap();
        assert_eq!(fault, Fault { kind: FaultKind::InternalError, probability: 0.02 });
        for kind in FaultKind::ALL {
            assert_eq!(format!("{}=1", kind.as_str()).parse::<Fault>().unwrap().kind, kind);
        }
    }

    #[test]
    fn a_fault_that_is_none_is_refused_with_the_kinds_there_are() {
        let message = "slow=0.5".parse::<Fault>().unwrap_err().to_string();
        assert!(message.contains("slow=0.5") && message.contains("truncated"), "{message}");
        assert!("500".parse::<Fault>().is_err());
        assert!("500=often".parse::<Fault>().is_err());
        assert!("500=1.5".parse::<Fault>().unwrap_err().to_string().contains("between 0 and 1"));
        assert!("500=NaN".parse::<Fault>().is_err());
    }

    #[test]
    fn settings_read_faults_by_name_and_refuse_what_they_do_not_know() {
        let settings: Settings = toml::from_str("seed = 3\nfaults = { 500 = 0.1, drop = 0.2 }").unwrap();
        assert_eq!(settings.faults.len(), 2);
        assert!(settings.check().is_ok());
        assert!(toml::from_str::<Settings>("sead = 3").is_err());
        assert!(toml::from_str::<Settings>("faults = { 501 = 0.1 }").is_err());
    }

    #[test]
    fn shares_outside_their_range_and_limits_of_zero_are_refused() {
        let share = Settings { weak_bug_share: 1.2, ..Settings::default() };
        assert!(share.check().unwrap_err().to_string().contains("weak_bug_share is 1.2"));
        let faults = [(FaultKind::Drop, 0.7), (FaultKind::Empty, 0.7)].into();
        let sum = Settings { faults, ..Settings::default() };
        assert!(matches!(sum.check(), Err(SettingsError::Sum { .. })));
        let zero = Settings { requests_per_minute: Some(0), ..Settings::default() };
        assert!(matches!(zero.check(), Err(SettingsError::Zero { .. })));
    }
}

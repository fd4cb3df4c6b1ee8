//! What is done about each class of failure, as a pipeline file says it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Consequence, Failure, FailureClass};

/// What is done about failures, by class. What is left out stays as it is without this setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FailurePolicies {
    /// 429. Sent again up to ten times `max_attempts`, then the row is rejected.
    pub throttled: Policy,
    /// 5xx. Sent again within `max_attempts`, then the row is rejected.
    pub overloaded: Policy,
    /// No answer in time. Sent again within `max_attempts`, then the row is rejected.
    pub timed_out: Policy,
    /// The server cannot be reached, or hung up. Sent again within `max_attempts`, then the stage stops.
    pub connection: Policy,
    /// Cut at the token limit. Not sent again; the row is rejected.
    pub truncated: TruncatedPolicy,
    /// Withheld by the provider's content filter. Not sent again; the row is rejected.
    pub filtered: Policy,
    /// No answer in the protocol's form. Sent again twice, then the row is rejected.
    pub malformed: Policy,
    /// An answer without text. Sent again once, then the row is rejected.
    pub empty: Policy,
    /// The model declined. Not sent again; the row is rejected.
    pub refused: Policy,
    /// The server rejects the request. Not sent again; the row is rejected, or the stage stops where base URL or model
    /// are wrong (redirects, 404, 405).
    pub bad_request: Policy,
    /// The key is missing or wrong. Not sent again; the stage stops.
    pub unauthorised: Policy,
    /// The account is spent. Not sent again; the stage stops.
    pub out_of_quota: Policy,
}

/// What is done about failures of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// How often a request is sent again for failures of this class, whatever `max_attempts` says.
    #[schemars(range(max = 1000))]
    pub retry: Option<u16>,
    /// What happens when it is not sent again.
    pub then: Option<Then>,
}

/// What is done about answers that were cut at the token limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TruncatedPolicy {
    /// How often the request is sent again, for another answer that may be shorter.
    #[schemars(range(max = 1000))]
    pub retry: Option<u16>,
    /// Into how many parts an answer may be split: the model is shown what it has written and asked to go on, and the parts
    /// are joined. Part of the stage's identity, since it makes answers that there would not be without it.
    #[schemars(range(min = 2, max = 20))]
    pub split: Option<u8>,
    /// What happens when nothing more is asked.
    pub then: Option<Then>,
}

/// The end of a row that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The row is rejected; the stage goes on.
    Reject,
    /// The stage stops, and the row stays to be done.
    Stop,
}

impl FailurePolicies {
    /// Checks the numbers.
    ///
    /// # Errors
    /// What is wrong, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        if let Some(parts) = self.truncated.split.filter(|parts| !(2..=20).contains(parts)) {
            return Err(format!("truncated.split is {parts}: set it to 2 to 20 parts"));
        }
        let long = FailureClass::ALL.into_iter().find(|class| self.of(*class).retry.is_some_and(|n| n > 1000));
        long.map_or(Ok(()), |class| Err(format!("{class}.retry must be 0 to 1000")))
    }

    /// Into how many parts a cut answer may be split; 1: not at all.
    pub fn parts(&self) -> u8 {
        self.truncated.split.unwrap_or(1)
    }

    /// What the file says about a class.
    pub(super) fn of(&self, class: FailureClass) -> Policy {
        match class {
            FailureClass::Throttled => self.throttled,
            FailureClass::Overloaded => self.overloaded,
            FailureClass::TimedOut => self.timed_out,
            FailureClass::Connection => self.connection,
            FailureClass::Truncated => Policy { retry: self.truncated.retry, then: self.truncated.then },
            FailureClass::Filtered => self.filtered,
            FailureClass::Malformed => self.malformed,
            FailureClass::Empty => self.empty,
            FailureClass::Refused => self.refused,
            FailureClass::BadRequest => self.bad_request,
            FailureClass::Unauthorised => self.unauthorised,
            FailureClass::OutOfQuota => self.out_of_quota,
        }
    }

    /// What a failure that is not retried any more means for its row.
    pub fn consequence(&self, failure: &Failure) -> Consequence {
        match self.of(failure.class).then {
            Some(Then::Reject) => Consequence::RejectRow,
            Some(Then::Stop) => Consequence::StopStage,
            None => failure.consequence(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(toml: &str) -> FailurePolicies {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn a_file_without_policies_changes_nothing() {
        let none = FailurePolicies::default();
        assert_eq!(parse(""), none);
        for class in FailureClass::ALL {
            let failure = Failure::new(class, "");
            assert_eq!(none.consequence(&failure), failure.consequence());
        }
    }

    #[test]
    fn every_class_has_a_policy_by_its_own_name() {
        for class in FailureClass::ALL {
            let policies = parse(&format!("{class} = {{ retry = 3, then = 'stop' }}"));
            assert_eq!(policies.of(class), Policy { retry: Some(3), then: Some(Then::Stop) });
            assert_eq!(policies.consequence(&Failure::new(class, "")), Consequence::StopStage);
            let policies = parse(&format!("{class}.then = 'reject'"));
            assert_eq!(policies.consequence(&Failure::new(class, "").with_status(404)), Consequence::RejectRow);
        }
    }

    #[test]
    fn only_cut_answers_can_be_split() {
        assert_eq!(parse("truncated = { split = 4 }").parts(), 4);
        assert!(parse("truncated = { split = 1 }").check().unwrap_err().contains("2 to 20"));
        let error = toml::from_str::<FailurePolicies>("empty = { split = 2 }").unwrap_err().to_string();
        assert!(error.contains("split") && error.contains("retry"), "{error}");
        let error = toml::from_str::<FailurePolicies>("slow = { retry = 2 }").unwrap_err().to_string();
        assert!(error.contains("slow") && error.contains("throttled"), "{error}");
        let error = toml::from_str::<FailurePolicies>("empty = { then = 'weep' }").unwrap_err().to_string();
        assert!(error.contains("weep") && error.contains("reject"), "{error}");
    }
}

//! What limits count, and the limits.

use std::ops::{AddAssign, SubAssign};

use super::{ChatRequest, Usage, estimate};

/// Requests and tokens: of one call, of a grant, or of a window of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// Requests.
    pub requests: i64,
    /// Tokens of prompts.
    pub input: i64,
    /// Tokens of answers.
    pub output: i64,
}

impl Units {
    /// One call, by estimate.
    pub fn of(request: &ChatRequest) -> Self {
        let input = estimate::prompt_tokens(&request.messages);
        let output = estimate::completion_tokens(&request.sampling);
        Self { requests: 1, input: input.into(), output: output.into() }
    }

    /// The same call by the server's count, which may tell one kind of tokens only.
    pub(super) fn settled(self, usage: Usage) -> Self {
        Self {
            input: usage.prompt_tokens.map_or(self.input, i64::from),
            output: usage.completion_tokens.map_or(self.output, i64::from),
            ..self
        }
    }

    /// Prompt and answer.
    pub fn tokens(self) -> i64 {
        self.input + self.output
    }

    /// Each number cut to what `limits` allow in a whole minute, since what is more could never be sent.
    pub(super) fn clamped(self, limits: &Limits) -> Self {
        let most = |limit: Option<u32>| limit.map_or(i64::MAX, i64::from);
        let all = most(limits.tokens);
        let input = self.input.min(most(limits.input)).min(all);
        let output = self.output.min(most(limits.output)).min(all - input);
        Self { requests: self.requests, input, output }
    }

    /// Whether no number is above that of `other`.
    pub(super) fn within(self, other: Self) -> bool {
        self.requests <= other.requests && self.input <= other.input && self.output <= other.output
    }

    /// Each number the smaller of both.
    pub(super) fn min(self, other: Self) -> Self {
        Self {
            requests: self.requests.min(other.requests),
            input: self.input.min(other.input),
            output: self.output.min(other.output),
        }
    }
}

impl AddAssign for Units {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.input += other.input;
        self.output += other.output;
    }
}

impl SubAssign for Units {
    fn sub_assign(&mut self, other: Self) {
        self.requests -= other.requests;
        self.input -= other.input;
        self.output -= other.output;
    }
}

/// The limits of an account: in any 60 seconds, but for the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests.
    pub requests: Option<u32>,
    /// Tokens of prompts and answers together.
    pub tokens: Option<u32>,
    /// Tokens of prompts.
    pub input: Option<u32>,
    /// Tokens of answers.
    pub output: Option<u32>,
    /// Requests in flight at once, of all processes.
    pub concurrency: Option<u32>,
}

impl Limits {
    /// Whether anything is limited per minute.
    pub fn has_rates(&self) -> bool {
        self.requests.or(self.tokens).or(self.input).or(self.output).is_some()
    }

    /// Whether anything is limited.
    pub fn any(&self) -> bool {
        self.has_rates() || self.concurrency.is_some()
    }

    /// Both together, as endpoints of one account state them; else the setting that they state differently, with both
    /// numbers.
    ///
    /// # Errors
    /// The setting, and the two numbers.
    pub fn joined(&self, other: &Self) -> Result<Self, (&'static str, u32, u32)> {
        let join = |key, one: Option<u32>, other: Option<u32>| match (one, other) {
            (Some(one), Some(other)) if one != other => Err((key, one, other)),
            _ => Ok(one.or(other)),
        };
        Ok(Self {
            requests: join("requests_per_minute", self.requests, other.requests)?,
            tokens: join("tokens_per_minute", self.tokens, other.tokens)?,
            input: join("input_tokens_per_minute", self.input, other.input)?,
            output: join("output_tokens_per_minute", self.output, other.output)?,
            concurrency: join("account_concurrency", self.concurrency, other.concurrency)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_one_account_may_each_state_a_part_of_its_limits_but_not_differ() {
        let requests = Limits { requests: Some(60), ..Limits::default() };
        let output = Limits { output: Some(900), ..Limits::default() };
        let both = Limits { output: Some(900), ..requests };
        assert_eq!(requests.joined(&output), Ok(both));
        let other = Limits { requests: Some(70), ..Limits::default() };
        assert_eq!(both.joined(&other), Err(("requests_per_minute", 60, 70)));
    }

    #[test]
    fn an_estimate_above_a_whole_minute_is_cut_to_it() {
        let limits = Limits { tokens: Some(100), input: Some(80), ..Limits::default() };
        let call = Units { requests: 1, input: 90, output: 50 };
        assert_eq!(call.clamped(&limits), Units { requests: 1, input: 80, output: 20 });
        assert_eq!(call.clamped(&Limits::default()), call);
    }
}

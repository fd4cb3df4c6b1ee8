//! What a call costs.

use super::Usage;

/// Prices of a model in US dollars per million tokens, which is the same as millionths of a dollar per token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prices {
    /// Of the prompt.
    pub input_per_million: f64,
    /// Of the answer.
    pub output_per_million: f64,
}

impl Prices {
    /// The same at a part of the price.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self {
            input_per_million: self.input_per_million * factor,
            output_per_million: self.output_per_million * factor,
        }
    }

    /// Cost in millionths of a dollar, rounded to the nearest; tokens that the server did not tell cost nothing.
    pub fn cost_microdollars(&self, usage: Usage) -> i64 {
        let input = f64::from(usage.prompt_tokens.unwrap_or(0)) * self.input_per_million;
        let output = f64::from(usage.completion_tokens.unwrap_or(0)) * self.output_per_million;
        (input + output).round() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_costs_its_tokens_at_their_prices() {
        let prices = Prices { input_per_million: 0.15, output_per_million: 0.6 };
        let usage = Usage { prompt_tokens: Some(1000), completion_tokens: Some(200) };
        assert_eq!(prices.cost_microdollars(usage), 270);
        assert_eq!(prices.cost_microdollars(Usage::default()), 0);
        let million = Usage { prompt_tokens: Some(1_000_000), completion_tokens: None };
        assert_eq!(prices.cost_microdollars(million), 150_000);
    }
}

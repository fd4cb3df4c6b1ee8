//! `preflights`: what endpoints were asked before runs.

use super::{Store, StoreResult};

/// A row of `preflights`.
#[derive(Clone, Copy, Debug)]
pub struct NewPreflight<'a> {
    /// Name of the endpoint.
    pub endpoint: &'a str,
    /// Where it was asked.
    pub base_url: &'a str,
    /// Model asked.
    pub model: &'a str,
    /// `ok`, or the class of failure.
    pub class: &'static str,
    /// What went wrong.
    pub message: Option<&'a str>,
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u32>,
    /// Tokens of the answer.
    pub completion_tokens: Option<u32>,
    /// Millionths of a dollar.
    pub cost_microdollars: Option<i64>,
    /// Milliseconds.
    pub latency_ms: f64,
}

impl Store {
    /// Whether the model at `base_url` told its usage when it was last asked, if it was within a day and answered.
    pub async fn recent_preflight(&self, base_url: &str, model: &str) -> StoreResult<Option<bool>> {
        self.retrying(|| async {
            sqlx::query_scalar(
                "select usage_reported from preflights
                 where base_url = $1 and model = $2 and class = 'ok' and asked_at > now() - interval '1 day'
                 order by asked_at desc limit 1",
            )
            .bind(base_url)
            .bind(model)
            .fetch_optional(self.pool())
            .await
        })
        .await
    }

    /// Enters one.
    pub async fn note_preflight(&self, preflight: &NewPreflight<'_>) -> StoreResult<()> {
        self.retrying(|| async {
            sqlx::query(
                "insert into preflights (endpoint, base_url, model, class, message, usage_reported, prompt_tokens,
                     completion_tokens, cost_microdollars, latency_ms) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            )
            .bind(preflight.endpoint)
            .bind(preflight.base_url)
            .bind(preflight.model)
            .bind(preflight.class)
            .bind(preflight.message)
            .bind(preflight.completion_tokens.is_some())
            .bind(preflight.prompt_tokens.map(i64::from))
            .bind(preflight.completion_tokens.map(i64::from))
            .bind(preflight.cost_microdollars)
            .bind(preflight.latency_ms)
            .execute(self.pool())
            .await
        })
        .await?;
        Ok(())
    }
}

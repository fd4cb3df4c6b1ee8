//! The client of one endpoint.

use std::time::Instant;

use chrono::Utc;
use secrecy::SecretString;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::endpoint::parse_base_url;
use super::key::ApiKey;
use super::limiter::Gate;
use super::response::judge;
use super::retry::{Failed, Retry};
use super::transport::Transport;
use super::wire::Body;
use super::{
    Answer, Attempt, CallResult, ChatRequest, EndpointSettings, Failure, FailureClass, Outcome, Preflight,
    SettingsError, estimate, preflight,
};

/// The client of one endpoint: make one, and share it among all that ask there, since it keeps the endpoint's limits.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    gate: Gate,
    retry: Retry,
    settings: EndpointSettings,
}

impl Client {
    /// Makes a client, with the key from the environment variable that the settings name.
    ///
    /// # Errors
    /// When a setting is wrong, the variable is not set, or the settings still name a simulator
    /// (see [`EndpointSettings::at`]).
    pub fn new(settings: EndpointSettings) -> Result<Self, SettingsError> {
        settings.check()?;
        let key = settings.api_key_env.as_deref().map(ApiKey::from_env).transpose()?;
        Self::build(settings, key)
    }

    /// Makes a client with a key that the caller holds.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_key(settings: EndpointSettings, key: &SecretString) -> Result<Self, SettingsError> {
        settings.check()?;
        Self::build(settings, Some(ApiKey::new(key)?))
    }

    fn build(settings: EndpointSettings, key: Option<ApiKey>) -> Result<Self, SettingsError> {
        let Some(url) = settings.base_url.as_deref() else {
            return Err(SettingsError::new("simulator", "is not running: start it and use its URL"));
        };
        Ok(Self {
            transport: Transport::new(&settings, parse_base_url(url)?, key)?,
            gate: Gate::new(&settings),
            retry: Retry::new(settings.max_attempts),
            settings,
        })
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &EndpointSettings {
        &self.settings
    }

    /// Checks that a request can be sent at all: its estimate fits the model's context and a minute's tokens. Calls do not
    /// check this; one that is over the allowance is sent when the allowance is all free.
    ///
    /// # Errors
    /// The limit that the estimate exceeds, and both numbers.
    pub fn check_request(&self, request: &ChatRequest) -> Result<(), SettingsError> {
        let tokens = request.estimated_tokens();
        let (prompt, answer) =
            (estimate::prompt_tokens(&request.messages), estimate::completion_tokens(&request.sampling));
        for (key, limit) in
            [("context_tokens", self.settings.context_tokens), ("tokens_per_minute", self.settings.tokens_per_minute)]
        {
            if let Some(limit) = limit.filter(|limit| tokens > *limit) {
                let message = format!(
                    "is {limit}, less than a request's estimated {tokens} tokens ({prompt} of prompt, {answer} of answer): \
                     shorten the prompt or lower `max_tokens`"
                );
                return Err(SettingsError::new(key, message));
            }
        }
        Ok(())
    }

    /// Asks for one answer: waits for the endpoint's limits, sends, and retries what its class allows.
    ///
    /// `cancel` ends waits. A request that was sent is awaited all the same, within the endpoint's time-out.
    pub async fn call(&self, request: &ChatRequest, cancel: &CancellationToken) -> Outcome {
        let tokens = request.estimated_tokens();
        let mut attempts = Vec::with_capacity(1);
        let mut failed = Failed::default();
        let result = loop {
            let pass = tokio::select! {
                biased;
                () = cancel.cancelled() => break CallResult::Cancelled,
                pass = self.gate.enter(tokens) => pass,
            };
            let (started_at, begun) = (Utc::now(), Instant::now());
            let result = self.send(request).await;
            let attempt = Attempt::new(started_at, begun.elapsed(), &result);
            if let Some(used) = attempt.usage.and_then(super::Usage::total) {
                pass.settle(used);
            }
            attempts.push(attempt);
            let failure = match result {
                Ok(answer) => break CallResult::Answered(answer),
                Err(failure) => failure,
            };
            let Some(delay) = self.retry.delay(&mut failed, &failure) else { break CallResult::Failed(failure) };
            // Paused before the slot is free, so that no waiting call slips through in between.
            match (failure.class, failure.retry_after) {
                (FailureClass::Throttled, wait) => self.gate.pause(wait.unwrap_or(delay)),
                (_, Some(wait)) => self.gate.pause(wait),
                _ => {}
            }
            drop(pass);
            tracing::debug!(model = %request.model, class = %failure.class, ?delay, "sending again: {}", failure.message);
            tokio::select! {
                biased;
                () = cancel.cancelled() => break CallResult::Cancelled,
                () = sleep(delay) => {}
            }
        };
        Outcome { attempts, result }
    }

    async fn send(&self, request: &ChatRequest) -> Result<Answer, Failure> {
        let body = serde_json::to_vec(&Body::from(request)).expect("text and numbers always serialise");
        let exchange = self.transport.chat(body).await?;
        judge(exchange.status, &exchange.headers, &exchange.body, self.transport.key())
    }

    /// A cheap check before a run, by one request for the list of models: the endpoint is reachable, takes the key, and
    /// lists the model. A server without such a list is fine.
    ///
    /// # Errors
    /// When it cannot be reached, has trouble, or refuses the key; the failure says which.
    pub async fn preflight(&self) -> Result<Preflight, Failure> {
        let mut failed = Failed::default();
        for _ in 0..preflight::RETRIES {
            match self.ask_models().await {
                Err(failure) => match self.retry.delay(&mut failed, &failure) {
                    Some(delay) => sleep(delay.min(preflight::LONGEST_DELAY)).await,
                    None => return Err(failure),
                },
                done => return done,
            }
        }
        self.ask_models().await
    }

    async fn ask_models(&self) -> Result<Preflight, Failure> {
        let _pass = self.gate.enter(0).await;
        let exchange = self.transport.models().await?;
        preflight::read(&exchange, &self.settings.model, self.transport.key())
    }

    /// Retries a thousand times sooner, and gives up waiting after `timeout`.
    #[cfg(test)]
    pub(super) fn hasty(mut self, timeout: std::time::Duration) -> Self {
        self.retry = Retry::hasty(self.settings.max_attempts);
        self.transport.set_timeout(timeout);
        self
    }
}

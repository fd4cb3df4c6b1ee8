//! The client of one endpoint.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use secrecy::SecretString;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::adaptive::Signal;
use super::endpoint::parse_base_url;
use super::key::ApiKey;
use super::learnt::Learnt;
use super::limiter::{Gate, Pass};
use super::parts::Parts;
use super::replicas::Replicas;
use super::response::{judge, judge_stream};
use super::retry::{Failed, Retry};
use super::transport::Transport;
use super::wire::Body;
use super::{
    Account, Answer, Attempt, CallResult, ChatRequest, EndpointSettings, Failure, FailureClass, FailurePolicies,
    Outcome, Preflight, SettingsError, Units, estimate, preflight,
};

/// The client of one endpoint: make one, and share it among all that ask there, since it keeps the endpoint's limits.
#[derive(Debug)]
pub struct Client {
    replicas: Replicas,
    gate: Gate,
    learnt: Learnt,
    retry: Retry,
    settings: EndpointSettings,
}

impl Client {
    /// Makes a client, with the key from the environment variable that the settings name, and an account of its own.
    ///
    /// # Errors
    /// When a setting is wrong, the variable is not set, or the settings still name a simulator
    /// (see [`EndpointSettings::at`]).
    pub fn new(settings: EndpointSettings) -> Result<Self, SettingsError> {
        let account = Account::new(settings.limits());
        Self::of_account(settings, account)
    }

    /// Makes a client that shares its account's limits with the others that it is given to.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn of_account(settings: EndpointSettings, account: Arc<Account>) -> Result<Self, SettingsError> {
        settings.check()?;
        let key = settings.api_key_env.as_deref().map(ApiKey::from_env).transpose()?;
        Self::build(settings, key.as_ref(), account)
    }

    /// Makes a client with a key that the caller holds.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_key(settings: EndpointSettings, key: &SecretString) -> Result<Self, SettingsError> {
        settings.check()?;
        let account = Account::new(settings.limits());
        Self::build(settings, Some(&ApiKey::new(key)?), account)
    }

    fn build(settings: EndpointSettings, key: Option<&ApiKey>, account: Arc<Account>) -> Result<Self, SettingsError> {
        let transport = |url| Transport::new(&settings, parse_base_url(url)?, key.cloned());
        let transports = settings.urls().into_iter().map(transport).collect::<Result<Vec<_>, _>>()?;
        if transports.is_empty() {
            return Err(SettingsError::new("simulator", "is not running: start it and use its URL"));
        }
        Ok(Self {
            replicas: Replicas::new(transports),
            gate: Gate::new(&settings, account),
            learnt: Learnt::new(settings.token_booking),
            retry: Retry::new(settings.max_attempts),
            settings,
        })
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &EndpointSettings {
        &self.settings
    }

    /// The limits that it shares with other endpoints and processes.
    pub fn account(&self) -> &Arc<Account> {
        self.gate.account()
    }

    /// Requests that may be in flight at present: the setting, or less while the endpoint has trouble.
    pub fn concurrency(&self) -> u32 {
        self.gate.concurrency()
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

    /// Asks for one answer, with the policies that hold where a pipeline file says nothing.
    ///
    /// As [`Client::call_by`].
    pub async fn call(&self, request: &ChatRequest, cancel: &CancellationToken) -> Outcome {
        self.call_by(&FailurePolicies::default(), request, cancel).await
    }

    /// Asks for one answer: waits for the endpoint's limits, sends, and retries what the policies allow.
    ///
    /// `cancel` ends waits. A request that was sent is awaited all the same, within the endpoint's time-out.
    pub async fn call_by(
        &self,
        policies: &FailurePolicies,
        request: &ChatRequest,
        cancel: &CancellationToken,
    ) -> Outcome {
        let mut parts = Parts::new(request, policies.parts());
        let mut attempts = Vec::with_capacity(1);
        let mut failed = Failed::default();
        let mut failed_at = None;
        let result = loop {
            let most = Units::of(parts.request());
            let mut pass = tokio::select! {
                biased;
                () = cancel.cancelled() => break CallResult::Cancelled,
                pass = self.gate.enter((&self.learnt, most)) => pass,
            };
            let mut visit = self.replicas.visit(failed_at);
            let (started_at, begun) = (Utc::now(), Instant::now());
            let (result, first_token) = self.send(visit.transport(), parts.request(), &pass).await;
            let latency = begun.elapsed();
            visit.report(&result);
            pass.report(latency, signal(&result));
            let attempt = Attempt::new(started_at, latency, first_token, &result);
            if let Some(usage) = attempt.usage {
                pass.settle(usage);
                self.learnt.note(most, usage);
            }
            attempts.push(attempt);
            let mut failure = match result {
                Ok(mut answer) => {
                    parts.complete(&mut answer);
                    break CallResult::Answered(answer);
                }
                Err(failure) => failure,
            };
            if let (FailureClass::Truncated, Some(answer)) = (failure.class, &mut failure.answer) {
                if parts.cut(&answer.text) {
                    continue;
                }
                parts.complete(answer);
            }
            let Some(delay) = self.retry.delay(policies, &mut failed, &failure) else {
                break CallResult::Failed(failure);
            };
            // Paused before the slot is free, so that no waiting call slips through in between.
            match (failure.class, failure.retry_after) {
                (FailureClass::Throttled, wait) => self.gate.pause(wait.unwrap_or(delay)).await,
                (_, Some(wait)) => self.gate.pause(wait).await,
                _ => {}
            }
            failed_at = Some(visit.index);
            drop((pass, visit));
            tracing::debug!(model = %request.model, class = %failure.class, ?delay, "sending again: {}", failure.message);
            tokio::select! {
                biased;
                () = cancel.cancelled() => break CallResult::Cancelled,
                () = sleep(delay) => {}
            }
        };
        self.gate.account().pay_back().await;
        Outcome { attempts, result }
    }

    /// Sends a request; the answer, and how long its first piece took.
    async fn send(
        &self,
        transport: &Transport,
        request: &ChatRequest,
        pass: &Pass<'_>,
    ) -> (Result<Answer, Failure>, Option<Duration>) {
        let body = if self.settings.stream { Body::from(request).streamed() } else { Body::from(request) };
        let received = match transport.chat(body.to_bytes()).await {
            Ok(received) => received,
            Err(failure) => return (Err(failure), None),
        };
        let exchange = received.exchange;
        pass.read(&exchange.headers).await;
        match received.streamed {
            Some((stream, first)) => (judge_stream(stream, transport.key()), first),
            None => (judge(exchange.status, &exchange.headers, &exchange.body, transport.key()), None),
        }
    }

    /// A cheap check before a run, by one request for the list of models: the endpoint is reachable, takes the key, and
    /// lists the model. A server without such a list is fine. Of replicas, one that is well is enough.
    ///
    /// # Errors
    /// When it cannot be reached, has trouble, or refuses the key; the failure says which.
    pub async fn preflight(&self) -> Result<Preflight, Failure> {
        let (policies, mut failed) = (FailurePolicies::default(), Failed::default());
        for _ in 0..preflight::RETRIES {
            match self.ask_models().await {
                Err(failure) => match self.retry.delay(&policies, &mut failed, &failure) {
                    Some(delay) => sleep(delay.min(preflight::LONGEST_DELAY)).await,
                    None => return Err(failure),
                },
                done => return done,
            }
        }
        self.ask_models().await
    }

    async fn ask_models(&self) -> Result<Preflight, Failure> {
        let _pass = self.gate.enter(Units::default()).await;
        let mut last = None;
        for transport in self.replicas.transports() {
            match transport.models().await {
                Ok(exchange) => return preflight::read(&exchange, &self.settings.model, transport.key()),
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.expect("an endpoint has a server"))
    }

    /// Retries a thousand times sooner, and gives up waiting after `timeout`.
    #[cfg(test)]
    pub(super) fn hasty(mut self, timeout: Duration) -> Self {
        self.retry = Retry::hasty(self.settings.max_attempts);
        for transport in self.replicas.transports_mut() {
            transport.set_timeouts(timeout, timeout / 10);
        }
        self
    }
}

/// What a result says about the load of the server.
fn signal(result: &Result<Answer, Failure>) -> Signal {
    match result.as_ref().map_err(|failure| failure.class) {
        Ok(_) | Err(FailureClass::Truncated) => Signal::Answered,
        Err(FailureClass::Throttled | FailureClass::Overloaded | FailureClass::TimedOut) => Signal::Overloaded,
        Err(_) => Signal::Neither,
    }
}

//! Checks before the first call: each endpoint answers, takes the key, has the model and tells usage; prompts of real rows
//! can be rendered and fit the model's context.

use std::sync::Arc;

use anyhow::bail;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Loaded;
use super::batches::work_of;
use super::endpoints::Endpoint;
use super::forecast::{PromptCheck, check_prompts};
use super::rows::RowWork;
use crate::llm::{CallResult, FailureClass, Sampling, one_token};
use crate::store::Store;
use crate::store::budget::Caps;
use crate::store::preflights::NewPreflight;

/// What an endpoint was found to be.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// Name of the endpoint.
    pub endpoint: String,
    /// Model.
    pub model: String,
    /// Tokens that prompt and answer may have together, by the setting, else by the server.
    pub context_tokens: Option<u32>,
    /// Whether the server tells the tokens used; none: it was not asked (a simulator, or by setting).
    pub usage_reported: Option<bool>,
    /// Whether an answer was asked for now; else one of the last day is known.
    pub asked: bool,
}

/// What was found before a run.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// Endpoints.
    pub endpoints: Vec<Found>,
    /// Prompts of model stages.
    pub prompts: Vec<PromptCheck>,
}

/// Checks what the stages called `select` (none: all) need, once their endpoints are up.
///
/// # Errors
/// An endpoint that does not answer, does not tell usage although a cap needs it, or a prompt that no row can be rendered
/// with or fits.
pub async fn check_endpoints(loaded: &Loaded, select: &[String], store: &Store, caps: Caps) -> anyhow::Result<Checked> {
    let mut endpoints = Vec::new();
    for endpoint in loaded.endpoints_of(select) {
        let found = ask(loaded, &endpoint, store).await?;
        if !caps.is_none() && found.usage_reported == Some(false) {
            bail!(
                "endpoint `{}` does not tell the tokens that it uses, so --max-cost and --max-tokens cannot be kept",
                found.endpoint
            );
        }
        endpoints.push(found);
    }
    let prompts = check_prompts(loaded, select, store).await?;
    for stage in prompts.iter().filter(|stage| stage.sampled > 0) {
        if let Some(error) = stage.render_error.as_ref().filter(|_| stage.unrendered == stage.sampled) {
            bail!("stage `{}`: its prompt cannot be rendered for any of {} rows: {error}", stage.stage, stage.sampled);
        }
        if stage.too_long == stage.sampled {
            bail!(
                "stage `{}`: each of {} prompts is longer, with its answer, than the context of `{}`: shorten the prompt, \
                 lower max_tokens, or set context_tokens if the server has more",
                stage.stage,
                stage.sampled,
                stage.model
            );
        }
    }
    Ok(Checked { endpoints, prompts })
}

/// Asks for one token, unless that was done lately.
async fn ask(loaded: &Loaded, endpoint: &Arc<Endpoint>, store: &Store) -> anyhow::Result<Found> {
    let settings = &endpoint.settings;
    let found = |usage_reported, asked| Found {
        endpoint: endpoint.name.clone(),
        model: settings.model.clone(),
        context_tokens: endpoint.context_tokens(),
        usage_reported,
        asked,
    };
    let url = settings.urls().join(", ");
    if url.is_empty() || !settings.preflight_completion {
        return Ok(found(None, false));
    }
    if let Some(usage_reported) = store.recent_preflight(&url, &settings.model).await? {
        return Ok(found(Some(usage_reported), false));
    }
    let request = one_token(&settings.model, sampling_of(loaded, endpoint));
    let outcome = endpoint.client()?.call(&request, &CancellationToken::new()).await;
    let Some(last) = outcome.attempts.last() else { bail!("endpoint `{}` was not asked", endpoint.name) };
    // One token is cut, or no text: that is an answer all the same.
    let failure = match &outcome.result {
        CallResult::Failed(failure) if !is_answer(failure.class) => Some(failure),
        _ => None,
    };
    let usage = last.usage.filter(|usage| usage.total().is_some());
    store
        .note_preflight(&NewPreflight {
            endpoint: &endpoint.name,
            base_url: &url,
            model: &settings.model,
            class: failure.map_or("ok", |failure| failure.class.as_str()),
            message: failure.map(|failure| failure.message.as_str()),
            prompt_tokens: usage.and_then(|usage| usage.prompt_tokens),
            completion_tokens: usage.and_then(|usage| usage.completion_tokens),
            cost_microdollars: settings.prices().zip(usage).map(|(prices, usage)| prices.cost_microdollars(usage)),
            latency_ms: last.latency.as_secs_f64() * 1000.0,
        })
        .await?;
    if let Some(failure) = failure {
        bail!(
            "endpoint `{}` at {url} does not answer: {failure} (this check is the setting preflight_completion)",
            endpoint.name
        );
    }
    Ok(found(Some(usage.is_some()), true))
}

fn is_answer(class: FailureClass) -> bool {
    matches!(class, FailureClass::Truncated | FailureClass::Empty | FailureClass::Filtered | FailureClass::Refused)
}

/// How the first stage that asks the endpoint samples.
fn sampling_of<'l>(loaded: &'l Loaded, endpoint: &Arc<Endpoint>) -> Option<&'l Sampling> {
    let mut works = loaded.plan.stages.iter().filter_map(|planned| work_of(&planned.stage));
    works.find(|work| Arc::ptr_eq(&work.endpoint, endpoint)).map(RowWork::sampling)
}

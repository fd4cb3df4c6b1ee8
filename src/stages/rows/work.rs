//! What the stages that call models have in common: whom they ask, for what, and how an answer is read.

use std::sync::Arc;

use serde_json::json;

use super::super::endpoints::{Endpoint, Endpoints};
use super::super::wrong::Wrong;
use super::purse::bound;
use crate::engine::Facets;
use crate::ids::StageId;
use crate::llm::{ChatRequest, FailurePolicies, Prompt, PromptSettings, Sampling};
use crate::store::budget::Amount;
use crate::store::judgements::PairDraw;
use crate::store::tasks::{Claimed, Follow, Inputs};
use crate::store::{Store, StoreResult};

/// Cleaned text and number of code blocks, or class and words of a rejection.
pub type Answered = Result<(String, u32), (&'static str, String)>;

/// What the stages that call models have in common.
#[derive(Debug)]
pub struct RowWork {
    pub(super) inputs: Inputs,
    pub(super) role: String,
    pub(super) samples: u32,
    /// The endpoint asked.
    pub endpoint: Arc<Endpoint>,
    prompt: Prompt,
    prompt_settings: PromptSettings,
    sampling: Arc<Sampling>,
    /// What is done about failures.
    pub policies: Arc<FailurePolicies>,
    pub(super) model: Arc<str>,
    /// Reads an answer.
    pub read: fn(&str) -> Answered,
    /// Of pairs: which of them.
    pub draw: Option<PairDraw>,
}

impl RowWork {
    /// Checks the settings.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    #[allow(clippy::too_many_arguments)] // the settings of two kinds of stage, each once
    pub fn new(
        inputs: Inputs,
        role: String,
        samples: u32,
        endpoint: &str,
        endpoints: &Endpoints,
        prompt: &PromptSettings,
        variables: &[&str],
        sampling: Sampling,
        policies: FailurePolicies,
        read: fn(&str) -> Answered,
    ) -> Result<Self, Wrong> {
        let known = || endpoints.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let endpoint = endpoints
            .get(endpoint)
            .ok_or_else(|| ("endpoint", format!("there is no endpoint `{endpoint}`; endpoints are: {}", known())))?;
        let compiled = Prompt::compile(prompt, variables).map_err(|error| Wrong::prompt(&error))?;
        sampling.check().map_err(|error| ("sampling", error.to_string()))?;
        policies.check().map_err(|message| ("on_failure", message))?;
        if !(1..=1000).contains(&samples) {
            return Err(("samples", format!("is {samples}: set it to 1 to 1000")).into());
        }
        Ok(Self {
            inputs,
            role,
            samples,
            model: endpoint.settings.model.as_str().into(),
            endpoint: Arc::clone(endpoint),
            prompt: compiled,
            prompt_settings: prompt.clone(),
            sampling: Arc::new(sampling),
            policies: Arc::new(policies),
            read,
            draw: None,
        })
    }

    /// What decides the answers; where the model is, how hard it may be asked and what is done about failures does not,
    /// but for the splitting of answers that are too long, which makes answers of what would be failures.
    pub fn identity(&self) -> serde_json::Value {
        let mut identity = json!({ "model": &*self.model, "prompt": self.prompt_settings, "sampling": &*self.sampling,
                "samples": self.samples, "role": self.role });
        if let Some(draw) = &self.draw {
            identity["draw"] = json!(draw);
        }
        if self.policies.parts() > 1 {
            identity["split"] = json!(self.policies.parts());
        }
        identity
    }

    /// What the `stages` table shows.
    pub fn facets(&self) -> Facets {
        Facets {
            model: Some(self.model.to_string()),
            prompt_fingerprint: Some(format!("{:032x}", u128::from_be_bytes(self.prompt.fingerprint()))),
            sampling: Some(json!(&*self.sampling)),
        }
    }

    /// The most that a call may cost.
    pub fn bound(&self, request: &ChatRequest) -> Amount {
        let context = self.endpoint.context_tokens();
        bound(request, self.policies.parts(), context, self.endpoint.settings.prices())
    }

    /// Where its inputs are.
    pub fn inputs(&self) -> Inputs {
        self.inputs
    }

    /// Queues tasks of `stage` for inputs that `need` made since the last call; the number of inputs looked at.
    pub async fn feed(&self, store: &Store, stage: StageId, need: StageId, follow: &mut Follow) -> StoreResult<u64> {
        match self.draw {
            Some(draw) => store.feed_pairs(stage, need, draw, follow).await,
            None => store.feed(stage, need, self.inputs, self.samples, follow).await,
        }
    }

    /// How many of so many inputs it works on.
    pub fn drawn(&self, inputs: i64) -> i64 {
        self.draw.map_or(inputs, |draw| draw.of(inputs))
    }

    /// Role of its answers.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Answers for each input.
    pub fn samples(&self) -> u32 {
        self.samples
    }

    /// How the model samples.
    pub fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// The request for a row.
    ///
    /// # Errors
    /// Why its prompt cannot be rendered.
    pub fn request(&self, row: &Claimed) -> Result<ChatRequest, String> {
        let messages = self.prompt.render(row).map_err(|error| error.to_string())?;
        let sampling = Arc::clone(&self.sampling);
        Ok(ChatRequest { model: Arc::clone(&self.model), messages, sampling, sample: row.sample as u32 })
    }
}

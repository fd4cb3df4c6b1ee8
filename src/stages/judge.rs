//! `judge`: a model says which side of a pair is better, without being told which one is chosen. It is shown both in an order
//! that the pair's texts decide, half of them with the chosen side second, so that a bias by position shows.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::endpoints::Endpoints;
use super::rows::{self, Answered, RowWork};
use super::wrong::Wrong;
use super::{AnyStage, Kind, only_need};
use crate::engine::{Context, Facets};
use crate::llm::{FailurePolicies, PromptSettings, Sampling};
use crate::store::judgements::PairDraw;
use crate::store::tasks::Inputs;

/// What a judging prompt may speak of. Which answer is chosen is not among them.
pub const VARIABLES: [&str; 4] = ["prompt", "description", "first", "second"];

/// Settings of a `judge` stage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JudgeSettings {
    /// Name of the endpoint to ask.
    pub endpoint: String,
    /// Templates of the prompt. Variables: prompt, description, first, second. The last line of the answer must be A (the
    /// first is better), B (the second is), or tie; `Verdict: A` and `[[A]]` are read as well.
    pub prompt: PromptSettings,
    /// Sampling settings.
    #[serde(default)]
    pub sampling: Sampling,
    /// Share of the pairs that the model is shown, 0 to 1; the pipeline's seed decides which.
    #[serde(default = "whole")]
    pub share: f64,
    /// Pairs that the model is shown, at most.
    #[serde(default)]
    pub limit: Option<u64>,
    /// What is done about failures, by class, in place of what is done without this.
    #[serde(default)]
    pub on_failure: FailurePolicies,
}

fn whole() -> f64 {
    1.0
}

/// A `judge` stage.
#[derive(Debug)]
pub struct Judge {
    /// The work on rows.
    pub work: Arc<RowWork>,
}

impl Judge {
    /// Checks the settings.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(settings: JudgeSettings, seed: u64, endpoints: &Endpoints) -> Result<Self, Wrong> {
        let JudgeSettings { endpoint, prompt, sampling, share, limit, on_failure } = settings;
        if !(share > 0.0 && share <= 1.0) {
            return Err(("share", format!("is {share}: a share lies above 0 and up to 1")).into());
        }
        if limit == Some(0) {
            return Err(("limit", "is 0: leave it out for all pairs of the share".to_owned()).into());
        }
        let mut work = RowWork::new(
            Inputs::Pairs,
            String::new(),
            1,
            &endpoint,
            endpoints,
            &prompt,
            &VARIABLES,
            sampling,
            on_failure,
            verdict,
        )?;
        work.draw = Some(PairDraw { share, limit, seed });
        Ok(Self { work: Arc::new(work) })
    }

    /// Judges what is drawn of the pairs, once all are there: which are drawn depends on all of them.
    pub async fn run(&self, mut context: Context<AnyStage>) -> anyhow::Result<()> {
        if context.inputs_end().await { rows::run(&self.work, context).await } else { Ok(()) }
    }
}

/// The verdict at the end of an answer: first, second or tie.
fn verdict(answer: &str) -> Answered {
    let last = answer.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let word = last.rsplit(':').next().unwrap_or_default();
    let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let word = word.strip_prefix("answer ").unwrap_or(&word);
    let verdict = match word {
        "a" => "first",
        "b" => "second",
        "tie" => "tie",
        // As in MT-bench (Zheng et al. 2023).
        "c" if last.ends_with("[[C]]") => "tie",
        _ => {
            let line: String = last.chars().take(100).collect();
            return Err(("no_verdict", format!("the last line is neither A nor B nor tie: {line}")));
        }
    };
    Ok((verdict.to_owned(), 0))
}

impl Kind for Judge {
    fn identity(&self) -> serde_json::Value {
        self.work.identity()
    }

    fn facets(&self) -> Facets {
        self.work.facets()
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        only_need(needs, &["pair"]).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_the_last_line_in_any_dress_and_nothing_else() {
        let read = |answer: &str| verdict(answer).map(|(text, _)| text);
        for (answer, expected) in [
            ("A", "first"),
            ("b", "second"),
            ("Tie.", "tie"),
            ("Both work, but the first checks its input.\n\n**Verdict: A**\n", "first"),
            ("B handles it: better.\nAnswer B", "second"),
            ("[[B]]", "second"),
            ("Equal.\n[[C]]", "tie"),
            ("Final verdict: [[A]].", "first"),
        ] {
            assert_eq!(read(answer).as_deref(), Ok(expected), "{answer}");
        }
        for answer in ["", "A\nor rather not", "A and B", "C", "Answer", "I prefer A", "first"] {
            assert_eq!(read(answer).map_err(|(class, _)| class), Err("no_verdict"), "{answer}");
        }
    }
}

//! `pair`: joins the answers of two stages to the same description, and measures each pair.

use std::time::Duration;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::spawn_blocking;

use super::wrong::Wrong;
use super::{AnyStage, Kind};
use crate::engine::{Context, Stage as _};
use crate::llm::{Prompt, PromptSettings};
use crate::python::{Parser, syntax_fault};
use crate::store::pairs::{Candidate, Judged};

/// What a pair's prompt may speak of.
const VARIABLES: [&str; 1] = ["description"];
/// Pairs in one transaction.
const PAGE: i64 = 512;

/// Settings of a `pair` stage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PairSettings {
    /// Name of the stage whose answers are chosen; one of `needs`.
    pub chosen: String,
    /// Name of the stage whose answers are rejected; one of `needs`.
    pub rejected: String,
    /// Template of the prompt that is trained on. Variable: description.
    #[serde(default = "description")]
    pub prompt: String,
    /// Share of the repositories that are held out as the test split, 0 to 1.
    #[serde(default = "one_twentieth")]
    pub test_share: f64,
    /// Whether the chosen side must parse.
    #[serde(default = "yes")]
    pub chosen_must_parse: bool,
    /// Whether the rejected side must parse.
    #[serde(default)]
    pub rejected_must_parse: bool,
    /// Chosen over rejected in characters, at least.
    #[serde(default)]
    pub length_ratio_min: f32,
    /// Chosen over rejected in characters, at most.
    #[serde(default = "infinite", skip_serializing_if = "is_infinite")]
    pub length_ratio_max: f32,
    /// Similarity of both sides at most, 0 to 1. Equal sides never make a pair.
    #[serde(default = "whole")]
    pub similarity_max: f32,
}

fn description() -> String {
    "{{ description }}".to_owned()
}
fn one_twentieth() -> f64 {
    0.05
}
fn yes() -> bool {
    true
}
fn infinite() -> f32 {
    f32::INFINITY
}
#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_infinite(value: &f32) -> bool {
    value.is_infinite()
}
fn whole() -> f32 {
    1.0
}

/// A `pair` stage.
#[derive(Debug)]
pub struct Pair {
    settings: PairSettings,
    seed: u64,
    /// Places of the two sides among the needs.
    sides: (usize, usize),
}

impl Pair {
    /// Checks the settings; `needs` are the names in the file.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(settings: PairSettings, seed: u64, needs: &[&str]) -> Result<Self, Wrong> {
        let side = |key, name: &str| {
            let place = needs.iter().position(|need| *need == name);
            place.ok_or_else(|| (key, format!("`{name}` is not among the needs of the stage: {}", needs.join(", "))))
        };
        let sides = (side("chosen", &settings.chosen)?, side("rejected", &settings.rejected)?);
        if sides.0 == sides.1 {
            return Err(("rejected", "is the same stage as chosen: a pair needs two".to_owned()).into());
        }
        if !(0.0..=1.0).contains(&settings.test_share) {
            return Err(("test_share", format!("is {}: a share lies between 0 and 1", settings.test_share)).into());
        }
        compile(&settings.prompt).map_err(|error| Wrong::template("prompt", &error))?;
        Ok(Self { settings, seed, sides })
    }

    /// Pairs everything that is not paired yet.
    pub async fn run(&self, mut context: Context<AnyStage>) -> anyhow::Result<()> {
        if !context.inputs_end().await {
            return Ok(());
        }
        let Some(lock) = lock(&context).await? else { return Ok(()) };
        let (store, id, needs) = (&context.store, context.id(), &context.needs[0]);
        let (chosen, rejected) = (needs[self.sides.0], needs[self.sides.1]);
        let mut after = (crate::ids::DescriptionId(0), -1);
        let mut left = context.limit.unwrap_or(u64::MAX);
        while left > 0 && !context.shutdown.is_cancelled() {
            let rows = PAGE.min(left.min(PAGE as u64) as i64);
            let page = store.pair_candidates(id, chosen, rejected, after, rows).await?;
            let Some(last) = page.last() else { break };
            after = (last.description_id, last.sample);
            let judge = Judge::new(self)?;
            let judged = spawn_blocking(move || judge.all(page)).await.context("a bug: judging ended early")?;
            store.commit_pairs(context.run, id, &judged).await?;
            let pairs = judged.iter().filter(|(_, judged)| matches!(judged, Judged::Pair { .. })).count();
            left -= pairs as u64;
            context.meter().add_done(pairs as u64);
            context.meter().add_rejected((judged.len() - pairs) as u64);
        }
        lock.release().await;
        Ok(())
    }
}

/// Takes the stage's lock; `None` if the run is to end first.
pub(super) async fn lock(context: &Context<AnyStage>) -> anyhow::Result<Option<crate::store::lock::StageLock>> {
    loop {
        if let Some(lock) = context.store.try_lock_stage(context.id()).await? {
            return Ok(Some(lock));
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(300)) => {}
            () = context.shutdown.cancelled() => return Ok(None),
        }
    }
}

fn compile(template: &str) -> Result<Prompt, crate::llm::PromptError> {
    Prompt::compile(&PromptSettings { system: None, user: template.to_owned() }, &VARIABLES)
}

/// Judges candidates on any thread.
struct Judge {
    settings: PairSettings,
    prompt: Prompt,
    seed: u64,
}

impl Judge {
    fn new(pair: &Pair) -> anyhow::Result<Self> {
        Ok(Self { settings: pair.settings.clone(), prompt: compile(&pair.settings.prompt)?, seed: pair.seed })
    }

    fn all(&self, page: Vec<Candidate>) -> Vec<(Candidate, Judged)> {
        let mut parser = Parser::new();
        page.into_iter()
            .map(|candidate| {
                let judged = self.one(&mut parser, &candidate);
                (candidate, judged)
            })
            .collect()
    }

    fn one(&self, parser: &mut Parser, candidate: &Candidate) -> Judged {
        let limits = &self.settings;
        let (chosen, rejected) = (candidate.chosen.trim(), candidate.rejected.trim());
        let reject = |class, message: String| Judged::Rejected { class, message };
        if chosen.is_empty() || rejected.is_empty() {
            return reject("empty_side", "one side is empty".into());
        }
        if chosen == rejected {
            return reject("equal_sides", "both sides are the same".into());
        }
        let faults = (syntax_fault(parser, chosen), syntax_fault(parser, rejected));
        for (side, fault, must) in
            [("chosen", &faults.0, limits.chosen_must_parse), ("rejected", &faults.1, limits.rejected_must_parse)]
        {
            if let Some(fault) = fault.as_ref().filter(|_| must) {
                let class = if side == "chosen" { "chosen_invalid" } else { "rejected_invalid" };
                let (line, column, message) = (fault.line, fault.column, &fault.message);
                return reject(
                    class,
                    format!("the {side} side does not parse: line {line}, column {column}: {message}"),
                );
            }
        }
        let length_ratio = chosen.chars().count() as f32 / rejected.chars().count() as f32;
        if !(limits.length_ratio_min..=limits.length_ratio_max).contains(&length_ratio) {
            let (min, max) = (limits.length_ratio_min, limits.length_ratio_max);
            return reject("length_ratio", format!("the length ratio is {length_ratio:.3}, allowed is {min} to {max}"));
        }
        let similarity = strsim::sorensen_dice(chosen, rejected) as f32;
        if similarity > limits.similarity_max {
            let max = limits.similarity_max;
            return reject("similarity", format!("the similarity is {similarity:.3}, allowed is {max}"));
        }
        let messages = match self.prompt.render(&json!({ "description": candidate.description })) {
            Ok(messages) => messages,
            Err(error) => return reject("prompt", error.to_string()),
        };
        Judged::Pair {
            prompt: messages.into_iter().map(|message| message.content).collect(),
            split: split(self.seed, &candidate.repository, limits.test_share),
            valid: (faults.0.is_none(), faults.1.is_none()),
            length_ratio,
            similarity,
        }
    }
}

/// The side that a repository is on: decided by its name and the seed alone.
fn split(seed: u64, repository: &str, test_share: f64) -> &'static str {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(repository.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    let draw = (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64;
    if draw < test_share { "test" } else { "train" }
}

impl Kind for Pair {
    fn identity(&self) -> serde_json::Value {
        // The names of the sides may change; their places in the sorted needs are what counts.
        let mut identity = json!(self.settings);
        identity["chosen"] = json!(self.sides.0);
        identity["rejected"] = json!(self.sides.1);
        identity["seed"] = json!(self.seed);
        identity
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        if needs.len() != 2 {
            return Err("it needs exactly two stages, of kind generate or source".into());
        }
        let answers = |stage: &AnyStage| matches!(stage, AnyStage::Generate(generate) if generate.asks_questions());
        if let Some((name, _)) = needs.iter().find(|(_, stage)| answers(stage)) {
            return Err(format!("`{name}` answers questions; pairs are made of answers to descriptions"));
        }
        match needs.iter().find(|(_, stage)| !["generate", "source"].contains(&stage.kind())) {
            Some((name, stage)) => {
                let kind = stage.kind();
                Err(format!("it cannot stand on `{name}`, a {kind} stage; allowed: generate, source"))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ids::{CompletionId, DescriptionId, DocumentId, SnippetId};

    fn judge(chosen: &str, rejected: &str) -> Judged {
        let settings = toml::from_str("chosen = 'a'\nrejected = 'b'\nprompt = 'Do: {{ description }}'").unwrap();
        let judge = Judge::new(&Pair::new(settings, 1, &["a", "b"]).unwrap()).unwrap();
        let candidate = Candidate {
            description_id: DescriptionId(1),
            description: "add".into(),
            snippet_id: SnippetId(1),
            document_id: DocumentId(1),
            repository: "r".into(),
            path: "p.py".into(),
            sample: 0,
            chosen_id: CompletionId(1),
            chosen: chosen.into(),
            rejected_id: CompletionId(2),
            rejected: rejected.into(),
        };
        judge.one(&mut Parser::new(), &candidate)
    }

    #[test]
    fn a_pair_carries_its_signals_and_its_prompt() {
        let Judged::Pair { prompt, valid, length_ratio, similarity, .. } = judge("total = 1\n", "total = (") else {
            panic!()
        };
        assert_eq!((prompt.as_str(), valid, length_ratio), ("Do: add", (true, false), 1.0));
        assert!(similarity > 0.5 && similarity < 1.0);
    }

    #[test]
    fn equal_empty_and_broken_sides_make_no_pair() {
        let class = |judged| match judged {
            Judged::Rejected { class, .. } => class,
            Judged::Pair { .. } => "pair",
        };
        assert_eq!(class(judge("x = 1", "x = 1\n")), "equal_sides");
        assert_eq!(class(judge("x = 1", "  \n")), "empty_side");
        assert_eq!(class(judge("x = (", "x = 1")), "chosen_invalid");
    }

    #[test]
    fn the_split_follows_the_repository_and_the_share() {
        let names: Vec<String> = (0..2000).map(|n| format!("owner/{n}")).collect();
        let test = names.iter().filter(|name| split(7, name, 0.25) == "test").count();
        assert!((430..570).contains(&test), "{test}");
        assert!(names.iter().all(|name| split(7, name, 0.0) == "train" && split(7, name, 1.0) == "test"));
        assert!(names.iter().any(|name| split(7, name, 0.5) != split(8, name, 0.5)));
    }
}

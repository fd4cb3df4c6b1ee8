//! What is scored: items of a benchmark or pairs of the database, with their prompts as a model is to see them.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Metric;
use crate::benchmark::{self, Benchmark, Format, Item, Reasons, Task};
use crate::llm::{Prompt, PromptSettings};
use crate::stages::training::{Pairs, WrongInput};

/// Which items of a file are scored, and how they are put to a model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DataSettings {
    /// Format of the file, such as gsm8k; told from its first row if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Template of the prompt that a model scores answers to. Variable: prompt. As the model was trained.
    pub template: String,
    /// At most so many items, drawn by chance with `seed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Decides which items a limit leaves, and every draw of the figures.
    pub seed: u64,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self { format: None, template: "{{ prompt }}".to_owned(), limit: None, seed: 0 }
    }
}

impl DataSettings {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    pub fn check(&self) -> Result<(), String> {
        if self.limit == Some(0) {
            return Err("limit is 0: leave it out for all items".to_owned());
        }
        self.compile().map(drop)
    }

    fn compile(&self) -> Result<Prompt, String> {
        let settings = PromptSettings { system: None, user: self.template.clone() };
        Prompt::compile(&settings, &["prompt"]).map_err(|error| error.to_string())
    }
}

/// Items ready to be scored.
#[derive(Clone, Debug)]
pub struct Data {
    /// What is measured on them.
    pub metric: Metric,
    /// In the order of the file.
    pub items: Vec<Item>,
    /// Where they come from, in words.
    pub source: String,
    /// Tells them from others: prompts, texts, right answers.
    pub mark: String,
    /// Their format.
    pub format: String,
    /// Rows that made no item, by reason.
    pub left_out: Reasons,
}

impl Data {
    /// Reads a benchmark, with samples of a file of their own if there is one. Blocks.
    ///
    /// # Errors
    /// [`WrongInput`] when a file is damaged or is not for this metric.
    pub fn read(
        metric: Metric,
        path: &Path,
        samples: Option<&PathBuf>,
        settings: &DataSettings,
    ) -> anyhow::Result<Self> {
        let wrong = |error: benchmark::BenchmarkError| WrongInput(error.to_string());
        let mut found = benchmark::read(path, settings.format).map_err(wrong)?;
        if let Some(samples) = samples {
            benchmark::attach(&mut found, samples).map_err(wrong)?;
        }
        let source = path.display().to_string();
        Self::of(metric, found, source, settings)
    }

    /// Takes the items of a benchmark that was read. RewardBench 2 defines its own accuracy, which is measured in its place.
    ///
    /// # Errors
    /// [`WrongInput`] when they are not for this metric.
    pub fn of(metric: Metric, mut found: Benchmark, source: String, settings: &DataSettings) -> anyhow::Result<Self> {
        let own = metric == Metric::Accuracy && found.format == Format::RewardBench2;
        let metric = if own { Metric::RewardBench2 } else { metric };
        let fits = |item: &Item| match (metric, &item.task) {
            (Metric::Accuracy, Task::Pair { .. } | Task::Choice { .. } | Task::Ranking { .. })
            | (Metric::Choice, Task::Choice { .. })
            | (Metric::RewardBench2, Task::Ranking { .. }) => Ok(()),
            (Metric::BestOfN, Task::Answer { .. } | Task::Code(_)) if !item.samples.is_empty() => Ok(()),
            (Metric::BestOfN, Task::Answer { .. } | Task::Code(_)) => Err("they have no samples: name a file of them"),
            _ => Err("its rows are of another kind"),
        };
        if let Some(problem) = found.items.iter().find_map(|item| fits(item).err()) {
            let what = match metric {
                Metric::Accuracy => "pairs",
                Metric::BestOfN => "questions with samples",
                Metric::Choice => "questions with options",
                Metric::RewardBench2 => "rows of RewardBench 2",
            };
            let message = format!(
                "{source} ({}) cannot be measured as {}: {what} are wanted, and {problem}",
                found.format,
                metric.name()
            );
            return Err(WrongInput(message).into());
        }
        if found.items.is_empty() {
            return Err(WrongInput(format!("{source} has no items to measure on")).into());
        }
        choose(&mut found.items, settings);
        let prompt = settings.compile().map_err(WrongInput)?;
        for item in &mut found.items {
            let messages =
                prompt.render(&json!({ "prompt": item.prompt })).map_err(|error| WrongInput(error.to_string()))?;
            item.prompt = messages.into_iter().map(|message| message.content).collect();
        }
        let mark = found.mark();
        let mut left_out = Reasons::default();
        found.left_out.iter().for_each(|row| left_out.add(row));
        Ok(Self { metric, left_out, items: found.items, source, mark, format: found.format.to_string() })
    }

    /// Takes pairs of any source; their prompts are what the model was trained with.
    pub fn pairs(pairs: &Pairs, source: String) -> Self {
        let items = pairs.pairs.iter().map(|pair| Item {
            key: pair.id.to_string(),
            subset: pair.repository.clone(),
            prompt: pair.prompt.clone(),
            task: Task::Pair { chosen: pair.chosen.clone(), rejected: pair.rejected.clone() },
            samples: Vec::new(),
        });
        Self {
            metric: Metric::Accuracy,
            items: items.collect(),
            source,
            mark: pairs.mark.clone(),
            format: Format::Pairs.to_string(),
            left_out: pairs.left_out.clone(),
        }
    }
}

/// Drops what a limit does not leave.
fn choose(items: &mut Vec<Item>, settings: &DataSettings) {
    let mut kept = drawn(items.iter().map(|item| item.key.as_str()), settings.limit, settings.seed).into_iter();
    items.retain(|_| kept.next().unwrap_or(false));
}

/// Which of the items with these keys a limit leaves. It follows from an item's key and number, not from what stands beside it.
pub fn drawn<'k>(keys: impl Iterator<Item = &'k str>, limit: Option<usize>, seed: u64) -> Vec<bool> {
    let draw = |(number, key): (usize, &str)| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(key.as_bytes());
        (*hasher.finalize().as_bytes(), number)
    };
    let mut draws: Vec<_> = keys.enumerate().map(draw).collect();
    draws.sort_unstable();
    let mut keep = vec![false; draws.len()];
    draws.iter().take(limit.unwrap_or(usize::MAX)).for_each(|(_, number)| keep[*number] = true);
    keep
}

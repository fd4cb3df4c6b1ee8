//! `questions`: the questions of a benchmark become rows, so that models can be asked for answers to them.

use std::path::PathBuf;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::spawn_blocking;

use super::measuring::drawn;
use super::{AnyStage, Kind, WrongInput, resolve};
use crate::benchmark::{self, Answering, BenchmarkError, Format, Item, Made, Task};
use crate::engine::Context;
use crate::records::Place;
use crate::store::questions::{QuestionRow, Sampled};
use crate::store::tasks::Claimed;

/// Settings of a `questions` stage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuestionsSettings {
    /// A benchmark as published, or a plain file of `prompt` and `answer`: a file or a folder, relative to the pipeline
    /// file's folder.
    pub data: String,
    /// Format of the file, such as gsm8k; told from its first row if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// At most so many questions, drawn by chance with `seed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Decides which questions a limit leaves.
    #[serde(default)]
    pub seed: u64,
}

/// A `questions` stage.
#[derive(Clone, Debug)]
pub struct Questions {
    settings: QuestionsSettings,
    base: PathBuf,
}

impl Questions {
    /// Checks the settings.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(settings: QuestionsSettings, base: PathBuf) -> Result<Self, (&'static str, String)> {
        if settings.data.trim().is_empty() {
            return Err(("data", "is empty: name a file or a folder".into()));
        }
        if settings.limit == Some(0) {
            return Err(("limit", "is 0: leave it out for all questions".into()));
        }
        Ok(Self { settings, base })
    }

    /// Adds what the file has and the database has not.
    pub async fn run(&self, mut context: Context<AnyStage>) -> anyhow::Result<()> {
        if !context.inputs_end().await {
            return Ok(());
        }
        let Some(lock) = super::pair::lock(&context).await? else { return Ok(()) };
        let added = self.add(&context).await;
        lock.release().await;
        added
    }

    async fn add(&self, context: &Context<AnyStage>) -> anyhow::Result<()> {
        let own = self.clone();
        let read = spawn_blocking(move || own.read()).await.context("a bug: reading questions ended early")??;
        let known = context.store.questions(context.id()).await?;
        let grown = known.len() <= read.len() && known.iter().zip(&read).all(|(known, read)| known.asks_as(read));
        if !grown {
            let (data, count) = (&self.settings.data, known.len());
            let message = format!(
                "{data} is not what it was when its first {count} questions were taken: rows may only be added at its end. \
                 Give what has changed a name of its own, so that samples keep the questions that they answer"
            );
            return Err(WrongInput(message).into());
        }
        let mut new = &read[known.len()..];
        if let Some(limit) = context.limit {
            new = &new[..new.len().min(limit as usize)];
        }
        context.store.add_questions(context.id(), new).await?;
        context.meter().add_done(new.len() as u64);
        Ok(())
    }

    /// The questions of the file. Blocks.
    ///
    /// # Errors
    /// [`WrongInput`] when the file is damaged, or asks for something else than answers.
    fn read(&self) -> anyhow::Result<Vec<QuestionRow>> {
        let path = resolve(&self.base, &self.settings.data);
        let none =
            || WrongInput(format!("{} has no questions to be answered, but rows of another kind", path.display()));
        let wrong = |error: BenchmarkError| WrongInput(error.to_string());
        let mut all = benchmark::items(&path, self.settings.format).map_err(wrong)?;
        let mut asked = Vec::new();
        for made in all.by_ref() {
            let Made::Whole(item, origin) = made.map_err(wrong)? else { return Err(none().into()) };
            asked.push((item, origin.place));
        }
        let format = all.format().ok_or_else(none)?;
        let keep = drawn(asked.iter().map(|(item, _)| item.key.as_str()), self.settings.limit, self.settings.seed);
        let mut rows = Vec::new();
        for ((item, place), _) in asked.into_iter().zip(keep).filter(|(_, keep)| *keep) {
            rows.push(row(rows.len() as i32, item, &place, format).ok_or_else(none)?);
        }
        if rows.is_empty() {
            return Err(WrongInput(format!("{} ({format}) has no questions to be answered", path.display())).into());
        }
        Ok(rows)
    }

    /// The questions as the stage that asks them will see them, for an estimate; none if the file cannot be read yet.
    pub fn preview(&self) -> Vec<Claimed> {
        let claimed = |row: QuestionRow| Claimed {
            qualified_name: row.key,
            path: row.file,
            prompt: Some(row.prompt),
            subset: Some(row.subset),
            ..Claimed::default()
        };
        self.read().map(|rows| rows.into_iter().map(claimed).collect()).unwrap_or_default()
    }
}

/// A question as a row; none if the item asks for something else than an answer.
fn row(ordinal: i32, item: Item, place: &Place, format: Format) -> Option<QuestionRow> {
    let (answer, compare, test) = match item.task {
        Task::Answer { gold, answering } => (Some(gold), Some(answering.name().to_owned()), None),
        Task::Code(test) => (None, None, Some(json!(test))),
        Task::Pair { .. } | Task::Choice { .. } | Task::Ranking { .. } => return None,
    };
    Some(QuestionRow {
        ordinal,
        key: item.key,
        subset: item.subset,
        prompt: item.prompt,
        answer,
        compare,
        test,
        format: format.name().to_owned(),
        file: place.path.to_string_lossy().into_owned(),
        line: place.line as i64,
    })
}

/// A question with its samples as an item to be measured: a sample that failed is an empty text, which no answer can be read
/// from.
///
/// # Errors
/// When the row is not as this program writes it.
pub fn item(row: Sampled) -> anyhow::Result<Item> {
    let Sampled { question, texts, .. } = row;
    let task = match (question.answer, question.compare, question.test) {
        (Some(gold), Some(compare), _) => {
            let answering = Answering::of(&compare).with_context(|| format!("comparing answers as {compare}"))?;
            Task::Answer { gold, answering }
        }
        (_, _, test) => {
            let test = test.context("a question without an answer and without tests")?;
            Task::Code(serde_json::from_value(test).context("the tests of a question")?)
        }
    };
    Ok(Item {
        key: question.key,
        subset: question.subset,
        prompt: question.prompt,
        task,
        samples: texts.into_iter().map(Option::unwrap_or_default).collect(),
    })
}

impl Kind for Questions {
    fn identity(&self) -> serde_json::Value {
        json!(self.settings)
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        match needs {
            [] => Ok(()),
            [(name, _), ..] => Err(format!("it reads a file and stands on no stage, so not on `{name}`")),
        }
    }
}

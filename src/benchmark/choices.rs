//! Multiple choice: ReClor and LogiQA 2.0.

use super::plain::{key, within};
use super::{Item, Task};
use crate::records::{RecordResult, Row};

/// A passage and a question as one prompt.
fn prompt(passage: &str, question: &str) -> String {
    format!("{}\n\n{}\n", passage.trim_end(), question.trim_end())
}

/// ReClor (Yu et al. 2020): `context`, `question`, `answers`, `label`, `id_string`. Its test set is published without
/// `label`.
pub(super) fn reclor(row: &Row, number: usize) -> RecordResult<Item> {
    let options = row.some_texts("answers")?;
    if row.get("label").is_none() {
        return Err(row.missing("label", "the place of the right answer; ReClor's test.json has none: take val.json"));
    }
    let answer = within(row, "label", options.len())?;
    let id = row.optional_text("id_string")?;
    let id = id.map_or_else(|| key(row, number), Ok)?;
    let prompt = prompt(&row.text("context")?, &row.text("question")?);
    Ok(Item::new(id, String::new(), prompt, Task::Choice { options, answer }))
}

/// LogiQA 2.0 (Liu et al. 2023), the reading-comprehension task: `id`, `text`, `question`, `options`, `answer`, `type`.
pub(super) fn logiqa2(row: &Row, number: usize) -> RecordResult<Item> {
    let options = row.some_texts("options")?;
    let answer = within(row, "answer", options.len())?;
    let prompt = prompt(&row.text("text")?, &row.text("question")?);
    Ok(Item::new(key(row, number)?, String::new(), prompt, Task::Choice { options, answer }))
}

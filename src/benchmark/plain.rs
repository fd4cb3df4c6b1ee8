//! Formats of this project's own: as little as a measurement needs.

use serde_json::Value;

use super::{Answering, Item, Task};
use crate::records::{RecordResult, Row, kind};

/// The row's `id`, else its number.
pub(super) fn key(row: &Row, number: usize) -> RecordResult<String> {
    if row.get("id").is_some() { row.name("id") } else { Ok(number.to_string()) }
}

fn subset(row: &Row) -> RecordResult<String> {
    Ok(row.optional_text("subset")?.unwrap_or_default())
}

/// `prompt`, `chosen`, `rejected`.
pub(super) fn pair(row: &Row, number: usize) -> RecordResult<Item> {
    let task = Task::Pair { chosen: row.text("chosen")?, rejected: row.text("rejected")? };
    Ok(Item::new(key(row, number)?, subset(row)?, row.text("prompt")?, task))
}

/// `prompt`, `options`, `answer`.
pub(super) fn options(row: &Row, number: usize) -> RecordResult<Item> {
    let options = row.some_texts("options")?;
    let answer = match row.get("answer") {
        Some(Value::String(text)) => {
            let place = options.iter().position(|option| option == text);
            place.ok_or_else(|| row.wrong("answer", format!("is `{text}`, which is none of the options")))?
        }
        _ => within(row, "answer", options.len())?,
    };
    Ok(Item::new(key(row, number)?, subset(row)?, row.text("prompt")?, Task::Choice { options, answer }))
}

/// A place in a list of `length`.
pub(super) fn within(row: &Row, field: &str, length: usize) -> RecordResult<usize> {
    let place = row.whole(field)?;
    if place < length {
        Ok(place)
    } else {
        Err(row.wrong(field, format!("is {place}, but there are {length} options, counted from 0")))
    }
}

/// `prompt`, `samples`, `answer`, and `compare` as for [`question`].
pub(super) fn samples(row: &Row, number: usize) -> RecordResult<Item> {
    Ok(Item { samples: row.some_texts("samples")?, ..question(row, number)? })
}

/// `prompt`, `answer`; `compare` says how answers are compared: number, math or text.
pub(super) fn question(row: &Row, number: usize) -> RecordResult<Item> {
    let wrong = |other: String| row.wrong("compare", format!("is `{other}`, but must be number, math or text"));
    let answering = match row.optional_text("compare")? {
        None => Answering::Math,
        Some(name) => Answering::of(&name).ok_or_else(|| wrong(name))?,
    };
    let gold = match row.get("answer") {
        Some(Value::Number(answer)) => answer.to_string(),
        Some(Value::String(answer)) => answer.clone(),
        Some(other) => return Err(row.wrong("answer", format!("is {}, but must be a text or a number", kind(other)))),
        None => return Err(row.missing("answer", "a text or a number")),
    };
    let task = Task::Answer { gold, answering };
    Ok(Item::new(key(row, number)?, subset(row)?, row.text("prompt")?, task))
}

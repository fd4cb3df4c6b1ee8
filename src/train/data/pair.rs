//! A preference pair as text, and what a row must hold to be one.

use serde_json::Value;

use crate::records::{RecordResult, Row, kind};

/// A prompt with two answers, the better one known.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The row's `id`, else its ordinal in the source, from 0.
    pub id: i64,
    /// What both answer.
    pub prompt: String,
    /// The better answer.
    pub chosen: String,
    /// The worse answer.
    pub rejected: String,
    /// How much better; 0 where nothing is known.
    pub margin: f32,
    /// Where its code comes from, if told; decides on which side of a split the pair is.
    pub repository: String,
    /// train, test or another word, if the row or the file's name tells.
    pub split: Option<String>,
}

impl Pair {
    /// The pair that a row holds. `ordinal` takes the place of an `id` that is missing or no whole number; `split` is what
    /// the file's name tells; a benchmark's `subset` counts as the repository where none is named.
    ///
    /// # Errors
    /// The first field that is missing or of a wrong type.
    pub fn of(row: &Row, ordinal: i64, split: Option<&str>) -> RecordResult<Self> {
        let origin =
            row.optional_text("repository")?.map_or_else(|| row.optional_text("subset"), |name| Ok(Some(name)))?;
        Ok(Self {
            id: row.get("id").and_then(Value::as_i64).unwrap_or(ordinal),
            margin: margin(row)?,
            repository: origin.unwrap_or_default(),
            split: row.optional_text("split")?.or_else(|| split.map(str::to_owned)),
            prompt: row.text("prompt")?,
            chosen: row.text("chosen")?,
            rejected: row.text("rejected")?,
        })
    }
}

fn margin(row: &Row) -> RecordResult<f32> {
    let Some(value) = row.get("margin") else { return Ok(0.0) };
    let number = value.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
    number.ok_or_else(|| row.wrong("margin", format!("is {}, but must be a finite number", kind(value))))
}

//! A preference pair as text, and what a row must hold to be one.

use serde_json::{Map, Value};

use super::error::{DataError, DataResult, Place};

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

/// A row as read: its fields, and where it stands.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where it stands.
    pub place: Place,
    /// Its fields.
    pub fields: Map<String, Value>,
}

impl Row {
    /// The field, `null` taken as missing.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    /// A field that must be a text, taken out of the row.
    ///
    /// # Errors
    /// When it is missing or not a text.
    pub fn take_text(&mut self, field: &'static str) -> DataResult<String> {
        match self.fields.get_mut(field) {
            Some(Value::String(text)) => Ok(std::mem::take(text)),
            Some(Value::Null) | None => Err(self.wrong(field, "is missing; it must be a text")),
            Some(Value::Array(_)) => {
                Err(self.wrong(field, "is a list, but must be a text: write conversations out as text first"))
            }
            Some(other) => {
                let kind = kind(other);
                Err(self.wrong(field, &format!("is {kind}, but must be a text")))
            }
        }
    }

    fn optional_text(&self, field: &'static str) -> DataResult<Option<String>> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.wrong(field, &format!("is {}, but must be a text", kind(other)))),
        }
    }

    fn margin(&self) -> DataResult<f32> {
        let Some(value) = self.get("margin") else { return Ok(0.0) };
        let number = value.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
        number.ok_or_else(|| self.wrong("margin", &format!("is {}, but must be a finite number", kind(value))))
    }

    /// The pair that the row holds. `ordinal` takes the place of an `id` that is missing or no whole number;
    /// `split` is what the file's name tells.
    ///
    /// # Errors
    /// The first field that is missing or of a wrong type.
    pub fn into_pair(mut self, ordinal: i64, split: Option<&str>) -> DataResult<Pair> {
        Ok(Pair {
            id: self.get("id").and_then(Value::as_i64).unwrap_or(ordinal),
            margin: self.margin()?,
            repository: self.optional_text("repository")?.unwrap_or_default(),
            split: self.optional_text("split")?.or_else(|| split.map(str::to_owned)),
            prompt: self.take_text("prompt")?,
            chosen: self.take_text("chosen")?,
            rejected: self.take_text("rejected")?,
        })
    }

    pub(super) fn wrong(&self, field: &'static str, problem: &str) -> DataError {
        DataError::Field { place: self.place.clone(), field, problem: problem.to_owned() }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

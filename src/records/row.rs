//! One record of a file, and its fields as the types that they must have.

use serde_json::{Map, Value};

use super::error::{Place, RecordError, RecordResult};

/// A record as read.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where it stands.
    pub place: Place,
    /// Its fields.
    pub fields: Map<String, Value>,
}

impl Row {
    /// The field; `null` counts as missing.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    /// Whether all these fields are there.
    pub fn has(&self, fields: &[&str]) -> bool {
        fields.iter().all(|field| self.get(field).is_some())
    }

    /// A text.
    pub fn text(&self, field: &str) -> RecordResult<String> {
        match self.get(field) {
            Some(value) => self.text_of(field, value),
            None => Err(self.missing(field, "a text")),
        }
    }

    /// A text, or none.
    pub fn optional_text(&self, field: &str) -> RecordResult<Option<String>> {
        self.get(field).map(|value| self.text_of(field, value)).transpose()
    }

    /// A text or a whole number, as text: identifiers are either.
    pub fn name(&self, field: &str) -> RecordResult<String> {
        match self.get(field) {
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(value) => self.text_of(field, value),
            None => Err(self.missing(field, "a text or a number")),
        }
    }

    /// A whole number from 0 on.
    pub fn whole(&self, field: &str) -> RecordResult<usize> {
        let value = self.get(field).ok_or_else(|| self.missing(field, "a whole number"))?;
        let number =
            value.as_u64().or_else(|| value.as_f64().filter(|n| n.fract() == 0.0 && *n >= 0.0).map(|n| n as u64));
        number.map(|n| n as usize).ok_or_else(|| self.wrong(field, format!("is {value}, but must be a whole number")))
    }

    /// A list.
    pub fn list(&self, field: &str) -> RecordResult<&[Value]> {
        match self.get(field) {
            Some(Value::Array(list)) => Ok(list),
            Some(other) => Err(self.wrong(field, format!("is {}, but must be a list", kind(other)))),
            None => Err(self.missing(field, "a list")),
        }
    }

    /// A list of texts.
    pub fn texts(&self, field: &str) -> RecordResult<Vec<String>> {
        let list = self.list(field)?.iter().enumerate();
        list.map(|(at, value)| self.text_of(&format!("{field}[{at}]"), value)).collect()
    }

    /// A list of texts that is not empty.
    pub fn some_texts(&self, field: &str) -> RecordResult<Vec<String>> {
        let texts = self.texts(field)?;
        if texts.is_empty() { Err(self.wrong(field, "is empty".to_owned())) } else { Ok(texts) }
    }

    /// The text that `value`, found at `field`, is.
    pub fn text_of(&self, field: &str, value: &Value) -> RecordResult<String> {
        match value {
            Value::String(text) => Ok(text.clone()),
            Value::Array(_) => {
                let problem = "is a list, but must be a text: write conversations out as text first";
                Err(self.wrong(field, problem.to_owned()))
            }
            other => Err(self.wrong(field, format!("is {}, but must be a text", kind(other)))),
        }
    }

    /// An error at a field.
    pub fn wrong(&self, field: &str, problem: String) -> RecordError {
        RecordError::Field { place: self.place.clone(), field: field.to_owned(), problem }
    }

    /// The error of a field that is not there.
    pub fn missing(&self, field: &str, what: &str) -> RecordError {
        self.wrong(field, format!("is missing; it must be {what}"))
    }
}

/// The kind of a value, in words.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

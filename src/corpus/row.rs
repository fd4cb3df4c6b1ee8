//! One JSONL row: the fields that are wanted, taken out without building the others.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::JsonlFields;
use super::select::printable;

/// The fields of a row.
#[derive(Default)]
pub(super) struct Row {
    pub(super) content: String,
    pub(super) repository: Option<String>,
    pub(super) path: Option<String>,
    pub(super) revision: Option<String>,
    pub(super) licence: Option<String>,
}

/// Reads one line.
///
/// # Errors
/// What is wrong with it, with the column where the JSON is broken.
pub(super) fn parse(line: &[u8], fields: &JsonlFields) -> Result<Row, String> {
    let mut json = serde_json::Deserializer::from_slice(line);
    // The line's number is told already; serde_json would say `line 1`.
    let said = |error: serde_json::Error| {
        let text = error.to_string();
        let cut = text.rfind(" at line 1 column ").unwrap_or(text.len());
        format!("{} (column {})", &text[..cut], error.column())
    };
    let row = json.deserialize_map(RowVisitor(fields)).map_err(said)?;
    json.end().map_err(said)?;
    row
}

/// Takes the wanted fields out of an object and passes over the others without building them.
struct RowVisitor<'a>(&'a JsonlFields);

impl<'de> Visitor<'de> for RowVisitor<'_> {
    type Value = Result<Row, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let fields = self.0;
        let mut row = Row::default();
        let mut content = None;
        while let Some(key) = map.next_key::<String>()? {
            let filled = |value: Option<Vec<String>>| {
                let joined = value.map(|parts| printable(&parts.join(" AND ")));
                joined.filter(|value| !value.trim().is_empty())
            };
            if key == fields.content {
                content = Some(map.next_value()?);
            } else if key == fields.repository {
                row.repository = filled(map.next_value_seed(Texts)?);
            } else if key == fields.path {
                row.path = map.next_value_seed(Texts)?.map(|parts| parts.concat());
            } else if key == fields.revision {
                row.revision = filled(map.next_value_seed(Texts)?);
            } else if key == fields.licence {
                row.licence = filled(map.next_value_seed(Texts)?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        match content {
            Some(content) => row.content = content,
            None => return Ok(Err(format!("the row has no field `{}`", fields.content))),
        }
        Ok(Ok(row))
    }
}

/// A string, a list of strings, or something else, which counts as nothing.
struct Texts;

impl<'de> DeserializeSeed<'de> for Texts {
    type Value = Option<Vec<String>>;

    fn deserialize<D: serde::Deserializer<'de>>(self, value: D) -> Result<Self::Value, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Texts {
    type Value = Option<Vec<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(vec![text.to_owned()]))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Some(vec![text]))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
        let mut texts = Vec::new();
        while let Some(part) = list.next_element_seed(Texts)? {
            texts.extend(part.unwrap_or_default());
        }
        Ok(Some(texts).filter(|texts| !texts.is_empty()))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(vec![number.to_string()]))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(vec![number.to_string()]))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(vec![number.to_string()]))
    }
}

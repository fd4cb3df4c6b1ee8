//! Evaluation sets as files: the texts of their items.

use std::path::Path;

use serde_json::{Map, Value};

use crate::stages::WrongInput;
use crate::train::data::DataError;
use crate::train::data::files::{files, rows};

/// Fields that tell which item a row is, the first that is there.
const IDS: [&str; 6] = ["id", "task_id", "unique_id", "question_id", "idx", "index"];

/// A text of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemText {
    /// The item: its identifier, else its line.
    pub item: String,
    /// The field that the text stands in.
    pub field: String,
    /// The text.
    pub text: String,
}

/// A set that was read.
#[derive(Clone, Debug, Default)]
pub struct ItemTexts {
    /// Number of items.
    pub items: u64,
    /// Their texts, in the order of the file.
    pub texts: Vec<ItemText>,
}

/// Reads the texts of `fields` of a `.jsonl` (`.gz`, `.zst`), `.json` or `.parquet` file, or of a folder of them other than
/// `.json`; of all fields if none is named.
/// Texts inside of lists and objects count to the field around them.
///
/// # Errors
/// [`WrongInput`] for a file that cannot be read, a row without one of `fields`, or a set without any text.
pub fn read_set(path: &Path, fields: &[String]) -> Result<ItemTexts, WrongInput> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let mut read = ItemTexts::default();
    if ending == "json" {
        for (line, row) in (1..).zip(json_rows(path)?) {
            take(&mut read, path, line, &row, fields)?;
        }
    } else {
        let wrong = |error: DataError| WrongInput(error.to_string());
        let columns: Vec<&str> = fields.iter().map(String::as_str).chain(IDS).collect();
        for file in files(path).map_err(wrong)? {
            if fields.is_empty() && file.extension().is_some_and(|ending| ending == "parquet") {
                return Err(WrongInput(format!(
                    "{}: name the columns of a Parquet file with `fields`",
                    file.display()
                )));
            }
            for row in rows(&file, &columns).map_err(wrong)? {
                let row = row.map_err(wrong)?;
                take(&mut read, &file, row.place.line, &row.fields, fields)?;
            }
        }
    }
    if read.texts.is_empty() {
        return Err(WrongInput(format!("{} holds no text to compare pairs with", path.display())));
    }
    Ok(read)
}

/// The objects of a JSON file: a list of them, or a single list inside of an object.
fn json_rows(path: &Path) -> Result<Vec<Map<String, Value>>, WrongInput> {
    let wrong = |what: String| WrongInput(format!("{}: {what}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let whole: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(format!("not JSON: {error}")))?;
    let list = match whole {
        Value::Array(list) => list,
        Value::Object(object) => {
            let mut lists: Vec<_> = object.into_iter().filter_map(|(_, value)| as_list(value)).collect();
            match lists.len() {
                1 => lists.remove(0),
                many => return Err(wrong(format!("an object with {many} lists of items; there must be one"))),
            }
        }
        _ => return Err(wrong("neither a list of items nor an object that has one".into())),
    };
    let object = |(at, value)| match value {
        Value::Object(object) => Ok(object),
        _ => Err(wrong(format!("item {} is no object", at + 1))),
    };
    list.into_iter().enumerate().map(object).collect()
}

fn as_list(value: Value) -> Option<Vec<Value>> {
    if let Value::Array(list) = value { Some(list) } else { None }
}

fn take(
    read: &mut ItemTexts,
    path: &Path,
    line: u64,
    row: &Map<String, Value>,
    fields: &[String],
) -> Result<(), WrongInput> {
    let id = IDS.iter().find_map(|id| match row.get(*id) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    });
    let item = id.unwrap_or_else(|| format!("line {line}"));
    read.items += 1;
    let mut keep = |field: &str, value: &Value| {
        let before = read.texts.len();
        texts(value, &mut |text| {
            read.texts.push(ItemText { item: item.clone(), field: field.to_owned(), text: text.to_owned() });
        });
        read.texts.len() > before
    };
    if fields.is_empty() {
        row.iter().filter(|(field, _)| !IDS.contains(&field.as_str())).for_each(|(field, value)| {
            keep(field, value);
        });
        return Ok(());
    }
    for field in fields {
        if !row.get(field).is_some_and(|value| keep(field, value)) {
            let known = row.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let place = format!("{}:{line}", path.display());
            return Err(WrongInput(format!("{place}: field `{field}` holds no text; fields are: {known}")));
        }
    }
    Ok(())
}

fn texts(value: &Value, each: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(values) => values.iter().for_each(|value| texts(value, each)),
        Value::Object(object) => object.values().for_each(|value| texts(value, each)),
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(name: &str, content: &str, fields: &[&str]) -> Result<ItemTexts, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let fields: Vec<String> = fields.iter().map(|&field| field.to_owned()).collect();
        read_set(&path, &fields).map_err(|error| error.to_string())
    }

    fn all(read: &ItemTexts) -> Vec<(&str, &str, &str)> {
        read.texts.iter().map(|text| (text.item.as_str(), text.field.as_str(), text.text.as_str())).collect()
    }

    #[test]
    fn texts_of_named_fields_are_read_with_their_item() {
        let lines = "{\"task_id\":\"H/0\",\"prompt\":\"p\",\"tests\":[\"a\",\"b\"],\"n\":1}\n\n{\"prompt\":\"q\",\"tests\":[\"c\"]}\n";
        let found = read("set.jsonl", lines, &["tests", "prompt"]).unwrap();
        assert_eq!(found.items, 2);
        let expected = [("H/0", "tests", "a"), ("H/0", "tests", "b"), ("H/0", "prompt", "p")];
        assert_eq!(all(&found)[..3], expected);
        assert_eq!(all(&found)[3..], [("line 3", "tests", "c"), ("line 3", "prompt", "q")]);
    }

    #[test]
    fn every_field_is_read_where_none_is_named_and_json_may_be_a_list_or_hold_one() {
        for whole in [
            "[{\"id\":7,\"q\":\"a\",\"o\":{\"A\":\"b\"}}]",
            "{\"v\":1,\"data\":[{\"id\":7,\"q\":\"a\",\"o\":[\"b\"]}]}",
        ] {
            assert_eq!(all(&read("set.json", whole, &[]).unwrap()), [("7", "q", "a"), ("7", "o", "b")]);
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_place() {
        let wrong = |name, content, fields: &[&str]| read(name, content, fields).unwrap_err();
        let missing = wrong("set.jsonl", "{\"a\":\"x\"}\n{\"b\":\"y\"}\n", &["a"]);
        assert!(missing.contains("set.jsonl:2: field `a` holds no text; fields are: b"), "{missing}");
        assert!(wrong("set.jsonl", "{\"a\":1}\n", &[]).contains("holds no text"));
        assert!(wrong("set.json", "{\"a\":[],\"b\":[]}", &[]).contains("2 lists"));
        assert!(wrong("set.json", "[1]", &[]).contains("item 1 is no object"));
        assert!(wrong("set.parquet", "", &[]).contains("`fields`"));
        assert!(wrong("set.txt", "", &[]).contains(".jsonl"));
    }
}

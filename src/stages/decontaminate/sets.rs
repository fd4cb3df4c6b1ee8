//! Evaluation sets as files: the texts of their items.

use std::path::Path;

use serde_json::{Map, Value};

use crate::benchmark::{self, Format, Texts};
use crate::records::{Place, RecordError, Row, files, rows};
use crate::stages::WrongInput;

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

/// Reads the texts of a file, or of all files below a folder, in any form that benchmarks are published in. With `format`,
/// each row must be as that format says, and its texts are those that it asks with and answers with. `fields` names others;
/// without both, all fields count. Texts inside of lists and objects count to the field around them.
///
/// # Errors
/// [`WrongInput`] for a file that cannot be read, a row that is not as its format says or lacks one of `fields`, or a set
/// without any text.
pub fn read_set(path: &Path, format: Option<Format>, fields: &[String]) -> Result<ItemTexts, WrongInput> {
    let wrong = |error: RecordError| WrongInput(error.to_string());
    let mut read = ItemTexts::default();
    for file in files(path).map_err(wrong)? {
        let mut all = rows(&file, None).map_err(wrong)?;
        let mut unread = Vec::new();
        if format.is_none() && file.extension().is_some_and(|ending| ending == "json") {
            unread = wrapped(all.by_ref().take(2).collect::<Result<_, _>>().map_err(wrong)?)?;
        }
        for row in unread.into_iter().map(Ok).chain(all) {
            take(&mut read, &row.map_err(wrong)?, format, fields)?;
        }
    }
    if read.texts.is_empty() {
        return Err(WrongInput(format!("{} holds no text to compare pairs with", path.display())));
    }
    Ok(read)
}

/// The first rows of a JSON file as they are; where the file is one object around a list of others, those.
fn wrapped(mut first: Vec<Row>) -> Result<Vec<Row>, WrongInput> {
    let [only] = &mut first[..] else { return Ok(first) };
    let is_list = |value: &Value| value.as_array().is_some_and(|list| list.iter().any(Value::is_object));
    let lists: Vec<String> =
        only.fields.iter().filter(|(_, value)| is_list(value)).map(|(name, _)| name.clone()).collect();
    match &lists[..] {
        [] => Ok(first),
        [name] => {
            let inner = only.fields.remove(name).unwrap_or_default();
            let row = |(at, value): (usize, &Value)| match value {
                Value::Object(fields) => {
                    let place = Place { path: only.place.path.clone(), line: at as u64 + 1 };
                    Ok(Row { place, fields: fields.clone() })
                }
                _ => Err(WrongInput(format!("{}: item {} is no object", only.place.path.display(), at + 1))),
            };
            inner.as_array().into_iter().flatten().enumerate().map(row).collect()
        }
        many => Err(WrongInput(format!(
            "{}: an object with {} lists of items ({}); there must be one",
            only.place.path.display(),
            many.len(),
            many.join(", ")
        ))),
    }
}

fn take(read: &mut ItemTexts, row: &Row, format: Option<Format>, fields: &[String]) -> Result<(), WrongInput> {
    let mut known = None;
    if let Some(format) = format {
        let number = read.items as usize;
        known = Some(benchmark::texts(format, row, number).map_err(|error| WrongInput(error.to_string()))?);
    }
    read.items += 1;
    let item = match &known {
        Some(texts) => texts.key.clone(),
        None => identifier(&row.fields).unwrap_or_else(|| format!("line {}", row.place.line)),
    };
    let mut keep = |field: &str, text: &str| {
        read.texts.push(ItemText { item: item.clone(), field: field.to_owned(), text: text.to_owned() });
    };
    if !fields.is_empty() {
        for field in fields {
            let mut any = false;
            benchmark::gather(row.get(field).unwrap_or(&Value::Null), &mut |text| {
                any = true;
                keep(field, text);
            });
            if !any {
                let known = row.fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(WrongInput(format!("{}: field `{field}` holds no text; fields are: {known}", row.place)));
            }
        }
    } else if let Some(Texts { texts, .. }) = &known {
        for (field, text) in texts {
            keep(field, text);
        }
    } else {
        for (field, value) in row.fields.iter().filter(|(field, _)| !IDS.contains(&field.as_str())) {
            benchmark::gather(value, &mut |text| keep(field, text));
        }
    }
    Ok(())
}

fn identifier(row: &Map<String, Value>) -> Option<String> {
    IDS.iter().find_map(|id| match row.get(*id) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    })
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
        read_set(&path, None, &fields).map_err(|error| error.to_string())
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
        assert!(wrong("set.json", "{\"a\":[{}],\"b\":[{}]}", &[]).contains("2 lists of items (a, b)"));
        assert!(wrong("set.json", "{\"a\":[{},5]}", &[]).contains("item 2 is no object"));
        assert!(wrong("set.json", "[1]", &[]).contains("set.json:1: not a JSON object"));
        assert!(wrong("set.parquet", "", &[]).contains("is it a whole Parquet file?"));
        assert!(wrong("set.csv", "", &[]).contains(".jsonl"));
    }

    #[test]
    fn a_format_says_which_texts_count_and_names_items_as_measurements_do() {
        let fixture = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/benchmarks").join(name);
        for format in Format::ALL {
            let name = match format {
                Format::Math => "math-500.jsonl".to_owned(),
                Format::HumanEval => "humaneval.jsonl.gz".to_owned(),
                Format::Reclor => "reclor.json".to_owned(),
                Format::Logiqa2 => "logiqa2.txt".to_owned(),
                other => format!("{other}.jsonl"),
            };
            let path = fixture(&name);
            let found = read_set(&path, Some(*format), &[]).unwrap();
            let items = benchmark::read(&path, Some(*format)).unwrap().items;
            // A pair of Math-Shepherd is of two rows.
            let keys: Vec<_> = if *format == Format::MathShepherd { Vec::new() } else { items };
            for item in keys {
                assert!(found.texts.iter().any(|text| text.item == item.key), "{format}: {}", item.key);
            }
            assert!(found.items > 0 && found.texts.len() as u64 >= found.items, "{format}");
        }
        let broken = "{\"question\": \"q\", \"answer\": \"#### 1\"}\n{\"question\": \"q\", \"answer\": \"1\"}\n";
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.jsonl"), broken).unwrap();
        let said = read_set(&folder.path().join("x.jsonl"), Some(Format::Gsm8k), &[]).unwrap_err().to_string();
        assert!(said.contains("x.jsonl:2: field `answer` has no `#### `"), "{said}");
    }
}

//! `sql`: a question, read-only.

use std::io::{BufWriter, ErrorKind, Write as _, stdout};

use serde_json::{Map, Value};

use super::Exit;
use super::args::{SqlArgs, SqlFormat};
use super::output::outln;
use super::table::{brief, table};
use crate::store::{Store, StoreError};

/// Widest value in a table.
const WIDTH: usize = 60;

/// `codepmp sql`
pub async fn sql(store: &Store, args: &SqlArgs) -> anyhow::Result<Exit> {
    let mut out = BufWriter::new(stdout());
    let mut rows = Vec::new();
    let mut head_written = false;
    let asked = store
        .query(&args.query, |columns, values| {
            match args.format {
                SqlFormat::Table => rows.push(values.iter().map(|value| brief(&plain(value), WIDTH)).collect()),
                SqlFormat::Csv => {
                    if !std::mem::replace(&mut head_written, true) {
                        writeln!(out, "{}", csv(columns.iter().cloned()))?;
                    }
                    writeln!(out, "{}", csv(values.iter().map(plain)))?;
                }
                SqlFormat::Json => {
                    let mut object = Map::new();
                    for (name, value) in columns.iter().zip(values) {
                        object.insert(unused(name, &object), value);
                    }
                    writeln!(out, "{}", Value::Object(object))?;
                }
            }
            Ok(())
        })
        .await;
    let columns = match asked {
        Ok(columns) => columns,
        Err(error @ StoreError::Wrong { .. }) => {
            eprintln!("error: the query is wrong: {error}");
            return Ok(Exit::Wrong);
        }
        // The reader has seen enough.
        Err(StoreError::Query(sqlx::Error::Io(error))) if error.kind() == ErrorKind::BrokenPipe => {
            return Ok(Exit::Done);
        }
        Err(error) => return Err(error.into()),
    };
    match args.format {
        SqlFormat::Table => {
            let head: Vec<&str> = columns.iter().map(String::as_str).collect();
            let count = rows.len();
            outln!("{}({count} rows)", table(&head, rows));
        }
        SqlFormat::Csv if !head_written => writeln!(out, "{}", csv(columns.iter().cloned()))?,
        SqlFormat::Csv | SqlFormat::Json => {}
    }
    if let Err(error) = out.flush()
        && error.kind() != ErrorKind::BrokenPipe
    {
        return Err(error.into());
    }
    Ok(Exit::Done)
}

/// The name of a column, numbered where a column before it has the same one.
fn unused(name: &str, taken: &Map<String, Value>) -> String {
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken.contains_key(name)).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// RFC 4180.
fn csv(values: impl Iterator<Item = String>) -> String {
    let quoted = values.map(|value| {
        if value.contains([',', '"', '\n', '\r']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value }
    });
    quoted.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_quotes_what_would_break_a_row() {
        let values = ["a", "b,c", "say \"hi\"", "two\nlines"].map(str::to_owned);
        assert_eq!(csv(values.into_iter()), "a,\"b,c\",\"say \"\"hi\"\"\",\"two\nlines\"");
    }
}

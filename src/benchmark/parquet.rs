//! Rows of Parquet files, nested values as JSON.

use std::fs::File;

use parquet::errors::ParquetError;
use parquet::file::reader::SerializedFileReader;
use parquet::record::Field;
use parquet::record::reader::RowIter;
use serde_json::{Map, Value, json};

use super::error::{BenchmarkError, BenchmarkResult, Place};
use super::row::Row;

/// The rows of a file.
pub(super) struct ParquetRows {
    rows: RowIter<'static>,
    place: Place,
    ended: bool,
}

impl ParquetRows {
    pub(super) fn open(file: File, place: Place) -> BenchmarkResult<Self> {
        let reader = SerializedFileReader::new(file).map_err(|error| damaged(&place, &error))?;
        let rows = RowIter::from_file_into(Box::new(reader));
        Ok(Self { rows, place: Place { line: 0, ..place }, ended: false })
    }
}

fn damaged(place: &Place, error: &ParquetError) -> BenchmarkError {
    BenchmarkError::Row { place: place.clone(), problem: format!("{error}; is it a whole Parquet file?") }
}

impl Iterator for ParquetRows {
    type Item = BenchmarkResult<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        self.place.line += 1;
        Some(match self.rows.next()? {
            Ok(row) => Ok(Row { place: self.place.clone(), fields: object(row) }),
            Err(error) => {
                self.ended = true;
                Err(damaged(&self.place, &error))
            }
        })
    }
}

fn object(row: parquet::record::Row) -> Map<String, Value> {
    row.into_columns().into_iter().map(|(name, field)| (name, json_of(&field))).collect()
}

/// The value in JSON; dates and times, which no benchmark has, as null.
fn json_of(field: &Field) -> Value {
    match field {
        Field::Bool(value) => json!(value),
        Field::Byte(value) => json!(value),
        Field::Short(value) => json!(value),
        Field::Int(value) => json!(value),
        Field::Long(value) => json!(value),
        Field::UByte(value) => json!(value),
        Field::UShort(value) => json!(value),
        Field::UInt(value) => json!(value),
        Field::ULong(value) => json!(value),
        Field::Float16(value) => json!(f32::from(*value)),
        Field::Float(value) => json!(value),
        Field::Double(value) => json!(value),
        Field::Str(text) => json!(text),
        // Writers without logical types leave texts as bytes.
        Field::Bytes(bytes) => bytes.as_utf8().map_or(Value::Null, |text| json!(text)),
        Field::Group(row) => object(row.clone()).into(),
        Field::ListInternal(list) => list.elements().iter().map(json_of).collect(),
        Field::MapInternal(map) => (map.entries().iter())
            .filter_map(|(key, value)| match json_of(key) {
                Value::String(key) => Some((key, json_of(value))),
                _ => None,
            })
            .collect::<Map<_, _>>()
            .into(),
        _ => Value::Null,
    }
}

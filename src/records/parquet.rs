//! Rows of Parquet files through the row reader alone, nested values as JSON.

use std::fs::File;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;
use serde_json::{Map, Value, json};

use super::error::{Place, RecordError, RecordResult};
use super::row::Row;

/// The rows of a file.
pub(super) struct ParquetRows {
    rows: RowIter<'static>,
    place: Place,
    ended: bool,
}

impl ParquetRows {
    /// Begins to read all columns, or those of `columns` that the file has.
    pub(super) fn open(file: File, place: Place, columns: Option<&[&str]>) -> RecordResult<Self> {
        let rows = read(file, columns).map_err(|error| damaged(&place, &error))?;
        Ok(Self { rows, place: Place { line: 0, ..place }, ended: false })
    }
}

fn read(file: File, columns: Option<&[&str]>) -> Result<RowIter<'static>, ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let root = reader.metadata().file_metadata().schema();
    let wanted = |field: &&Arc<Type>| columns.is_none_or(|columns| columns.contains(&field.name()));
    let fields = root.get_fields().iter().filter(wanted).map(Arc::clone).collect();
    let projection = Type::group_type_builder(root.name()).with_fields(fields).build()?;
    RowIter::from_file_into(Box::new(reader)).project(Some(projection))
}

fn damaged(place: &Place, error: &ParquetError) -> RecordError {
    RecordError::Row { place: place.clone(), problem: format!("{error}; is it a whole Parquet file?") }
}

impl Iterator for ParquetRows {
    type Item = RecordResult<Row>;

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

/// The value in JSON; dates, times and decimals as their text.
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
        // Writers without logical types leave texts as bytes; bytes that are none stay a list, so that it is told.
        Field::Bytes(bytes) => bytes.as_utf8().map_or_else(|_| json!(bytes.data()), |text| json!(text)),
        Field::Group(row) => object(row.clone()).into(),
        Field::ListInternal(list) => list.elements().iter().map(json_of).collect(),
        Field::MapInternal(map) => (map.entries().iter())
            .filter_map(|(key, value)| match json_of(key) {
                Value::String(key) => Some((key, json_of(value))),
                _ => None,
            })
            .collect::<Map<_, _>>()
            .into(),
        Field::Null => Value::Null,
        other => json!(other.to_string()),
    }
}

//! Rows of Parquet files, through the row reader alone.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;
use serde_json::{Map, Value, json};

use super::error::{DataError, DataResult, Place};
use super::pair::Row;

/// The rows of a file, of the columns that were asked for.
pub(super) struct ParquetRows {
    rows: RowIter<'static>,
    place: Place,
    ended: bool,
}

impl ParquetRows {
    /// Opens a file to read those of `columns` that it has.
    pub(super) fn open(path: &Path, columns: &[&str]) -> DataResult<Self> {
        let file = File::open(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        let place = Place { path: path.to_owned(), line: 0 };
        let rows = read(file, columns).map_err(|error| damaged(&place, &error))?;
        Ok(Self { rows, place, ended: false })
    }
}

fn read(file: File, columns: &[&str]) -> Result<RowIter<'static>, ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let root = reader.metadata().file_metadata().schema();
    let fields = root.get_fields().iter().filter(|field| columns.contains(&field.name())).map(Arc::clone).collect();
    let projection = Type::group_type_builder(root.name()).with_fields(fields).build()?;
    RowIter::from_file_into(Box::new(reader)).project(Some(projection))
}

fn damaged(place: &Place, error: &ParquetError) -> DataError {
    DataError::Row { place: place.clone(), problem: format!("{error}; is it a whole Parquet file?") }
}

impl Iterator for ParquetRows {
    type Item = DataResult<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        self.place.line += 1;
        Some(match self.rows.next()? {
            Ok(row) => {
                let fields: Map<String, Value> =
                    row.into_columns().into_iter().map(|(name, field)| (name, json_of(field))).collect();
                Ok(Row { place: self.place.clone(), fields })
            }
            Err(error) => {
                self.ended = true;
                Err(damaged(&self.place, &error))
            }
        })
    }
}

/// The value in JSON; nested values and dates, which no field here may be, as what tells their kind.
fn json_of(field: Field) -> Value {
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
        Field::Float16(value) => json!(f32::from(value)),
        Field::Float(value) => json!(value),
        Field::Double(value) => json!(value),
        Field::Str(text) => Value::String(text),
        // Writers without logical types leave texts as bytes.
        Field::Bytes(bytes) => {
            bytes.as_utf8().map_or_else(|_| Value::Array(Vec::new()), |text| Value::String(text.to_owned()))
        }
        Field::ListInternal(_) => Value::Array(Vec::new()),
        Field::Null => Value::Null,
        _ => Value::Object(Map::new()),
    }
}

//! Rows as a Parquet file, through the column writer alone.

use std::fs::File;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, FloatType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde::Serialize;

use crate::store::export::PairRow;

/// Rows that can be written to a Parquet file.
pub trait Columns: Serialize + Sized {
    /// The columns, in order.
    const SCHEMA: &'static str;

    /// Writes rows, column by column in the order of the schema.
    fn write(group: &mut Group<'_>, rows: &[Self]) -> anyhow::Result<()>;
}

impl Columns for PairRow {
    const SCHEMA: &'static str = "message pairs {
    REQUIRED INT64 id;
    REQUIRED BYTE_ARRAY prompt (UTF8);
    REQUIRED BYTE_ARRAY chosen (UTF8);
    REQUIRED BYTE_ARRAY rejected (UTF8);
    REQUIRED BYTE_ARRAY split (UTF8);
    OPTIONAL BYTE_ARRAY chosen_model (UTF8);
    OPTIONAL BYTE_ARRAY rejected_model (UTF8);
    OPTIONAL BYTE_ARRAY description_model (UTF8);
    REQUIRED BOOLEAN chosen_valid;
    REQUIRED BOOLEAN rejected_valid;
    REQUIRED FLOAT length_ratio;
    REQUIRED FLOAT similarity;
    REQUIRED BYTE_ARRAY repository (UTF8);
    OPTIONAL BYTE_ARRAY revision (UTF8);
    REQUIRED BYTE_ARRAY path (UTF8);
    OPTIONAL BYTE_ARRAY licence (UTF8);
    REQUIRED BYTE_ARRAY unit (UTF8);
    REQUIRED BYTE_ARRAY qualified_name (UTF8);
    REQUIRED INT32 start_line;
    REQUIRED INT32 end_line;
    REQUIRED INT32 sample;
    REQUIRED INT64 description_id;
    REQUIRED INT64 chosen_id;
    REQUIRED INT64 rejected_id;
    REQUIRED INT64 snippet_id;
    REQUIRED INT64 document_id;
}";

    fn write(group: &mut Group<'_>, rows: &[Self]) -> anyhow::Result<()> {
        long(group, rows, |row| row.id.0)?;
        text(group, rows, |row| &row.prompt)?;
        text(group, rows, |row| &row.chosen)?;
        text(group, rows, |row| &row.rejected)?;
        text(group, rows, |row| &row.split)?;
        optional(group, rows, |row| row.chosen_model.as_deref())?;
        optional(group, rows, |row| row.rejected_model.as_deref())?;
        optional(group, rows, |row| row.description_model.as_deref())?;
        column::<BoolType>(group, &rows.iter().map(|row| row.chosen_valid).collect::<Vec<_>>(), None)?;
        column::<BoolType>(group, &rows.iter().map(|row| row.rejected_valid).collect::<Vec<_>>(), None)?;
        column::<FloatType>(group, &rows.iter().map(|row| row.length_ratio).collect::<Vec<_>>(), None)?;
        column::<FloatType>(group, &rows.iter().map(|row| row.similarity).collect::<Vec<_>>(), None)?;
        text(group, rows, |row| &row.repository)?;
        optional(group, rows, |row| row.revision.as_deref())?;
        text(group, rows, |row| &row.path)?;
        optional(group, rows, |row| row.licence.as_deref())?;
        text(group, rows, |row| &row.unit)?;
        text(group, rows, |row| &row.qualified_name)?;
        let columns: [fn(&PairRow) -> i32; 3] = [|row| row.start_line, |row| row.end_line, |row| row.sample];
        for of in columns {
            column::<Int32Type>(group, &rows.iter().map(of).collect::<Vec<_>>(), None)?;
        }
        long(group, rows, |row| row.description_id)?;
        long(group, rows, |row| row.chosen_id)?;
        long(group, rows, |row| row.rejected_id)?;
        long(group, rows, |row| row.snippet_id)?;
        long(group, rows, |row| row.document_id)
    }
}

/// Rows in a row group: bounds what is held in memory.
const GROUP: usize = 10_000;

/// A file being written.
pub struct ParquetFile<R> {
    writer: SerializedFileWriter<File>,
    rows: Vec<R>,
}

/// A part of a file being written.
pub type Group<'f> = SerializedRowGroupWriter<'f, File>;

impl<R: Columns> ParquetFile<R> {
    /// Begins a file.
    pub fn create(file: File) -> anyhow::Result<Self> {
        let schema = Arc::new(parse_message_type(R::SCHEMA)?);
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        Ok(Self { writer: SerializedFileWriter::new(file, schema, Arc::new(properties))?, rows: Vec::new() })
    }

    /// Adds a row.
    pub fn push(&mut self, row: R) -> anyhow::Result<()> {
        self.rows.push(row);
        if self.rows.len() >= GROUP { self.flush() } else { Ok(()) }
    }

    /// Ends the file.
    pub fn finish(mut self) -> anyhow::Result<File> {
        self.flush()?;
        Ok(self.writer.into_inner()?)
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.rows);
        let mut group = self.writer.next_row_group()?;
        R::write(&mut group, &rows)?;
        group.close()?;
        Ok(())
    }
}

fn column<T: parquet::data_type::DataType>(
    group: &mut Group<'_>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> anyhow::Result<()> {
    let mut writer = group.next_column()?.ok_or_else(|| anyhow::anyhow!("a bug: more columns than the schema has"))?;
    writer.typed::<T>().write_batch(values, levels, None)?;
    writer.close()?;
    Ok(())
}

/// A column of numbers.
pub fn long<R>(group: &mut Group<'_>, rows: &[R], of: impl Fn(&R) -> i64) -> anyhow::Result<()> {
    column::<Int64Type>(group, &rows.iter().map(of).collect::<Vec<_>>(), None)
}

/// A column of numbers that may be missing.
pub fn optional_long<R>(group: &mut Group<'_>, rows: &[R], of: impl Fn(&R) -> Option<i64>) -> anyhow::Result<()> {
    let levels: Vec<i16> = rows.iter().map(|row| i16::from(of(row).is_some())).collect();
    column::<Int64Type>(group, &rows.iter().filter_map(of).collect::<Vec<_>>(), Some(&levels))
}

/// A column of texts.
pub fn text<R>(group: &mut Group<'_>, rows: &[R], of: impl Fn(&R) -> &str) -> anyhow::Result<()> {
    column::<ByteArrayType>(group, &rows.iter().map(|row| ByteArray::from(of(row))).collect::<Vec<_>>(), None)
}

fn optional<R>(group: &mut Group<'_>, rows: &[R], of: impl Fn(&R) -> Option<&str>) -> anyhow::Result<()> {
    let levels: Vec<i16> = rows.iter().map(|row| i16::from(of(row).is_some())).collect();
    let values: Vec<_> = rows.iter().filter_map(of).map(ByteArray::from).collect();
    column::<ByteArrayType>(group, &values, Some(&levels))
}

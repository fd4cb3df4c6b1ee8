//! A file of rows being written: it takes its name when it is whole.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::ExportFormat;
use super::parquet::{Columns, ParquetFile};

/// Rows on their way into a file.
pub struct Sink<R> {
    path: PathBuf,
    partial: PathBuf,
    form: Form<R>,
}

enum Form<R> {
    Jsonl(BufWriter<File>),
    JsonlZst(zstd::Encoder<'static, BufWriter<File>>),
    Parquet(Box<ParquetFile<R>>),
}

impl<R: Columns> Sink<R> {
    /// Begins the file that is to be at `path`.
    ///
    /// # Errors
    /// When its folder cannot be written.
    pub fn create(format: ExportFormat, path: &Path) -> anyhow::Result<Self> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial)?;
        let form = match format {
            ExportFormat::Jsonl => Form::Jsonl(BufWriter::new(file)),
            ExportFormat::JsonlZst => Form::JsonlZst(zstd::Encoder::new(BufWriter::new(file), 0)?),
            ExportFormat::Parquet => Form::Parquet(Box::new(ParquetFile::create(file)?)),
        };
        Ok(Self { path: path.to_owned(), partial, form })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn write(&mut self, row: R) -> anyhow::Result<()> {
        let line = |row: &R| {
            serde_json::to_vec(row).map(|mut line| {
                line.push(b'\n');
                line
            })
        };
        match &mut self.form {
            Form::Jsonl(file) => file.write_all(&line(&row)?)?,
            Form::JsonlZst(file) => file.write_all(&line(&row)?)?,
            Form::Parquet(file) => file.push(row)?,
        }
        Ok(())
    }

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// When the disk fails; what was there under that name stays.
    pub fn finish(self) -> anyhow::Result<()> {
        let whole = |file: BufWriter<File>| file.into_inner().map_err(std::io::IntoInnerError::into_error);
        let file = match self.form {
            Form::Jsonl(file) => whole(file)?,
            Form::JsonlZst(file) => whole(file.finish()?)?,
            Form::Parquet(file) => file.finish()?,
        };
        file.sync_all()?;
        std::fs::rename(&self.partial, &self.path)?;
        Ok(())
    }
}

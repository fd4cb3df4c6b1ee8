//! Rows for `COPY ... FROM STDIN (FORMAT binary)`, the fastest way into a table.
//!
//! Format: PostgreSQL documentation, "COPY", section "Binary Format".

use sqlx::PgConnection;
use sqlx::postgres::PgCopyIn;

/// Encoded bytes that are sent together: few enough that they are still in the processor's cache when they are.
const SEND_BYTES: usize = 64 << 10;

/// A `COPY` that is under way: rows are sent while later ones are encoded.
pub struct Copying<'c> {
    sink: PgCopyIn<&'c mut PgConnection>,
    row: Row,
}

impl<'c> Copying<'c> {
    /// Starts a `COPY` into `target`, e.g. `documents (id, path)`.
    ///
    /// # Errors
    /// As the server says.
    pub async fn into(connection: &'c mut PgConnection, target: &str) -> sqlx::Result<Self> {
        let columns = target.split(',').count() as i16;
        let sink = connection.copy_in_raw(&format!("copy {target} from stdin (format binary)")).await?;
        let mut buffer = Vec::with_capacity(2 * SEND_BYTES);
        buffer.extend(b"PGCOPY\n\xff\r\n\0");
        buffer.extend([0; 8]); // flags, length of the header extension
        Ok(Self { sink, row: Row { buffer, columns } })
    }

    /// Adds a row: `fill` gives as many fields as there are columns, in their order.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn row(&mut self, fill: impl FnOnce(&mut Row)) -> sqlx::Result<()> {
        let Row { buffer, columns } = &mut self.row;
        buffer.extend(columns.to_be_bytes());
        fill(&mut self.row);
        if self.row.buffer.len() >= SEND_BYTES {
            self.sink.send(self.row.buffer.as_slice()).await?;
            self.row.buffer.clear();
        }
        Ok(())
    }

    /// Sends what is left and ends the `COPY`.
    ///
    /// # Errors
    /// As the server says.
    pub async fn finish(mut self) -> sqlx::Result<()> {
        self.row.buffer.extend((-1_i16).to_be_bytes());
        self.sink.send(self.row.buffer.as_slice()).await?;
        self.sink.finish().await.map(drop)
    }
}

/// Encodes the fields of rows.
pub struct Row {
    buffer: Vec<u8>,
    columns: i16,
}

impl Row {
    fn field(&mut self, bytes: &[u8]) -> &mut Self {
        self.buffer.extend((bytes.len() as i32).to_be_bytes());
        self.buffer.extend_from_slice(bytes);
        self
    }

    /// NULL.
    pub fn null(&mut self) -> &mut Self {
        self.buffer.extend((-1_i32).to_be_bytes());
        self
    }

    /// `bigint`
    pub fn int8(&mut self, value: i64) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    /// `integer`
    pub fn int4(&mut self, value: i32) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    /// `real`
    pub fn float4(&mut self, value: f32) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    /// `text`
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.field(value.as_bytes())
    }

    /// `text` that may be NULL
    pub fn optional(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    /// `bytea`
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.field(value)
    }

    /// `text[]`
    pub fn texts(&mut self, values: &[String]) -> &mut Self {
        const TEXT_OID: i32 = 25;
        let mut array = Vec::new();
        let dimensions = i32::from(!values.is_empty());
        for header in [dimensions, 0, TEXT_OID] {
            array.extend(header.to_be_bytes());
        }
        if !values.is_empty() {
            array.extend((values.len() as i32).to_be_bytes());
            array.extend(1_i32.to_be_bytes()); // lower bound
        }
        for value in values {
            array.extend((value.len() as i32).to_be_bytes());
            array.extend(value.as_bytes());
        }
        self.field(&array)
    }
}

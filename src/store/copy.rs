//! Rows for `COPY ... FROM STDIN (FORMAT binary)`, the fastest way into a table.
//!
//! Format: PostgreSQL documentation, "COPY", section "Binary Format".

use sqlx::PgConnection;

/// Encodes rows; fields follow in the order of the column list.
pub struct BinaryCopy {
    buffer: Vec<u8>,
    columns: i16,
    rows: u64,
}

impl BinaryCopy {
    /// Rows of `columns` fields each.
    pub fn new(columns: i16) -> Self {
        let mut buffer = b"PGCOPY\n\xff\r\n\0".to_vec();
        buffer.extend([0; 8]); // flags, length of the header extension
        Self { buffer, columns, rows: 0 }
    }

    /// Starts a row; exactly as many fields as columns must follow.
    pub fn row(&mut self) -> &mut Self {
        self.rows += 1;
        self.buffer.extend(self.columns.to_be_bytes());
        self
    }

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

    /// Whether no row was added.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Sends the rows to `target`, e.g. `documents (id, path)`.
    ///
    /// # Errors
    /// As the server says.
    pub async fn send(self, connection: &mut PgConnection, target: &str) -> sqlx::Result<u64> {
        if self.is_empty() {
            return Ok(0);
        }
        let Self { mut buffer, .. } = self;
        buffer.extend((-1_i16).to_be_bytes());
        let statement = format!("copy {target} from stdin (format binary)");
        let mut copy = connection.copy_in_raw(&statement).await?;
        copy.send(buffer).await?;
        copy.finish().await
    }
}

//! Rows that made nothing, counted.

use serde::Serialize;

use super::items::LeftOut;

/// Rows that made nothing, by reason, in the order in which the reasons were met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Reasons(pub Vec<Reason>);

/// Why rows made nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Why.
    pub reason: String,
    /// How many.
    pub rows: u64,
    /// File and line of the first.
    pub first: String,
}

impl Reasons {
    /// Counts a row.
    pub fn add(&mut self, row: &LeftOut) {
        match self.0.iter_mut().find(|known| known.reason == row.reason) {
            Some(known) => known.rows += 1,
            None => self.0.push(Reason { reason: row.reason.to_owned(), rows: 1, first: row.place.to_string() }),
        }
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        self.0.iter().map(|reason| reason.rows).sum()
    }

    /// A line for each reason.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let line =
            |Reason { reason, rows, first }: &Reason| format!("left out: {rows} rows ({reason}), the first {first}");
        self.0.iter().map(line)
    }
}

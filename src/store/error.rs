//! What can go wrong with the database.

use super::pool::DatabaseError;
use crate::config::Position;

/// Result of a store operation.
pub type StoreResult<T> = Result<T, StoreError>;

/// A failure of the database, or of what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The server, or the way to it.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A query that was not retried, as the server or the connection says.
    #[error("the database failed: {0}")]
    Query(#[from] sqlx::Error),
    /// A query from outside is wrong.
    #[error("{}{error}", place(*.position))]
    Wrong {
        /// What the server says.
        error: sqlx::Error,
        /// Where in the query, if the server says.
        position: Option<Position>,
    },
    /// Another process committed what this one was about to.
    #[error("another process has worked on the same stage; nothing was lost, run again")]
    Overtaken,
    /// No such row.
    #[error("there is no {what} {id}")]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// Its identifier.
        id: String,
    },
}

fn place(position: Option<Position>) -> String {
    position.map(|Position { line, column }| format!("at line {line}, column {column}: ")).unwrap_or_default()
}

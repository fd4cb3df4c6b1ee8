//! What can go wrong with the database.

use super::pool::DatabaseError;

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

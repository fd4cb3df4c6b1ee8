//! What can go wrong with the database.

/// Result of a store operation.
pub type StoreResult<T> = Result<T, StoreError>;

/// A failure of the database, or of what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// As the server or the connection says.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// Another process committed what this one was about to.
    #[error("another process has worked on the same stage; nothing was lost, run again")]
    Overtaken,
    /// The server has no room left.
    #[error("the database server's disk is full: make room, then run again; nothing that was committed is lost ({0})")]
    DiskFull(String),
    /// No such row.
    #[error("there is no {what} {id}")]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// Its identifier.
        id: String,
    },
}

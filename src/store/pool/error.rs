//! What can go wrong with a database: what, where, and what to do next. Never shows a password.

use sqlx::postgres::PgConnectOptions;

use crate::store::local::ClusterError;
use crate::store::migrate::MigrationError;

use super::reconnect::{Class, class};

/// A failure to reach a database or to work with it.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The embedded cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The migrations.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// The URL cannot be read.
    #[error("the database url is not valid ({reason}): expected postgres://user:password@host:port/database")]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// No server answers.
    #[error("no postgres server answers at {place}: {reason}; start it, or correct {}", crate::env::DATABASE_URL)]
    NoServer {
        /// Host, port and database.
        place: String,
        /// What came instead of an answer.
        reason: String,
    },
    /// The server does not let the user in.
    #[error("postgres at {place} does not accept user `{user}`: {reason}; correct {}", crate::env::DATABASE_URL)]
    Refused {
        /// Host, port and database.
        place: String,
        /// The user.
        user: String,
        /// What the server says.
        reason: String,
    },
    /// The server has no such database.
    #[error(
        "postgres at {place} has no database `{database}`: create it (createdb {database}), or correct {}",
        crate::env::DATABASE_URL
    )]
    NoDatabase {
        /// Host, port and database.
        place: String,
        /// The database's name.
        database: String,
    },
    /// The server is too old.
    #[error("postgres at {place} is version {found}, and {minimum} is the minimum: use a newer server")]
    TooOld {
        /// Host, port and database.
        place: String,
        /// The server's major version.
        found: u32,
        /// The oldest that works.
        minimum: u32,
    },
    /// The server went away and did not come back.
    #[error(
        "postgres at {place} has been away for {seconds} s ({source}): bring it back and run again, nothing that was committed is lost"
    )]
    Away {
        /// Host, port and database.
        place: String,
        /// For how long it was tried.
        seconds: u64,
        /// The last failure.
        source: sqlx::Error,
    },
    /// The server's disk is full.
    #[error(
        "the disk of postgres at {place} is full ({source}): free some space and run again, nothing that was committed is lost"
    )]
    DiskFull {
        /// Host, port and database.
        place: String,
        /// What the server says.
        source: sqlx::Error,
    },
    /// Any other failure of a query.
    #[error("postgres at {place} failed: {source}")]
    Query {
        /// Host, port and database.
        place: String,
        /// What the server says.
        source: sqlx::Error,
    },
}

/// A failure to connect, told apart by what cures it.
pub(super) fn explain(error: sqlx::Error, options: &PgConnectOptions) -> DatabaseError {
    let place = place(options);
    let code = error.as_database_error().and_then(|e| e.code().map(String::from));
    match code.as_deref() {
        Some("28P01" | "28000") => {
            DatabaseError::Refused { place, user: options.get_username().to_owned(), reason: error.to_string() }
        }
        Some("3D000") => DatabaseError::NoDatabase {
            place,
            database: options.get_database().unwrap_or(options.get_username()).to_owned(),
        },
        _ => match class(&error) {
            Class::Away => DatabaseError::NoServer { place, reason: error.to_string() },
            Class::DiskFull => DatabaseError::DiskFull { place, source: error },
            Class::Final => DatabaseError::Query { place, source: error },
        },
    }
}

/// Where a database is, without the password.
pub(super) fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    let (host, port) = (options.get_host(), options.get_port());
    match options.get_socket() {
        Some(socket) => format!("{}/{database}", socket.display()),
        None => format!("{host}:{port}/{database}"),
    }
}

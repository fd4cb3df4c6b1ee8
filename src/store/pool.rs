//! Connections: to the server that the user names, or else to the embedded cluster; and what to do when the server
//! goes away in the middle of the work. Messages never show a password.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::local::{self, Cluster, ClusterError, Durability, MINIMUM_MAJOR};
use super::migrate::{MigrationError, migrate};
use super::reconnect::{Class, Reconnect, class};

/// Connections of one process, so that a dozen processes stay below the server's usual limit of 100.
pub const MAX_CONNECTIONS: u32 = 8;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that were used more lately are taken to be alive; asking each time would cost a round trip.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

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

/// A database with the program's tables in it. Clones share the connections.
#[derive(Clone)]
pub struct Database {
    /// The connections.
    pub pool: PgPool,
    /// The cluster that serves them, if it is the embedded one.
    pub cluster: Option<Arc<Cluster>>,
    /// The database's URL, password included.
    pub url: SecretString,
    reconnect: Reconnect,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Database({})", place(&self.pool.connect_options()))
    }
}

impl Database {
    /// A database that is there and migrated.
    pub(super) fn new(pool: PgPool, cluster: Option<Arc<Cluster>>, url: SecretString) -> Self {
        let place = place(&pool.connect_options());
        let reconnect = Reconnect::new(place, cluster.clone());
        Self { pool, cluster, url, reconnect }
    }

    /// Runs `operation`, and runs it again for up to five minutes while the server is away; the embedded server is
    /// started again. An operation whose commit went out before the connection broke is run again too, so it must
    /// come to the same end twice.
    ///
    /// # Errors
    /// `Away` after five minutes, `DiskFull`, `Cluster` if the embedded server cannot run, and `Query` for all
    /// errors that another try would meet again.
    pub async fn retrying<T, Run, Done>(&self, operation: Run) -> Result<T, DatabaseError>
    where
        Run: FnMut() -> Done,
        Done: Future<Output = Result<T, sqlx::Error>>,
    {
        self.reconnect.retrying(operation).await
    }

    /// Closes the connections and gives up the embedded cluster, which stops if nobody else uses it. Other clones
    /// can do no more work.
    pub async fn close(self) {
        self.pool.close().await;
        if let Some(cluster) = self.cluster {
            let released = tokio::task::spawn_blocking(move || cluster.release()).await;
            if let Ok(Err(error)) = released {
                tracing::warn!("{error}");
            }
        }
    }
}

/// Opens the database at `database_url`, or without one the database `codepmp` of the embedded cluster of `data_dir`,
/// and migrates it.
///
/// # Errors
/// Each case of [`DatabaseError`] but `Away`; they say which setting to correct.
pub async fn database(data_dir: &Path, database_url: Option<&str>) -> Result<Database, DatabaseError> {
    let (pool, cluster, url) = if let Some(url) = database_url {
        let pool = connect(url, MAX_CONNECTIONS).await?;
        (pool, None, SecretString::from(url))
    } else {
        let cluster = open_cluster(data_dir).await?;
        let url = cluster.url(local::USER);
        let pool = match connect(url.expose_secret(), MAX_CONNECTIONS).await {
            Err(DatabaseError::NoDatabase { .. }) => {
                create_database(cluster.url("postgres").expose_secret()).await?;
                connect(url.expose_secret(), MAX_CONNECTIONS).await?
            }
            other => other?,
        };
        (pool, Some(cluster), url)
    };
    migrate(&pool).await?;
    Ok(Database::new(pool, cluster, url))
}

async fn open_cluster(data_dir: &Path) -> Result<Arc<Cluster>, ClusterError> {
    let data_dir = data_dir.to_owned();
    let open = move || Cluster::open(&data_dir, Durability::Safe);
    match tokio::task::spawn_blocking(open).await {
        Ok(opened) => opened.map(Arc::new),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

/// Creates the program's database in the embedded cluster, unless another process just did.
async fn create_database(url: &str) -> Result<(), DatabaseError> {
    let options = options(url)?;
    let mut connection = connect_once(&options).await?;
    let statement = AssertSqlSafe(format!("create database {}", local::USER));
    let created = connection.execute(statement).await;
    let _ = connection.close().await;
    match created {
        // duplicate_database, and what a race for it can end in.
        Err(sqlx::Error::Database(e)) if matches!(e.code().as_deref(), Some("42P04" | "23505")) => Ok(()),
        Err(source) => Err(explain(source, &options)),
        Ok(_) => Ok(()),
    }
}

/// Connects to the database at `url`, once now to tell what is wrong, and then up to `max_connections` times as work
/// asks for it. In `pg_stat_activity` the connections are named `codepmp/PID`.
///
/// # Errors
/// `Url`, `NoServer`, `Refused`, `NoDatabase`, `TooOld`, `Query`.
pub async fn connect(url: &str, max_connections: u32) -> Result<PgPool, DatabaseError> {
    let options = options(url)?;
    let connection = connect_once(&options).await?;
    let found = connection.server_version_num().map_or(0, |v| v / 10_000);
    let _ = connection.close().await;
    if found < MINIMUM_MAJOR {
        return Err(DatabaseError::TooOld { place: place(&options), found, minimum: MINIMUM_MAJOR });
    }
    Ok(PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(CONNECT_TIMEOUT)
        // Waiting for a connection is how a busy pool works, not worth a line in the log.
        .acquire_slow_threshold(Duration::from_secs(3600))
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED_FOR {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options))
}

fn options(url: &str) -> Result<PgConnectOptions, DatabaseError> {
    match PgConnectOptions::from_str(url) {
        Ok(options) => Ok(options.application_name(&local::application_name()).disable_statement_logging()),
        Err(sqlx::Error::Configuration(e)) => Err(DatabaseError::Url { reason: e.to_string() }),
        Err(_) => Err(DatabaseError::Url { reason: "unreadable".into() }),
    }
}

async fn connect_once(options: &PgConnectOptions) -> Result<PgConnection, DatabaseError> {
    match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(explain(error, options)),
        Err(_) => Err(DatabaseError::NoServer {
            place: place(options),
            reason: format!("nothing within {} s", CONNECT_TIMEOUT.as_secs()),
        }),
    }
}

fn explain(error: sqlx::Error, options: &PgConnectOptions) -> DatabaseError {
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
fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    let (host, port) = (options.get_host(), options.get_port());
    match options.get_socket() {
        Some(socket) => format!("{}/{database}", socket.display()),
        None => format!("{host}:{port}/{database}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::testing::TestDatabase;

    async fn fails(url: &str) -> DatabaseError {
        let error = connect(url, 1).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        error
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_url_is_told_without_the_password() {
        let error = fails("postgres://me:hunter2@127.0.0.1:port/x").await;
        assert!(matches!(error, DatabaseError::Url { .. }), "{error}");
        let error = fails("postgres://me:hunter2@127.0.0.1:1/x").await;
        assert!(matches!(error, DatabaseError::NoServer { .. }), "{error}");
        assert!(error.to_string().contains("127.0.0.1:1/x"), "{error}");
    }

    #[tokio::test]
    async fn a_wrong_password_and_a_missing_database_are_told_apart() {
        let test = TestDatabase::new().await;
        let options = test.pool().connect_options();
        let place = format!("127.0.0.1:{}", options.get_port());
        let error = fails(&format!("postgres://codepmp:hunter2@{place}/postgres")).await;
        assert!(matches!(error, DatabaseError::Refused { .. }), "{error}");
        let url = test.url();
        let url = url.expose_secret().replace(options.get_database().unwrap(), "nowhere");
        let error = fails(&url).await;
        assert!(matches!(error, DatabaseError::NoDatabase { .. }), "{error}");
    }

    #[tokio::test]
    async fn without_a_url_the_embedded_cluster_gets_a_migrated_database_and_stops_on_close() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let database = super::database(dir.path(), None).await.unwrap();
        let applied: i64 =
            sqlx::query_scalar("select count(*) from _sqlx_migrations").fetch_one(&database.pool).await.unwrap();
        assert!(applied > 0);
        let second = super::database(dir.path(), None).await.unwrap();
        second.close().await;
        assert!(Cluster::status(dir.path()).unwrap().running.is_some());
        database.close().await;
        assert!(Cluster::status(dir.path()).unwrap().running.is_none());
    }

    #[tokio::test]
    async fn a_named_server_is_used_and_no_cluster_is_made() {
        let test = TestDatabase::new().await;
        let dir = tempfile::tempdir().unwrap();
        let url = test.url();
        let database = super::database(dir.path(), Some(url.expose_secret())).await.unwrap();
        assert!(database.cluster.is_none());
        database.close().await;
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

//! Connections: to the server that the user names, or else to the embedded cluster; and what to do when the server
//! goes away in the middle of the work. Messages never show a password.

mod error;
mod reconnect;

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::local::{self, Cluster, Durability, MINIMUM_MAJOR};
use super::migrate::migrate;
use error::{explain, place};
use reconnect::Reconnect;

pub use error::DatabaseError;

/// Connections of one process, with `WRITERS` more where models are asked, so that nine processes stay below the server's
/// usual limit of 100.
pub const MAX_CONNECTIONS: u32 = 6;
/// Connections that commit answers.
const WRITERS: u32 = 3;
/// Their one statement is planned once, and always by index: planned for each commit it cost up to three times as much, and
/// with a queue that grows it was now and then planned as a scan of all of it.
const WRITERS_SETTINGS: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that were used more lately are taken to be alive; asking each time would cost a round trip.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// A database with the program's tables in it. Clones share the connections.
#[derive(Clone)]
pub struct Database {
    /// The connections.
    pub pool: PgPool,
    /// Further connections, for commits of answers alone.
    pub(super) writers: PgPool,
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
        let options = pool.connect_options().as_ref().clone().options(WRITERS_SETTINGS);
        let writers = pool_options(WRITERS).connect_lazy_with(options);
        Self { pool, writers, cluster, url, reconnect }
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
        self.writers.close().await;
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
    let Some(url) = database_url else {
        return embedded(data_dir, Durability::Safe).await;
    };
    let pool = connect(url, MAX_CONNECTIONS).await?;
    migrate(&pool).await?;
    Ok(Database::new(pool, None, SecretString::from(url)))
}

async fn embedded(data_dir: &Path, durability: Durability) -> Result<Database, DatabaseError> {
    let data_dir = data_dir.to_owned();
    let open = move || Cluster::open(&data_dir, durability);
    let cluster = match tokio::task::spawn_blocking(open).await {
        Ok(opened) => Arc::new(opened?),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    };
    let url = cluster.url(local::USER);
    let mut options = options(url.expose_secret())?;
    if let Some(socket) = cluster.socket() {
        options = options.socket(socket);
    }
    let pool = match connect_with(options.clone(), MAX_CONNECTIONS).await {
        Err(DatabaseError::NoDatabase { .. }) => {
            create_database(&options.clone().database("postgres")).await?;
            connect_with(options, MAX_CONNECTIONS).await?
        }
        other => other?,
    };
    migrate(&pool).await?;
    Ok(Database::new(pool, Some(cluster), url))
}

/// Creates the program's database in the embedded cluster, unless another process just did.
async fn create_database(options: &PgConnectOptions) -> Result<(), DatabaseError> {
    let mut connection = connect_once(options).await?;
    let statement = AssertSqlSafe(format!("create database {}", local::USER));
    let created = connection.execute(statement).await;
    let _ = connection.close().await;
    match created {
        // duplicate_database, and what a race for it can end in.
        Err(sqlx::Error::Database(e)) if matches!(e.code().as_deref(), Some("42P04" | "23505")) => Ok(()),
        Err(source) => Err(explain(source, options)),
        Ok(_) => Ok(()),
    }
}

/// Connects to the database at `url`, once now to tell what is wrong, and then up to `max_connections` times as work
/// asks for it. In `pg_stat_activity` the connections are named `codepmp/PID`.
///
/// # Errors
/// `Url`, `NoServer`, `Refused`, `NoDatabase`, `TooOld`, `Query`.
pub async fn connect(url: &str, max_connections: u32) -> Result<PgPool, DatabaseError> {
    connect_with(options(url)?, max_connections).await
}

async fn connect_with(options: PgConnectOptions, max_connections: u32) -> Result<PgPool, DatabaseError> {
    let connection = connect_once(&options).await?;
    let found = connection.server_version_num().map_or(0, |v| v / 10_000);
    let _ = connection.close().await;
    if found < MINIMUM_MAJOR {
        return Err(DatabaseError::TooOld { place: place(&options), found, minimum: MINIMUM_MAJOR });
    }
    Ok(pool_options(max_connections).connect_lazy_with(options))
}

fn pool_options(max_connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(CONNECT_TIMEOUT)
        // Waiting for a connection is how a busy pool works, not worth a line in the log.
        .acquire_slow_threshold(Duration::from_hours(1))
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED_FOR {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
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
    async fn the_embedded_cluster_gets_a_migrated_database_and_stops_on_close() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let database = embedded(dir.path(), Durability::Throwaway).await.unwrap();
        let applied: i64 =
            sqlx::query_scalar("select count(*) from _sqlx_migrations").fetch_one(&database.pool).await.unwrap();
        assert!(applied > 0);
        let second = embedded(dir.path(), Durability::Throwaway).await.unwrap();
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

//! What every table's file hangs its methods on.

use std::path::Path;

use sqlx::{ConnectOptions as _, PgConnection, PgPool};

use super::StoreResult;
use super::pool::{Database, database};

/// A database; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
}

impl From<Database> for Store {
    fn from(database: Database) -> Self {
        Self { database }
    }
}

/// The server that the user names in place of the embedded cluster.
pub fn external_url() -> Option<String> {
    std::env::var(crate::env::DATABASE_URL).ok().filter(|url| !url.is_empty())
}

impl Store {
    /// Connects to `DATABASE_URL`, or to the embedded cluster in `data_dir`, which is started if need be, and brings the
    /// tables up to this version.
    ///
    /// # Errors
    /// When there is no server, it refuses, or its tables are newer than this program.
    pub async fn open(data_dir: &Path) -> StoreResult<Self> {
        Ok(database(data_dir, external_url().as_deref()).await?.into())
    }

    /// Whether there is a database to open without making one.
    pub fn exists(data_dir: &Path) -> bool {
        external_url().is_some() || data_dir.join("postgres").exists()
    }

    /// The connections.
    pub fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    /// See [`Database::writers`].
    pub(super) fn writers(&self) -> &PgPool {
        &self.database.writers
    }

    /// A connection outside the pool.
    pub(super) async fn connect_alone(&self) -> sqlx::Result<PgConnection> {
        self.pool().connect_options().as_ref().clone().connect().await
    }

    /// See [`Database::retrying`].
    pub(super) async fn retrying<T, Run, Done>(&self, operation: Run) -> StoreResult<T>
    where
        Run: FnMut() -> Done,
        Done: Future<Output = sqlx::Result<T>>,
    {
        Ok(self.database.retrying(operation).await?)
    }
}

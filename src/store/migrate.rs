//! Brings a database's tables up to what this program knows, and refuses one that knows more.
//!
//! The migrations are part of the program. sqlx keeps what was applied in `_sqlx_migrations` and takes a lock of the
//! database's, so that processes that start together migrate once.

use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migrator};

/// The migrations in `migrations/`.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// A failure to migrate.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A migration was applied that this program does not have.
    #[error(
        "database `{database}` has migration {applied}, and this codepmp knows only up to {known}: \
         update codepmp, or use another database"
    )]
    Newer {
        /// The database.
        database: String,
        /// The number that is unknown here.
        applied: i64,
        /// The highest number that is known here.
        known: i64,
    },
    /// A migration was applied in another wording.
    #[error(
        "migration {version} of database `{database}` was applied with another text than this codepmp's: \
         use the codepmp that made the database, or another database"
    )]
    Changed {
        /// The database.
        database: String,
        /// The migration's number.
        version: i64,
    },
    /// The server has no room for the tables.
    #[error("could not migrate database `{database}`: the disk of postgres is full: free some space and run again")]
    DiskFull {
        /// The database.
        database: String,
    },
    /// The server refused.
    #[error("could not migrate database `{database}`: {source}")]
    Failed {
        /// The database.
        database: String,
        /// Why not.
        source: MigrateError,
    },
}

/// Applies what is missing, in order, each migration whole or not at all.
///
/// # Errors
/// `Newer` and `Changed` before anything is applied; `Failed` otherwise.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrationError> {
    run(&MIGRATIONS, pool).await
}

async fn run(migrations: &Migrator, pool: &PgPool) -> Result<(), MigrationError> {
    let Err(source) = migrations.run(pool).await else {
        return Ok(());
    };
    let database = pool.connect_options();
    let database = database.get_database().unwrap_or_default().to_owned();
    Err(match source {
        MigrateError::VersionMissing(applied) => {
            MigrationError::Newer { database, applied, known: migrations.iter().map(|m| m.version).max().unwrap_or(0) }
        }
        MigrateError::VersionMismatch(version) => MigrationError::Changed { database, version },
        source if is_disk_full(&source) => MigrationError::DiskFull { database },
        source => MigrationError::Failed { database, source },
    })
}

/// SQLSTATE 53100.
fn is_disk_full(error: &MigrateError) -> bool {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "53100")
        }
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::testing::TestDatabase;

    #[tokio::test]
    async fn a_database_that_is_newer_than_the_program_is_refused_with_both_numbers() {
        let test = TestDatabase::new().await;
        migrate(test.pool()).await.unwrap();
        sqlx::query(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
             values (9999, 'of the future', true, '\\x00', 0)",
        )
        .execute(test.pool())
        .await
        .unwrap();
        let error = migrate(test.pool()).await.unwrap_err();
        assert!(matches!(error, MigrationError::Newer { applied: 9999, .. }), "{error}");
    }

    #[tokio::test]
    async fn a_migration_that_was_applied_in_another_wording_is_refused() {
        let test = TestDatabase::new().await;
        sqlx::query("update _sqlx_migrations set checksum = '\\x00'").execute(test.pool()).await.unwrap();
        let error = migrate(test.pool()).await.unwrap_err();
        assert!(matches!(error, MigrationError::Changed { .. }), "{error}");
    }
}

//! A database of its own for each test, in a throwaway cluster that all test processes of a user share.
//!
//! The cluster lies in the system's folder for temporary files, never in the project and never on the server that
//! `DATABASE_URL` names; its watchdog stops it when the last test process has ended, however it ended. A template
//! database, named after the migrations' checksums, is migrated once and copied for each test.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::local::{Cluster, Durability};
use super::migrate::MIGRATIONS;
use super::pool::{Database, connect};

const CONNECTIONS: u32 = 5;
/// Any number, the same in all processes: who makes the template.
const TEMPLATE_LOCK: i64 = 0x0063_6f64_6570_6d70;

/// A migrated, empty database that goes when this value is dropped.
pub struct TestDatabase {
    /// The database, as the program would have opened it.
    pub database: Database,
    name: String,
}

impl TestDatabase {
    /// Makes a database; the first one of a process may start the cluster.
    ///
    /// # Panics
    /// When there is no Postgres to run, with the command that installs it.
    pub async fn new() -> Self {
        let admin = match tokio::task::spawn_blocking(|| cluster().url("postgres")).await {
            Ok(url) => url,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        match Self::create(admin.expose_secret()).await {
            Ok(made) => made,
            Err(error) => panic!("no database for the test: {error}"),
        }
    }

    async fn create(admin: &str) -> Result<Self, Box<dyn std::error::Error>> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{count}", std::process::id());
        let mut connection = PgConnection::connect(admin).await?;
        let template = template(&mut connection).await?;
        let statement = format!("create database {name} template {template} strategy file_copy");
        connection.execute(AssertSqlSafe(statement)).await?;
        connection.close().await?;
        let url = cluster().url(&name);
        let pool = connect(url.expose_secret(), CONNECTIONS).await?;
        let database = Database::new(pool, None, url);
        Ok(Self { database, name })
    }

    /// The database's connections.
    pub fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    /// The database's URL, password included, for a process of the program's.
    pub fn url(&self) -> SecretString {
        self.database.url.clone()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let statement = format!("drop database if exists {} with (force)", self.name);
        // A thread and a runtime of its own: this one's may be the test's only thread, or be gone.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime?.block_on(async {
                let admin = cluster().url("postgres");
                let mut connection = PgConnection::connect(admin.expose_secret()).await?;
                connection.execute(AssertSqlSafe(statement)).await?;
                connection.close().await
            })
        });
        // What is left goes with the cluster.
        let _: Option<Result<(), sqlx::Error>> = dropping.join().ok();
    }
}

/// The cluster that all test processes of this user share.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let user = nix::unistd::geteuid();
        let dir = std::env::temp_dir().join(format!("codepmp-test-{user}"));
        // Enterable for the user that runs the server in root's place.
        let _ = std::fs::DirBuilder::new().mode(0o711).create(&dir);
        let owner = std::fs::metadata(&dir).map_or(u32::MAX, |m| m.uid());
        assert!(owner == user.as_raw(), "{} belongs to user {owner}: remove it", dir.display());
        match Cluster::open(&dir, Durability::Throwaway) {
            Ok(cluster) => cluster,
            Err(error) => panic!("no postgres for the tests: {error}"),
        }
    })
}

/// The template for these migrations; made by whichever process comes first.
async fn template(connection: &mut PgConnection) -> Result<String, Box<dyn std::error::Error>> {
    let mut hash = blake3::Hasher::new();
    for migration in MIGRATIONS.iter() {
        hash.update(&migration.checksum);
    }
    let name = format!("template_{}", &hash.finalize().to_hex()[..16]);
    sqlx::query("select pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut *connection).await?;
    let ready: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1 and datistemplate)")
            .bind(&name)
            .fetch_one(&mut *connection)
            .await?;
    if !ready {
        // The mark as a template comes last, so what an interrupted attempt left is made anew.
        for statement in ["drop database if exists", "create database"] {
            connection.execute(AssertSqlSafe(format!("{statement} {name}"))).await?;
        }
        let url = cluster().url(&name);
        let mut inside = PgConnection::connect(url.expose_secret()).await?;
        MIGRATIONS.run_direct(None, &mut inside, false).await?;
        inside.close().await?;
        let mark = format!("alter database {name} with is_template true allow_connections false");
        connection.execute(AssertSqlSafe(mark)).await?;
    }
    sqlx::query("select pg_advisory_unlock($1)").bind(TEMPLATE_LOCK).execute(connection).await?;
    Ok(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_databases_are_migrated_and_apart_and_gone_after_the_test() {
        let (one, two) = tokio::join!(TestDatabase::new(), TestDatabase::new());
        one.pool().execute("create table only_here (n int)").await.unwrap();
        let seen = "select to_regclass('only_here') is not null, \
                    (select count(*) from _sqlx_migrations)";
        let migrations = MIGRATIONS.iter().count() as i64;
        let row: (bool, i64) = sqlx::query_as(seen).fetch_one(one.pool()).await.unwrap();
        assert_eq!(row, (true, migrations));
        let row: (bool, i64) = sqlx::query_as(seen).fetch_one(two.pool()).await.unwrap();
        assert_eq!(row, (false, migrations));

        let name = one.name.clone();
        drop(one);
        let left: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(name)
            .fetch_one(two.pool())
            .await
            .unwrap();
        assert!(!left);
    }
}

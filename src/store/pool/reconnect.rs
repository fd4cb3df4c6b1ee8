//! Work goes on when the server comes back: an operation that loses its connection is run again, with growing pauses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::DatabaseError;
use crate::store::local::{Cluster, ClusterError};

const PATIENCE: Duration = Duration::from_mins(5);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What another try of a failed operation would meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The server or the way to it is gone, for now.
    Away,
    /// Its disk is full.
    DiskFull,
    /// The same again.
    Final,
}

/// Sorts an error by type and SQLSTATE. A closed pool is final: it never opens again.
pub(super) fn class(error: &sqlx::Error) -> Class {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => Class::Away,
        sqlx::Error::Database(e) => match e.code().as_deref() {
            // Shut down by an administrator or a crash; starting up; too many connections.
            Some("57P01" | "57P02" | "57P03" | "53300") => Class::Away,
            Some(code) if code.starts_with("08") => Class::Away,
            Some("53100") => Class::DiskFull,
            _ => Class::Final,
        },
        _ => Class::Final,
    }
}

/// Runs operations again while their server is away. Clones share what they know about that.
#[derive(Clone)]
pub(super) struct Reconnect {
    place: Arc<str>,
    cluster: Option<Arc<Cluster>>,
    away: Arc<AtomicBool>,
}

impl Reconnect {
    pub(super) fn new(place: String, cluster: Option<Arc<Cluster>>) -> Self {
        Self { place: place.into(), cluster, away: Arc::default() }
    }

    /// See [`super::Database::retrying`].
    pub(super) async fn retrying<T, Run, Done>(&self, mut operation: Run) -> Result<T, DatabaseError>
    where
        Run: FnMut() -> Done,
        Done: Future<Output = Result<T, sqlx::Error>>,
    {
        let mut lost: Option<Instant> = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let source = match operation().await {
                Ok(value) => {
                    if lost.is_some() {
                        self.tell_back();
                    }
                    return Ok(value);
                }
                Err(error) => error,
            };
            let place = self.place.to_string();
            match class(&source) {
                Class::Final => return Err(DatabaseError::Query { place, source }),
                Class::DiskFull => return Err(DatabaseError::DiskFull { place, source }),
                Class::Away => {}
            }
            self.tell_away(&source);
            let since = *lost.get_or_insert_with(Instant::now);
            let over = since.elapsed() >= PATIENCE;
            match self.restart().await {
                Err(error @ ClusterError::DiskFull { .. }) => return Err(error.into()),
                Err(error) if over => return Err(error.into()),
                _ if over => {
                    let seconds = since.elapsed().as_secs();
                    return Err(DatabaseError::Away { place, seconds, source });
                }
                _ => {}
            }
            // Between half the pause and all of it, so that many workers do not come back at the same moment.
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn restart(&self) -> Result<(), ClusterError> {
        let Some(cluster) = self.cluster.clone() else {
            return Ok(());
        };
        match tokio::task::spawn_blocking(move || cluster.ensure_running()).await {
            Ok(result) => result,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    fn tell_away(&self, error: &sqlx::Error) {
        if !self.away.swap(true, Ordering::Relaxed) {
            let (place, seconds) = (&self.place, PATIENCE.as_secs());
            tracing::warn!("postgres at {place} is away ({error}); trying again for {seconds} s");
        }
    }

    fn tell_back(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            tracing::info!("postgres at {} is back", self.place);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::testing::TestDatabase;

    fn nowhere() -> Reconnect {
        Reconnect::new("nowhere:1/x".into(), None)
    }

    fn io() -> sqlx::Error {
        std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_is_run_again_until_the_server_is_back() {
        let mut tries = 0;
        let begun = Instant::now();
        let reconnect = nowhere();
        let done = reconnect
            .retrying(|| {
                tries += 1;
                let result = if tries < 10 { Err(io()) } else { Ok(tries) };
                async move { result }
            })
            .await;
        assert_eq!(done.unwrap(), 10);
        assert!(!reconnect.away.load(Ordering::Relaxed));
        let waited = begun.elapsed();
        assert!((Duration::from_secs(10)..Duration::from_mins(1)).contains(&waited), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stays_away_is_given_up_after_five_minutes() {
        let begun = Instant::now();
        let error = nowhere().retrying(|| async { Err::<(), _>(io()) }).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Away { seconds: 300..315, .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(315));
    }

    #[tokio::test]
    async fn a_cut_connection_is_replaced_but_a_full_disk_and_a_wrong_query_are_not_tried_again() {
        let test = TestDatabase::new().await;
        let pool = test.pool();
        let mut tries = 0;
        let retried = test.database.retrying(|| {
            tries += 1;
            let cut = tries == 1;
            async move {
                sqlx::query("select pg_terminate_backend(pg_backend_pid()) where $1").bind(cut).execute(pool).await
            }
        });
        retried.await.unwrap();
        assert_eq!(tries, 2);

        for (code, wanted) in [("53100", Class::DiskFull), ("23505", Class::Final)] {
            let mut tries = 0;
            let statement = format!("do $$ begin raise exception 'no' using errcode = '{code}'; end $$");
            let failed = test.database.retrying(|| {
                tries += 1;
                let statement = sqlx::AssertSqlSafe(statement.clone());
                async move { sqlx::raw_sql(statement).execute(pool).await }
            });
            let error = failed.await.unwrap_err();
            let (DatabaseError::DiskFull { source, .. } | DatabaseError::Query { source, .. }) = &error else {
                panic!("{error}");
            };
            assert_eq!(class(source), wanted);
            assert_eq!(tries, 1);
        }
    }
}

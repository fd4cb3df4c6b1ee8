//! Claims that end with the process that holds them: advisory locks on a connection of their own.

use sqlx::{Connection, PgConnection};

use super::{Store, StoreResult};
use crate::ids::{RunId, StageId, WorkerId};

/// First key of stage locks.
const STAGE_LOCKS: i32 = 0x0063_6d73;
/// First key of worker locks; the schema's comment on `workers` names it.
pub(super) const WORKER_LOCKS: i32 = 0x0063_6d70;

/// The sole right to work on a stage; gone when dropped, or when the process dies.
pub struct StageLock {
    connection: PgConnection,
}

impl StageLock {
    /// Whether the server still knows of it.
    pub async fn is_held(&mut self) -> bool {
        self.connection.ping().await.is_ok()
    }

    /// Gives it back.
    pub async fn release(self) {
        let _ = self.connection.close().await;
    }
}

impl Store {
    /// Takes the lock of `stage`, or `None` while another process has it.
    pub async fn try_lock_stage(&self, stage: StageId) -> StoreResult<Option<StageLock>> {
        self.retrying(|| async {
            let mut connection = self.connect_alone().await?;
            let taken: bool = sqlx::query_scalar("select pg_try_advisory_lock($1, $2)")
                .bind(STAGE_LOCKS)
                .bind(stage.0 as i32)
                .fetch_one(&mut connection)
                .await?;
            if taken {
                return Ok(Some(StageLock { connection }));
            }
            connection.close().await?;
            Ok(None)
        })
        .await
    }

    /// Enters a worker of `run` and marks it alive for as long as the result lives.
    pub async fn enter_worker(&self, run: RunId) -> StoreResult<Worker> {
        let id = self
            .retrying(|| async {
                sqlx::query_scalar("insert into workers (run_id) values ($1) returning id")
                    .bind(run)
                    .fetch_one(self.pool())
                    .await
            })
            .await?;
        let mut worker = Worker { id, connection: None };
        worker.keep_alive(self).await?;
        Ok(worker)
    }

    /// Gives back the rows that dead workers of any run had leased, and the requests that they had entered; the number of rows.
    ///
    /// A worker is dead when its advisory lock is free.
    pub async fn reclaim(&self) -> StoreResult<u64> {
        self.retrying(|| async {
            let mut tx = self.pool().begin().await?;
            let dead: Vec<i64> = sqlx::query_scalar(
                "update workers set ended_at = now() where id in
                   (select id from workers where ended_at is null and started_at < now() - interval '2 seconds'
                      for update skip locked)
                 and pg_try_advisory_xact_lock($1, id::int) returning id",
            )
            .bind(WORKER_LOCKS)
            .fetch_all(&mut *tx)
            .await?;
            let freed = sqlx::query(
                "update tasks set state = 'ready', worker_id = null where state = 'leased' and worker_id = any($1)",
            )
            .bind(&dead)
            .execute(&mut *tx)
            .await?;
            if !dead.is_empty() {
                sqlx::query("delete from requests_under_way where worker_id = any($1)")
                    .bind(&dead)
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
            Ok(freed.rows_affected())
        })
        .await
    }
}

/// This process, as others see it.
pub struct Worker {
    /// What leased rows carry.
    pub id: WorkerId,
    connection: Option<PgConnection>,
}

impl Worker {
    /// Takes the worker's lock again if the server has been away; call it every few seconds.
    pub async fn keep_alive(&mut self, store: &Store) -> StoreResult<()> {
        if let Some(connection) = &mut self.connection
            && connection.ping().await.is_ok()
        {
            return Ok(());
        }
        let id = self.id;
        let connection = store
            .retrying(|| async {
                let mut connection = store.connect_alone().await?;
                sqlx::query("select pg_advisory_lock($1, $2)")
                    .bind(WORKER_LOCKS)
                    .bind(id.0 as i32)
                    .execute(&mut connection)
                    .await?;
                // Others may have taken it for dead meanwhile; its rows are theirs then, and it goes on with new ones.
                sqlx::query("update workers set ended_at = null where id = $1")
                    .bind(id)
                    .execute(&mut connection)
                    .await?;
                Ok(connection)
            })
            .await?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Leaves: whatever it still has leased or entered is free for others.
    pub async fn leave(self, store: &Store) -> StoreResult<()> {
        store
            .retrying(|| async {
                let mut tx = store.pool().begin().await?;
                sqlx::query(
                    "update tasks set state = 'ready', worker_id = null where state = 'leased' and worker_id = $1",
                )
                .bind(self.id)
                .execute(&mut *tx)
                .await?;
                sqlx::query("delete from requests_under_way where worker_id = $1")
                    .bind(self.id)
                    .execute(&mut *tx)
                    .await?;
                sqlx::query("update workers set ended_at = now() where id = $1")
                    .bind(self.id)
                    .execute(&mut *tx)
                    .await?;
                tx.commit().await
            })
            .await
    }
}

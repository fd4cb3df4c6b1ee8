//! Requests that somebody is asking, or is about to ask: so that equal requests at the same moment are paid once.
//!
//! A stage enters its requests before it asks. An entry goes in the transaction that commits the answer, or says that there
//! is none. So whoever fails to enter a request waits, and when it can, finds the answer in the ledger or asks itself.

use std::collections::{HashMap, HashSet};

use super::lock::WORKER_LOCKS;
use super::{Store, StoreResult};
use crate::ids::{CallId, StageId, WorkerId};

/// What became of requests that were to be entered.
#[derive(Debug, Default)]
pub struct Entered {
    /// Those that are entered for this stage of this worker now. All others are somebody else's.
    pub mine: HashSet<[u8; 16]>,
    /// Those that are answered, whoever they are entered for.
    pub answers: HashMap<[u8; 16], (CallId, String)>,
}

impl Store {
    /// Enters requests for `stage` of `worker`, but for those that others have entered, and looks for all in the ledger.
    ///
    /// Two statements, since the second must see what was committed before the first entered anything.
    pub async fn enter_requests(
        &self,
        worker: WorkerId,
        stage: StageId,
        keys: &HashSet<[u8; 16]>,
    ) -> StoreResult<Entered> {
        if keys.is_empty() {
            return Ok(Entered::default());
        }
        let mut keys: Vec<[u8; 16]> = keys.iter().copied().collect();
        // In one order, so that two who enter the same ones do not wait for each other.
        keys.sort_unstable();
        let bytes: Vec<&[u8]> = keys.iter().map(<[u8; 16]>::as_slice).collect();
        let mine: Vec<Vec<u8>> = self
            .retrying(|| async {
                // Its own are there already where the reply of the statement before was lost.
                sqlx::query_scalar(
                    "insert into requests_under_way as u (request_key, worker_id, stage_id)
                     select key, $2, $3 from unnest($1::bytea[]) key
                     on conflict (request_key) do update set stage_id = u.stage_id
                     where u.worker_id = excluded.worker_id and u.stage_id = excluded.stage_id
                     returning request_key",
                )
                .bind(&bytes)
                .bind(worker)
                .bind(stage)
                .fetch_all(self.pool())
                .await
            })
            .await?;
        let mine = mine.into_iter().filter_map(|key| key.try_into().ok()).collect();
        Ok(Entered { mine, answers: self.ledger(&keys).await? })
    }

    /// Removes entries of workers that have died.
    pub async fn forget_requests_of_the_dead(&self, keys: &HashSet<[u8; 16]>) -> StoreResult<()> {
        let keys: Vec<&[u8]> = keys.iter().map(<[u8; 16]>::as_slice).collect();
        self.retrying(|| async {
            sqlx::query(
                "with live as materialized (
                     select objid::bigint as id from pg_locks where locktype = 'advisory' and classid = $2::oid
                         and objsubid = 2 and granted
                         and database = (select oid from pg_database where datname = current_database())),
                 dead as (select request_key from requests_under_way
                     where request_key = any($1) and worker_id not in (select id from live) for update skip locked)
                 delete from requests_under_way u using dead where u.request_key = dead.request_key",
            )
            .bind(&keys)
            .bind(WORKER_LOCKS)
            .execute(self.pool())
            .await
        })
        .await?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::super::answers::{AnswerSink, Ending, Finished};
    use super::super::lock::Worker;
    use super::super::runs::NewRun;
    use super::super::tasks::{Inputs, Task};
    use super::super::testing::TestDatabase;
    use super::*;
    use crate::ids::RunId;

    const STAGE: StageId = StageId(7);
    const OTHER: StageId = StageId(8);

    async fn worker(store: &Store) -> Worker {
        let text = String::new;
        let new = NewRun { pipeline: text(), file: text(), definition: text(), options: serde_json::json!({}) };
        let run = store.enter_run(&new, &[]).await.unwrap();
        store.enter_worker(run).await.unwrap()
    }

    fn keys(of: &[u8]) -> HashSet<[u8; 16]> {
        of.iter().map(|byte| [*byte; 16]).collect()
    }

    #[tokio::test]
    async fn of_many_who_enter_the_same_requests_one_has_each() {
        let test = TestDatabase::new().await;
        let store = Store::from(test.database.clone());
        let (one, other) = (worker(&store).await, worker(&store).await);
        let all = keys(&(0..200).collect::<Vec<_>>());
        let enter = |worker: WorkerId, stage| {
            let (store, all) = (store.clone(), all.clone());
            tokio::spawn(async move { store.enter_requests(worker, stage, &all).await.unwrap().mine })
        };
        let entered = [enter(one.id, STAGE), enter(one.id, OTHER), enter(other.id, STAGE), enter(other.id, OTHER)];
        let entered: Vec<_> = futures::future::join_all(entered).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(entered.iter().map(HashSet::len).sum::<usize>(), 200);
        // A statement that is sent again, as its reply was lost, comes to the same end.
        assert_eq!(store.enter_requests(one.id, STAGE, &all).await.unwrap().mine, entered[0]);
    }

    #[tokio::test]
    async fn an_entry_goes_with_the_commit_of_its_row_and_nobody_elses_with_it() {
        let test = TestDatabase::new().await;
        let store = Store::from(test.database.clone());
        let (one, other) = (worker(&store).await, worker(&store).await);
        assert_eq!(store.enter_requests(one.id, STAGE, &keys(&[1, 2])).await.unwrap().mine, keys(&[1, 2]));
        assert_eq!(store.enter_requests(other.id, STAGE, &keys(&[2, 3])).await.unwrap().mine, keys(&[3]));
        let sink = AnswerSink {
            run: RunId(1),
            stage: STAGE,
            worker: one.id,
            inputs: Inputs::Snippets,
            role: String::new(),
            endpoint: String::new(),
            model: String::new(),
        };
        let done = [2, 3].map(|byte| Finished {
            task: Task { input_id: 1, snippet_id: Some(1), sample: 0 },
            calls: Vec::new(),
            ending: Ending::Released,
            entered: Some([byte; 16]),
        });
        store.commit_answers(&sink, &done).await.unwrap();
        assert_eq!(store.enter_requests(other.id, OTHER, &keys(&[1, 2, 3])).await.unwrap().mine, keys(&[2]));
        one.leave(&store).await.unwrap();
        assert_eq!(store.enter_requests(other.id, OTHER, &keys(&[1, 3])).await.unwrap().mine, keys(&[1]));
    }

    #[tokio::test]
    async fn entries_of_a_worker_that_died_are_forgotten_and_no_others() {
        let test = TestDatabase::new().await;
        let store = Store::from(test.database.clone());
        let (dying, living, next) = (worker(&store).await, worker(&store).await, worker(&store).await);
        let (dead, alive) = (keys(&[1, 2]), keys(&[3]));
        store.enter_requests(dying.id, STAGE, &dead).await.unwrap();
        store.enter_requests(living.id, STAGE, &alive).await.unwrap();
        let all = keys(&[1, 2, 3]);
        store.forget_requests_of_the_dead(&all).await.unwrap();
        assert!(store.enter_requests(next.id, OTHER, &all).await.unwrap().mine.is_empty());
        drop(dying);
        // The server notices the closed connection in its own time.
        let freed = async {
            while store.enter_requests(next.id, OTHER, &all).await.unwrap().mine != dead {
                store.forget_requests_of_the_dead(&all).await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), freed).await.unwrap();
    }
}

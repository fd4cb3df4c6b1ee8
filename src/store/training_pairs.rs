//! Pairs for training: read through a cursor on the server, page by page, in the order of their ids.

use futures::Stream;
use sqlx::{FromRow, Postgres, Transaction};

use super::{Store, StoreError, StoreResult};
use crate::ids::{PairId, RunId, StageId};

/// Rows of a page: a few megabytes of text.
const PAGE: usize = 1000;

/// Whose pairs are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairsOf {
    /// Those of a pair stage.
    Stage(StageId),
    /// Those of a run's pair stage.
    Run(RunId),
    /// Those of the pair stage in the newest run of the pipeline of this name.
    Pipeline(String),
}

/// A stage that has pairs.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct PairStage {
    /// The stage.
    pub stage_id: StageId,
    /// Its name in the run.
    pub name: String,
}

/// A pair with what training needs of it.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct TrainingPair {
    /// Identifier.
    pub id: PairId,
    /// What both answer.
    pub prompt: String,
    /// The better answer.
    pub chosen: String,
    /// The worse answer.
    pub rejected: String,
    /// train or test.
    pub split: String,
    /// Repository that the code comes from.
    pub repository: String,
}

/// A cursor that is open on the server. One that broke with its connection goes on behind the last page.
struct Pages {
    store: Store,
    stage: StageId,
    split: Option<String>,
    after: PairId,
    open: Option<Transaction<'static, Postgres>>,
}

impl Store {
    /// The pair stages that are meant, by name: one, unless a run has several.
    ///
    /// # Errors
    /// When there is none.
    pub async fn pair_stages(&self, of: &PairsOf) -> StoreResult<Vec<PairStage>> {
        let (id, condition) = match of {
            PairsOf::Stage(stage) => {
                let found: Option<PairStage> = self
                    .retrying(|| async {
                        sqlx::query_as("select id as stage_id, name from stages where id = $1 and kind = 'pair'")
                            .bind(stage)
                            .fetch_optional(self.pool())
                            .await
                    })
                    .await?;
                let missing = || StoreError::Missing { what: "pair stage", id: stage.to_string() };
                return found.map(|stage| vec![stage]).ok_or_else(missing);
            }
            PairsOf::Run(run) => (run.to_string(), "run with a pair stage"),
            PairsOf::Pipeline(name) => (name.clone(), "run of a pipeline with a pair stage"),
        };
        let (run, pipeline) = match of {
            PairsOf::Run(run) => (Some(*run), None),
            PairsOf::Pipeline(name) => (None, Some(name)),
            PairsOf::Stage(_) => (None, None),
        };
        let found: Vec<PairStage> = self
            .retrying(|| async {
                sqlx::query_as(
                    "select stage_id, name from run_stages where kind = 'pair' and run_id = coalesce($1,
                         (select max(r.id) from runs r join run_stages s on s.run_id = r.id and s.kind = 'pair'
                          where r.pipeline = $2))
                     order by name",
                )
                .bind(run)
                .bind(pipeline)
                .fetch_all(self.pool())
                .await
            })
            .await?;
        if found.is_empty() { Err(StoreError::Missing { what: condition, id }) } else { Ok(found) }
    }

    /// How many pairs of a stage a split has; all without one.
    pub async fn count_training_pairs(&self, stage: StageId, split: Option<&str>) -> StoreResult<i64> {
        self.retrying(|| async {
            sqlx::query_scalar("select count(*) from pairs where stage_id = $1 and ($2::text is null or split = $2)")
                .bind(stage)
                .bind(split)
                .fetch_one(self.pool())
                .await
        })
        .await
    }

    /// Pages of a stage's pairs, of one split or all, in the order of their ids. Nothing but a page is held here, and the
    /// pages are of one snapshot while the connection lasts.
    pub fn training_pairs(
        &self,
        stage: StageId,
        split: Option<&str>,
    ) -> impl Stream<Item = StoreResult<Vec<TrainingPair>>> + Send + use<> {
        let split = split.map(str::to_owned);
        let pages = Pages { store: self.clone(), stage, split, after: PairId(i64::MIN), open: None };
        futures::stream::try_unfold(pages, |mut pages| async move {
            let page = pages.next().await?;
            Ok((!page.is_empty()).then_some((page, pages)))
        })
    }
}

impl Pages {
    async fn next(&mut self) -> StoreResult<Vec<TrainingPair>> {
        if let Some(open) = &mut self.open {
            // A cursor is gone with its connection: the one opened below starts behind what was handed on.
            if let Ok(page) = fetch(open).await {
                return Ok(self.hand_on(page));
            }
            self.open = None;
        }
        let (store, stage, split, after) = (self.store.clone(), self.stage, self.split.clone(), self.after);
        let opened = store.retrying(|| async {
            let mut transaction = store.pool().begin().await?;
            sqlx::query("set transaction isolation level repeatable read, read only")
                .execute(&mut *transaction)
                .await?;
            sqlx::query(
                "declare training_pairs no scroll cursor for
                 select p.id, p.prompt, c.text as chosen, r.text as rejected, p.split, d.repository
                 from pairs p
                 join completions c on c.id = p.chosen_id
                 join completions r on r.id = p.rejected_id
                 join descriptions e on e.id = p.description_id
                 join snippets s on s.id = e.snippet_id
                 join documents d on d.id = s.document_id
                 where p.stage_id = $1 and p.id > $2 and ($3::text is null or p.split = $3)
                 order by p.id",
            )
            .bind(stage)
            .bind(after)
            .bind(&split)
            .execute(&mut *transaction)
            .await?;
            let page = fetch(&mut transaction).await?;
            Ok((transaction, page))
        });
        let (transaction, page) = opened.await?;
        self.open = Some(transaction);
        Ok(self.hand_on(page))
    }

    fn hand_on(&mut self, page: Vec<TrainingPair>) -> Vec<TrainingPair> {
        self.after = page.last().map_or(self.after, |pair| pair.id);
        page
    }
}

async fn fetch(transaction: &mut Transaction<'static, Postgres>) -> sqlx::Result<Vec<TrainingPair>> {
    let statement = format!("fetch forward {PAGE} from training_pairs");
    sqlx::query_as(sqlx::AssertSqlSafe(statement)).fetch_all(&mut **transaction).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures::TryStreamExt as _;
    use sqlx::Executor as _;

    use super::*;
    use crate::store::testing::TestDatabase;

    /// A pair stage (2) with 2500 pairs, every fifth held out, another (3) with none, and two runs of them.
    async fn filled() -> TestDatabase {
        let test = TestDatabase::new().await;
        let statements = "
            insert into stages (fingerprint, kind, name, settings)
                values ('a', 'ingest', 'source', '{}'), ('b', 'pair', 'pairs', '{}'), ('c', 'pair', 'more', '{}');
            insert into runs (pipeline, file, definition, version, host, pid)
                select 'demo', 'f', 'd', 'v', 'h', 1 from generate_series(1, 2);
            insert into run_stages (run_id, stage_id, name, kind)
                values (1, 2, 'pairs', 'pair'), (2, 1, 'source', 'ingest'), (1, 3, 'more', 'pair');
            insert into shards (stage_id, ordinal, name, kind, bytes, repository) values (1, 0, 's', 'dir', 1, 'o/n');
            insert into documents (id, stage_id, shard_id, entry, repository, path, content, content_hash, bytes, lines,
                    longest_line, mean_line, alphanumeric_share, comment_share, parse_errors)
                values (1, 1, 1, 0, 'o/n', 'p', 'x', '', 1, 1, 1, 1, 1, 0, 0);
            insert into snippets (stage_id, document_id, ordinal, unit, name, qualified_name, start_line, end_line, signature,
                    text, token_estimate)
                values (1, 1, 0, 'module', 'm', 'm', 1, 1, '', 'x', 1);
            insert into descriptions (stage_id, snippet_id, sample, text)
                select 1, 1, n, 'd' from generate_series(1, 2500) n;
            insert into completions (stage_id, description_id, sample, role, text, blocks)
                select 1 + (n - 1) / 2500, 1 + (n - 1) % 2500, 0, 'r', 'text ' || n, 1 from generate_series(1, 5000) n;
            insert into pairs (stage_id, description_id, chosen_id, rejected_id, sample, prompt, split, chosen_valid,
                    rejected_valid, length_ratio, similarity)
                select 2, n, n, 2500 + n, 0, 'ask ' || n, case n % 5 when 0 then 'test' else 'train' end, true, true, 1, 1
                from generate_series(1, 2500) n";
        test.pool().execute(sqlx::raw_sql(statements)).await.unwrap();
        test
    }

    async fn read(store: &Store, split: Option<&str>) -> Vec<TrainingPair> {
        store.training_pairs(StageId(2), split).try_concat().await.unwrap()
    }

    #[tokio::test]
    async fn all_pages_come_in_the_order_of_ids_and_by_split() {
        let test = filled().await;
        let store = Store::from(test.database.clone());
        let all = read(&store, None).await;
        assert_eq!(all.iter().map(|pair| pair.id.0).collect::<Vec<_>>(), (1..=2500).collect::<Vec<_>>());
        let last = &all[2499];
        assert_eq!(
            (last.prompt.as_str(), last.chosen.as_str(), last.rejected.as_str()),
            ("ask 2500", "text 2500", "text 5000")
        );
        assert_eq!((last.split.as_str(), last.repository.as_str()), ("test", "o/n"));
        let held_out = read(&store, Some("test")).await;
        assert!(held_out.len() == 500 && held_out.iter().all(|pair| pair.split == "test"));
        assert_eq!(store.count_training_pairs(StageId(2), Some("train")).await.unwrap(), 2000);
        assert_eq!(store.count_training_pairs(StageId(2), None).await.unwrap(), 2500);
    }

    #[tokio::test]
    async fn a_connection_that_breaks_between_pages_costs_no_pair() {
        let test = filled().await;
        let store = Store::from(test.database.clone());
        let mut pages = std::pin::pin!(store.training_pairs(StageId(2), None));
        let mut ids = Vec::new();
        while let Some(page) = pages.try_next().await.unwrap() {
            ids.extend(page.iter().map(|pair| pair.id.0));
            let cut = "select pg_terminate_backend(pid) from pg_stat_activity
                       where datname = current_database() and pid <> pg_backend_pid() and state = 'idle in transaction'";
            test.pool().execute(cut).await.unwrap();
        }
        assert_eq!(ids, (1..=2500).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_pair_stage_is_found_by_itself_by_its_run_and_by_its_pipeline() {
        let test = filled().await;
        let store = Store::from(test.database.clone());
        let pairs = PairStage { stage_id: StageId(2), name: "pairs".into() };
        let more = PairStage { stage_id: StageId(3), name: "more".into() };
        assert_eq!(store.pair_stages(&PairsOf::Stage(StageId(2))).await.unwrap(), std::slice::from_ref(&pairs));
        assert_eq!(store.pair_stages(&PairsOf::Run(RunId(1))).await.unwrap(), [more.clone(), pairs.clone()]);
        // The newest run has no pair stage, so the one before it is meant.
        assert_eq!(store.pair_stages(&PairsOf::Pipeline("demo".into())).await.unwrap(), [more, pairs]);
        for of in [PairsOf::Stage(StageId(1)), PairsOf::Run(RunId(2)), PairsOf::Pipeline("other".into())] {
            let error = store.pair_stages(&of).await.unwrap_err();
            assert!(matches!(error, StoreError::Missing { .. }), "{error}");
        }
    }
}

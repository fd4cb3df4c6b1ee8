//! `training_runs`, `training_metrics` and `evaluations`: what was trained, how it went, and what came out.

use sqlx::FromRow;

use super::{Store, StoreResult};
use crate::ids::{RunId, ScoringId, StageId, TrainingRunId};
use crate::progress::State;

/// A training to be entered, or to be taken up again.
#[derive(Clone, Debug)]
pub struct NewTraining {
    /// The run of the pipeline.
    pub run: Option<RunId>,
    /// The train stage.
    pub stage: Option<StageId>,
    /// Name of the stage, or of the folder.
    pub name: String,
    /// pmp or rm.
    pub objective: &'static str,
    /// Seed.
    pub seed: u64,
    /// Folder of the model it starts from, or the preset of a fresh one.
    pub model: String,
    /// Where the pairs come from.
    pub data: String,
    /// Tells one set of pairs from another.
    pub data_mark: String,
    /// Folder of the trained model, absolute.
    pub out: String,
    /// All training settings.
    pub settings: serde_json::Value,
    /// Pairs that are trained on.
    pub pairs_train: u64,
    /// Pairs that are measured on while it trains.
    pub pairs_held_out: u64,
    /// Device.
    pub device: String,
}

/// A row of `training_runs`, as far as others ask for it.
#[derive(Clone, Debug, FromRow, serde::Serialize)]
pub struct TrainingRow {
    /// Identifier.
    pub id: TrainingRunId,
    /// Name of the stage, or of the folder.
    pub name: String,
    /// pmp or rm.
    pub objective: String,
    /// Seed.
    pub seed: i64,
    /// running, done, failed or interrupted.
    pub state: String,
    /// Folder of the trained model.
    pub out: String,
    /// Tells one set of pairs from another.
    pub data_mark: String,
    /// Pairs that are trained on.
    pub pairs_train: i64,
}

/// One optimizer step; the columns of `training_metrics`.
#[derive(Clone, Copy, Debug, PartialEq, FromRow, serde::Serialize)]
#[allow(missing_docs)] // the columns of the table
pub struct MetricRow {
    pub step: i64,
    pub epoch: f64,
    pub loss: f64,
    pub rm_loss: f64,
    pub lm_loss: f64,
    pub centre_loss: f64,
    pub accuracy: f64,
    pub margin: f64,
    pub reward_mean: f64,
    pub reward_std: f64,
    pub gradient_norm: f64,
    pub learning_rate: f64,
    pub tokens: i64,
    pub tokens_per_second: f64,
    pub pairs_per_second: f64,
    pub memory_bytes: i64,
}

/// A measurement to be kept.
#[derive(Clone, Debug)]
pub struct NewEvaluation {
    /// The run of the pipeline.
    pub run: Option<RunId>,
    /// The evaluate stage.
    pub stage: Option<StageId>,
    /// The training that made the model.
    pub training: Option<TrainingRunId>,
    /// Optimizer step, of a measurement in the course of a training.
    pub step: Option<u64>,
    /// Folder of the model.
    pub model: String,
    /// Where the pairs came from.
    pub data: String,
    /// Tells one set of pairs from another.
    pub data_mark: String,
    /// What was measured.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Probability that the interval is made for.
    pub confidence: f64,
    /// Pairs that were measured.
    pub n: u64,
    /// Further figures.
    pub details: serde_json::Value,
}

/// A measurement of a stage, with the training it belongs to.
#[derive(Clone, Debug, FromRow, serde::Serialize)]
pub struct EvaluationRow {
    /// Name of the evaluate stage.
    pub stage: String,
    /// Name of the train stage that made the model, or its folder.
    pub model: String,
    /// The training, where that is known.
    pub training_run_id: Option<TrainingRunId>,
    /// Seed of the training.
    pub seed: Option<i64>,
    /// What was measured.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Pairs that were measured.
    pub n: i64,
    /// Tells one set of pairs from another.
    pub data_mark: String,
}

/// Drawn by chance, so that a row that is sent twice is written once.
pub(super) fn ticket() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn host() -> String {
    nix::sys::utsname::uname()
        .map_or_else(|_| "unknown".to_owned(), |name| name.nodename().to_string_lossy().into_owned())
}

const TRAINING: &str = "select id, name, objective, seed, state, out, data_mark, pairs_train from training_runs";

impl NewEvaluation {
    /// The statement that keeps it, as a figure of `scoring` where there is one.
    pub(super) fn insert<'q>(
        &'q self,
        ticket: &'q str,
        scoring: Option<ScoringId>,
    ) -> sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments> {
        sqlx::query(
            "insert into evaluations (ticket, run_id, stage_id, training_run_id, step, model, data, data_mark, metric, value,
                 low, high, confidence, n, details, scoring_id)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
             on conflict (ticket) do nothing",
        )
        .bind(ticket.to_owned())
        .bind(self.run)
        .bind(self.stage)
        .bind(self.training)
        .bind(self.step.map(|step| step as i64))
        .bind(&self.model)
        .bind(&self.data)
        .bind(&self.data_mark)
        .bind(&self.metric)
        .bind(self.value)
        .bind(self.low)
        .bind(self.high)
        .bind(self.confidence)
        .bind(self.n as i64)
        .bind(&self.details)
        .bind(scoring)
    }
}

impl Store {
    /// Enters a training; with `resumed`, takes up the latest unfinished row of the same stage and folder, if there is one:
    /// one that began before one that was refused.
    pub async fn enter_training(&self, new: &NewTraining, resumed: bool) -> StoreResult<TrainingRunId> {
        let (ticket, host) = (ticket(), host());
        self.retrying(|| async {
            if resumed {
                let found: Option<TrainingRunId> = sqlx::query_scalar(
                    "update training_runs set state = 'running', message = null, finished_at = null, run_id = $3,
                         host = $4, pid = $5, version = $6, data_mark = $7, pairs_train = $8, pairs_held_out = $9,
                         base_training_run_id = (select id from training_runs where out = $10 and state = 'done'
                                                 order by id desc limit 1)
                     where id = (select id from training_runs where out = $1 and stage_id is not distinct from $2
                                     and state <> 'done' order by (total_steps is null), id desc limit 1)
                     returning id",
                )
                .bind(&new.out)
                .bind(new.stage)
                .bind(new.run)
                .bind(&host)
                .bind(std::process::id() as i32)
                .bind(env!("CARGO_PKG_VERSION"))
                .bind(&new.data_mark)
                .bind(new.pairs_train as i64)
                .bind(new.pairs_held_out as i64)
                .bind(&new.model)
                .fetch_optional(self.pool())
                .await?;
                if let Some(found) = found {
                    return Ok(found);
                }
            }
            sqlx::query_scalar(
                "insert into training_runs (ticket, run_id, stage_id, base_training_run_id, name, objective, seed, model,
                     data, data_mark, out, settings, pairs_train, pairs_held_out, device, version, host, pid)
                 values ($1, $2, $3, (select id from training_runs where out = $7 and state = 'done'
                                      order by id desc limit 1), $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
                         $17)
                 on conflict (ticket) do update set ticket = excluded.ticket returning id",
            )
            .bind(&ticket)
            .bind(new.run)
            .bind(new.stage)
            .bind(&new.name)
            .bind(new.objective)
            .bind(new.seed as i64)
            .bind(&new.model)
            .bind(&new.data)
            .bind(&new.data_mark)
            .bind(&new.out)
            .bind(&new.settings)
            .bind(new.pairs_train as i64)
            .bind(new.pairs_held_out as i64)
            .bind(&new.device)
            .bind(env!("CARGO_PKG_VERSION"))
            .bind(&host)
            .bind(std::process::id() as i32)
            .fetch_one(self.pool())
            .await
        })
        .await
    }

    /// Notes what is known once the model is there.
    pub async fn note_training(&self, id: TrainingRunId, parameters: u64, total_steps: u64) -> StoreResult<()> {
        self.retrying(|| async {
            sqlx::query("update training_runs set parameters = $2, total_steps = $3 where id = $1")
                .bind(id)
                .bind(parameters as i64)
                .bind(total_steps as i64)
                .execute(self.pool())
                .await
        })
        .await?;
        Ok(())
    }

    /// Writes steps; a step that is there already is replaced.
    pub async fn write_metrics(&self, id: TrainingRunId, rows: &[MetricRow]) -> StoreResult<()> {
        let float = |of: fn(&MetricRow) -> f64| rows.iter().map(of).collect::<Vec<_>>();
        let whole = |of: fn(&MetricRow) -> i64| rows.iter().map(of).collect::<Vec<_>>();
        self.retrying(|| async {
            sqlx::query(
                "insert into training_metrics (training_run_id, step, epoch, loss, rm_loss, lm_loss, centre_loss, accuracy,
                     margin, reward_mean, reward_std, gradient_norm, learning_rate, tokens, tokens_per_second,
                     pairs_per_second, memory_bytes)
                 select $1, * from unnest($2::bigint[], $3::float8[], $4::float8[], $5::float8[], $6::float8[],
                     $7::float8[], $8::float8[], $9::float8[], $10::float8[], $11::float8[], $12::float8[], $13::float8[],
                     $14::bigint[], $15::float8[], $16::float8[], $17::bigint[])
                 on conflict (training_run_id, step) do update set epoch = excluded.epoch, loss = excluded.loss,
                     rm_loss = excluded.rm_loss, lm_loss = excluded.lm_loss, centre_loss = excluded.centre_loss,
                     accuracy = excluded.accuracy, margin = excluded.margin, reward_mean = excluded.reward_mean,
                     reward_std = excluded.reward_std, gradient_norm = excluded.gradient_norm,
                     learning_rate = excluded.learning_rate, tokens = excluded.tokens,
                     tokens_per_second = excluded.tokens_per_second, pairs_per_second = excluded.pairs_per_second,
                     memory_bytes = excluded.memory_bytes, created_at = now()",
            )
            .bind(id)
            .bind(whole(|row| row.step))
            .bind(float(|row| row.epoch))
            .bind(float(|row| row.loss))
            .bind(float(|row| row.rm_loss))
            .bind(float(|row| row.lm_loss))
            .bind(float(|row| row.centre_loss))
            .bind(float(|row| row.accuracy))
            .bind(float(|row| row.margin))
            .bind(float(|row| row.reward_mean))
            .bind(float(|row| row.reward_std))
            .bind(float(|row| row.gradient_norm))
            .bind(float(|row| row.learning_rate))
            .bind(whole(|row| row.tokens))
            .bind(float(|row| row.tokens_per_second))
            .bind(float(|row| row.pairs_per_second))
            .bind(whole(|row| row.memory_bytes))
            .execute(self.pool())
            .await
        })
        .await?;
        Ok(())
    }

    /// Ends a training.
    pub async fn end_training(&self, id: TrainingRunId, state: State, message: Option<&str>) -> StoreResult<()> {
        self.retrying(|| async {
            sqlx::query("update training_runs set state = $2, message = $3, finished_at = now() where id = $1")
                .bind(id)
                .bind(state.as_str())
                .bind(message)
                .execute(self.pool())
                .await
        })
        .await?;
        Ok(())
    }

    /// The latest training of a stage with that seed.
    pub async fn training_of(&self, stage: StageId, seed: u64) -> StoreResult<Option<TrainingRow>> {
        let statement = format!("{TRAINING} where stage_id = $1 and seed = $2 order by id desc limit 1");
        self.retrying(|| async {
            sqlx::query_as(sqlx::AssertSqlSafe(statement.clone()))
                .bind(stage)
                .bind(seed as i64)
                .fetch_optional(self.pool())
                .await
        })
        .await
    }

    /// The latest finished training that made the folder `out`.
    pub async fn training_that_made(&self, out: &str) -> StoreResult<Option<TrainingRow>> {
        let statement = format!("{TRAINING} where out = $1 and state = 'done' order by id desc limit 1");
        self.retrying(|| async {
            sqlx::query_as(sqlx::AssertSqlSafe(statement.clone())).bind(out).fetch_optional(self.pool()).await
        })
        .await
    }

    /// Keeps a measurement.
    pub async fn write_evaluation(&self, new: &NewEvaluation) -> StoreResult<()> {
        let ticket = ticket();
        self.retrying(|| async { new.insert(&ticket, None).execute(self.pool()).await }).await?;
        Ok(())
    }

    /// What a run's evaluate stages measured: the latest for each train stage, seed and metric.
    pub async fn evaluations(&self, run: RunId) -> StoreResult<Vec<EvaluationRow>> {
        self.evaluations_where("e.stage_id in (select stage_id from run_stages where run_id = $1)", run.0).await
    }

    /// What one evaluate stage measured.
    pub async fn evaluations_of(&self, stage: StageId) -> StoreResult<Vec<EvaluationRow>> {
        self.evaluations_where("e.stage_id = $1", stage.0).await
    }

    async fn evaluations_where(&self, which: &str, id: i64) -> StoreResult<Vec<EvaluationRow>> {
        let statement = format!(
            "select distinct on (e.stage_id, t.stage_id, coalesce(t.name, e.model), t.seed, e.metric) s.name as stage,
                 coalesce(t.name, e.model) as model, e.training_run_id, t.seed, e.metric, e.value, e.low, e.high, e.n,
                 e.data_mark
             from evaluations e join stages s on s.id = e.stage_id
             left join training_runs t on t.id = e.training_run_id
             where {which} order by e.stage_id, t.stage_id, coalesce(t.name, e.model), t.seed, e.metric, e.id desc"
        );
        self.retrying(|| async {
            sqlx::query_as(sqlx::AssertSqlSafe(statement.clone())).bind(id).fetch_all(self.pool()).await
        })
        .await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::testing::TestDatabase;

    fn training(out: &str) -> NewTraining {
        NewTraining {
            run: None,
            stage: None,
            name: "m".into(),
            objective: "pmp",
            seed: 1,
            model: "base".into(),
            data: "pairs.jsonl".into(),
            data_mark: "1".into(),
            out: out.into(),
            settings: serde_json::json!({}),
            pairs_train: 10,
            pairs_held_out: 2,
            device: "cpu".into(),
        }
    }

    fn step(step: i64, loss: f64) -> MetricRow {
        MetricRow {
            step,
            epoch: 0.1,
            loss,
            rm_loss: 0.6,
            lm_loss: 1.0,
            centre_loss: 0.0,
            accuracy: 0.5,
            margin: 0.1,
            reward_mean: 0.0,
            reward_std: 1.0,
            gradient_norm: 2.0,
            learning_rate: 1e-3,
            tokens: 100,
            tokens_per_second: 1e3,
            pairs_per_second: 10.0,
            memory_bytes: 1 << 20,
        }
    }

    #[tokio::test]
    async fn a_resumed_training_keeps_its_row_and_a_repeated_step_replaces_its_own() {
        let test = TestDatabase::new().await;
        let store = Store::from(test.database.clone());
        let first = store.enter_training(&training("/m"), false).await.unwrap();
        store.write_metrics(first, &[step(1, 3.0), step(2, 2.0)]).await.unwrap();
        store.note_training(first, 10, 3).await.unwrap();
        let refused = store.enter_training(&training("/m"), false).await.unwrap();
        store.end_training(refused, State::Failed, Some("occupied")).await.unwrap();
        assert_eq!(store.enter_training(&training("/m"), true).await.unwrap(), first);
        store.write_metrics(first, &[step(2, 1.5), step(3, 1.0)]).await.unwrap();
        let losses: Vec<f64> = sqlx::query_scalar("select loss from training_metrics order by step")
            .fetch_all(store.pool())
            .await
            .unwrap();
        assert_eq!(losses, [3.0, 1.5, 1.0]);
        store.end_training(first, State::Done, None).await.unwrap();
        let second = store.enter_training(&training("/m"), true).await.unwrap();
        assert_ne!(second, first);
        let other = store.enter_training(&training("/n"), true).await.unwrap();
        assert!(other != first && other != second);
        assert_eq!(store.training_that_made("/m").await.unwrap().unwrap().id, first);
    }

    #[tokio::test]
    async fn a_training_knows_the_one_that_made_its_model() {
        let test = TestDatabase::new().await;
        let store = Store::from(test.database.clone());
        let base = store.enter_training(&training("/base"), false).await.unwrap();
        store.end_training(base, State::Done, None).await.unwrap();
        let next = NewTraining { model: "/base".into(), ..training("/next") };
        let next = store.enter_training(&next, false).await.unwrap();
        let known: Option<TrainingRunId> =
            sqlx::query_scalar("select base_training_run_id from training_runs where id = $1")
                .bind(next)
                .fetch_one(store.pool())
                .await
                .unwrap();
        assert_eq!(known, Some(base));
    }
}

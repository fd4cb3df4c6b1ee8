//! What a report tells of a run: its stages with settings, calls, trainings with their curves, evaluations.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::{Store, StoreResult};
use crate::ids::{PairId, RunId, StageId, TrainingRunId};

/// A stage of a run, as the `stages` table identifies it.
#[derive(Clone, Debug, FromRow, serde::Serialize)]
pub struct StageFacts {
    /// The stage.
    pub id: StageId,
    /// Name in the pipeline file.
    pub name: String,
    /// Kind.
    pub kind: String,
    /// Hash of everything that decides its output.
    pub fingerprint: String,
    /// The settings that decide its output.
    pub settings: serde_json::Value,
    /// Stages it needs, by name where the run has them.
    pub needs: Vec<String>,
    /// Model, of stages that call one.
    pub model: Option<String>,
    /// How it ended in this run.
    pub state: String,
    /// Rows that this run finished.
    pub done: i64,
    /// Rows that this run rejected.
    pub rejected: i64,
    /// Wall time in this run.
    pub seconds: Option<f64>,
    /// Why it failed.
    pub message: Option<String>,
}

/// Calls of one stage to one model, in all runs.
#[derive(Clone, Debug, FromRow, serde::Serialize)]
pub struct Usage {
    /// Stage.
    pub stage: String,
    /// Endpoint.
    pub endpoint: String,
    /// Model.
    pub model: String,
    /// Calls, failed ones too.
    pub calls: i64,
    /// Calls that were answered.
    pub answers: i64,
    /// Tokens of the prompts.
    pub prompt_tokens: i64,
    /// Tokens of the answers.
    pub completion_tokens: i64,
    /// Millionths of a dollar; none where the endpoint has no prices.
    pub cost_microdollars: Option<i64>,
    /// Mean time to an answer in milliseconds.
    pub mean_latency_ms: Option<f64>,
}

/// Calls that failed, by class; most are sent again.
#[derive(Clone, Debug, FromRow, serde::Serialize)]
pub struct FailedCalls {
    /// Stage.
    pub stage: String,
    /// Class of failure.
    pub class: String,
    /// Calls.
    pub calls: i64,
}

/// A training, with what its curve is labelled by.
#[derive(Clone, Debug, FromRow, serde::Serialize)]
pub struct Training {
    /// Identifier.
    pub id: TrainingRunId,
    /// Name of the stage; of a stage that trains many models, its own name for each.
    pub name: String,
    /// Kind of the stage.
    pub kind: String,
    /// pmp or rm.
    pub objective: String,
    /// Seed.
    pub seed: i64,
    /// Objective of the training that made its base, where that is known.
    pub base_objective: Option<String>,
    /// Name of that training.
    pub base: Option<String>,
    /// Folder or preset of the model that it started from.
    pub model: String,
    /// Pairs that were trained on.
    pub pairs_train: i64,
    /// Parameters.
    pub parameters: Option<i64>,
    /// Optimizer steps.
    pub total_steps: Option<i64>,
    /// Device.
    pub device: String,
    /// Version of codepmp.
    pub version: String,
    /// running, done, failed or interrupted.
    pub state: String,
    /// Wall time from first start to end.
    pub seconds: Option<f64>,
    /// All settings.
    pub settings: serde_json::Value,
    /// Tokens that were trained on.
    pub tokens: i64,
}

/// A part of a training's steps, averaged.
#[derive(Clone, Copy, Debug, PartialEq, FromRow, serde::Serialize)]
pub struct CurvePoint {
    /// The training.
    pub training_run_id: TrainingRunId,
    /// Mean step.
    pub step: f64,
    /// Mean loss.
    pub loss: f64,
    /// Mean reward loss.
    pub rm_loss: f64,
    /// Mean language-model loss.
    pub lm_loss: f64,
    /// Mean accuracy on the step's own pairs.
    pub accuracy: f64,
    /// Mean learning rate.
    pub learning_rate: f64,
    /// Mean norm of the gradients.
    pub gradient_norm: f64,
}

/// A measurement.
#[derive(Clone, Debug, FromRow, serde::Serialize)]
pub struct Evaluation {
    /// The evaluate stage; none for a measurement in the course of a training.
    pub stage: Option<String>,
    /// Name of the model's train stage, or its folder.
    pub model: String,
    /// The training that made the model.
    pub training_run_id: Option<TrainingRunId>,
    /// Its seed.
    pub seed: Option<i64>,
    /// Optimizer step, of a measurement in the course of a training.
    pub step: Option<i64>,
    /// Where the items came from.
    pub data: String,
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
    /// Items.
    pub n: i64,
    /// Further figures.
    pub details: serde_json::Value,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// A place on a curve that a stage has drawn, over its seeds.
#[derive(Clone, Debug, FromRow, serde::Serialize)]
pub struct CurveMean {
    /// The stage.
    pub stage: String,
    /// What the trainings started from.
    pub arm: String,
    /// Share of the set, of sample efficiency.
    pub share: Option<f64>,
    /// Tokens trained on.
    pub tokens: Option<f64>,
    /// Pairs trained on.
    pub pairs: f64,
    /// What was measured.
    pub metric: String,
    /// Seeds.
    pub seeds: i64,
    /// Mean over them.
    pub mean: f64,
    /// Lower end of its interval over seeds and items (of a single seed over items); none where it was not computed.
    pub low: Option<f64>,
    /// Upper end of its interval.
    pub high: Option<f64>,
    /// The smallest value among seeds.
    pub least: f64,
    /// The largest.
    pub most: f64,
    /// Items measured.
    pub n: i64,
}

/// How two arms of a curve differ at a place.
#[derive(Clone, Debug, FromRow, serde::Serialize)]
pub struct CurveDifference {
    /// The stage.
    pub stage: String,
    /// What the trainings started from.
    pub arm: String,
    /// The arm that it is compared with.
    pub baseline: String,
    /// Share of the set, of sample efficiency.
    pub share: Option<f64>,
    /// What was measured.
    pub metric: String,
    /// Mean of the arm.
    pub arm_mean: f64,
    /// Mean of the baseline.
    pub baseline_mean: f64,
    /// The first less the second, over items that all have a value of.
    pub difference: f64,
    /// Lower end of its interval over seeds and items.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
    /// Seeds of the arm.
    pub seeds: i64,
    /// Items.
    pub n: i64,
}

/// Points of a training's curve at most.
const POINTS: i64 = 120;

impl Store {
    /// Stages of a run, in the order of entry.
    pub async fn stage_facts(&self, run: RunId) -> StoreResult<Vec<StageFacts>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select s.id, r.name, s.kind, s.fingerprint, s.settings, s.model, r.state, r.done, r.rejected, r.seconds,
                        r.message,
                        coalesce((select array_agg(n.name order by n.stage_id) from run_stages n
                                  where n.run_id = r.run_id and n.stage_id = any(s.inputs)), '{}') as needs
                 from run_stages r join stages s on s.id = r.stage_id where r.run_id = $1 order by s.id",
            )
            .bind(run)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// Calls of a run's stages, those of earlier runs too.
    pub async fn usage(&self, run: RunId) -> StoreResult<Vec<Usage>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select r.name as stage, c.endpoint, c.model, count(*) as calls,
                        count(*) filter (where c.class = 'ok') as answers,
                        coalesce(sum(c.prompt_tokens), 0)::bigint as prompt_tokens,
                        coalesce(sum(c.completion_tokens), 0)::bigint as completion_tokens,
                        sum(c.cost_microdollars)::bigint as cost_microdollars,
                        avg(c.latency_ms) filter (where c.class = 'ok') as mean_latency_ms
                 from llm_calls c join run_stages r on r.stage_id = c.stage_id
                 where r.run_id = $1 group by r.stage_id, r.name, c.endpoint, c.model order by r.stage_id, c.model",
            )
            .bind(run)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// Failed calls of a run's stages by class.
    pub async fn failed_calls(&self, run: RunId) -> StoreResult<Vec<FailedCalls>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select r.name as stage, c.class, count(*) as calls
                 from llm_calls c join run_stages r on r.stage_id = c.stage_id
                 where r.run_id = $1 and c.class <> 'ok' group by r.stage_id, r.name, c.class
                 order by r.stage_id, 3 desc",
            )
            .bind(run)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// Trainings of a run's stages, the latest for each folder.
    pub async fn trainings(&self, run: RunId) -> StoreResult<Vec<Training>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select distinct on (t.stage_id, t.out) t.id, case r.kind when 'train' then r.name else t.name end as name,
                        r.kind, t.objective, t.seed, b.objective as base_objective, b.name as base, t.model, t.pairs_train, t.parameters, t.total_steps, t.device, t.version, t.state,
                        extract(epoch from t.finished_at - t.started_at)::float8 as seconds, t.settings,
                        (select coalesce(sum(m.tokens), 0)::bigint from training_metrics m
                         where m.training_run_id = t.id) as tokens
                 from training_runs t join run_stages r on r.stage_id = t.stage_id and r.run_id = $1
                 left join training_runs b on b.id = t.base_training_run_id
                 order by t.stage_id, t.out, t.id desc",
            )
            .bind(run)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// The curves of trainings, in parts of equal numbers of steps.
    pub async fn curves(&self, trainings: &[TrainingRunId]) -> StoreResult<Vec<CurvePoint>> {
        let trainings: Vec<i64> = trainings.iter().map(|id| id.0).collect();
        self.retrying(|| async {
            sqlx::query_as(
                "with bounds as (select training_run_id, max(step) as last from training_metrics
                                 where training_run_id = any($1) group by 1)
                 select m.training_run_id, avg(m.step)::float8 as step, avg(m.loss) as loss, avg(m.rm_loss) as rm_loss,
                        avg(m.lm_loss) as lm_loss, avg(m.accuracy) as accuracy, avg(m.learning_rate) as learning_rate,
                        avg(m.gradient_norm) as gradient_norm
                 from training_metrics m join bounds b using (training_run_id)
                 group by m.training_run_id, (m.step - 1) / greatest(1, (b.last + $2 - 1) / $2) order by 1, 2",
            )
            .bind(&trainings)
            .bind(POINTS)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// What a run's evaluate stages measured, and what its trainings measured on the way: the latest of each.
    pub async fn all_evaluations(&self, run: RunId) -> StoreResult<Vec<Evaluation>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select distinct on (e.stage_id, t.stage_id, e.model, t.seed, e.data, e.metric, e.step)
                        er.name as stage, coalesce(case tr.kind when 'train' then tr.name end, t.name, e.model) as model, e.training_run_id, t.seed, e.step,
                        e.data, e.metric, e.value, e.low, e.high, e.confidence, e.n, e.details, e.created_at
                 from evaluations e
                 left join run_stages er on er.stage_id = e.stage_id and er.run_id = $1
                 left join training_runs t on t.id = e.training_run_id
                 left join run_stages tr on tr.stage_id = t.stage_id and tr.run_id = $1
                 where er.name is not null or (e.stage_id is null and tr.name is not null)
                 order by e.stage_id, t.stage_id, e.model, t.seed, e.data, e.metric, e.step, e.id desc",
            )
            .bind(run)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// Places on the curves that a run's stages have drawn.
    pub async fn curve_means(&self, run: RunId) -> StoreResult<Vec<CurveMean>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select r.name as stage, c.arm, c.share, c.tokens, c.pairs, c.metric, c.seeds, c.mean, c.low, c.high,
                        c.least, c.most, c.n
                 from curve_means c join run_stages r on r.stage_id = c.stage_id and r.run_id = $1
                 order by c.stage_id, c.metric, c.arm, c.share, c.step",
            )
            .bind(run)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// How the arms of these curves differ.
    pub async fn curve_differences(&self, run: RunId) -> StoreResult<Vec<CurveDifference>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select r.name as stage, c.arm, c.baseline, c.share, c.metric, c.arm_mean, c.baseline_mean, c.difference, c.low,
                        c.high, c.seeds, c.n
                 from curve_differences c join run_stages r on r.stage_id = c.stage_id and r.run_id = $1
                 order by c.stage_id, c.metric, c.arm, c.baseline, c.share, c.step",
            )
            .bind(run)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// Pairs to show: of readable length, evenly drawn, those that training sees first.
    pub async fn example_pairs(&self, stage: StageId, pairs: i64, rows: i64) -> StoreResult<Vec<PairId>> {
        self.retrying(|| async {
            sqlx::query_scalar(
                "select p.id from pairs p join completions c on c.id = p.chosen_id join completions r on r.id = p.rejected_id
                 where p.stage_id = $1 and p.id % $2 = 0
                 order by (length(c.text) between 150 and 1500 and length(r.text) between 80 and 2000) desc,
                          md5(p.id::text) limit $3",
            )
            .bind(stage)
            .bind((pairs / 20_000).max(1))
            .bind(rows)
            .fetch_all(self.pool())
            .await
        })
        .await
    }
}

//! `curve_points`: what the points of a curve were measured at; `curve_estimates`: what their seeds come to together.

use std::fmt;

use sqlx::FromRow;

use super::{Store, StoreResult};
use crate::ids::{RunId, ScoringId, StageId, TrainingRunId};

/// Which curve a point lies on, and where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// Sample efficiency: the share of the set.
    Share(f64),
    /// Scaling: the step of the checkpoint.
    Step(u64),
}

impl Place {
    fn columns(self) -> (&'static str, Option<f64>, Option<i64>) {
        match self {
            Self::Share(share) => ("sample_efficiency", Some(share), None),
            Self::Step(step) => ("scaling", None, Some(step as i64)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Rounded: 0.07 is 7.000000000000001 %.
            Self::Share(share) => write!(f, "{} %", (share * 1e6).round() / 1e4),
            Self::Step(step) => write!(f, "step {step}"),
        }
    }
}

/// A point's place among all: a point that is known by it needs not be made again.
#[derive(Clone, Debug, PartialEq)]
pub struct PointKey {
    /// What the training started from.
    pub arm: String,
    /// Where on the curve.
    pub place: Place,
    /// Seed.
    pub seed: u64,
    /// Tells the training pairs from others.
    pub data_mark: String,
    /// Tells the held-out pairs from others.
    pub test_mark: String,
}

/// A figure of a point.
#[derive(Clone, Debug, PartialEq)]
pub struct PointValue {
    /// What was measured, such as accuracy.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
    /// Items that were measured.
    pub n: u64,
    /// The scoring that holds them.
    pub scoring: Option<ScoringId>,
}

/// A finished point.
#[derive(Clone, Debug)]
pub struct NewPoint {
    /// The stage.
    pub stage: StageId,
    /// The run of the pipeline.
    pub run: RunId,
    /// The training that made its model.
    pub training: Option<TrainingRunId>,
    /// Its place.
    pub key: PointKey,
    /// Pairs of its set, or pairs seen.
    pub pairs: u64,
    /// Tokens trained on.
    pub tokens: Option<u64>,
    /// Wall time.
    pub seconds: f64,
    /// What it was measured at.
    pub values: Vec<PointValue>,
}

/// A row of `latest_curve_points`, as far as estimates need it.
#[derive(Clone, Debug, FromRow)]
pub struct LatestPoint {
    /// Identifier.
    pub id: i64,
    /// What the training started from.
    pub arm: String,
    /// Share of the set, of sample efficiency.
    pub share: Option<f64>,
    /// Step of the checkpoint, of scaling.
    pub step: Option<i64>,
    /// Tells the held-out items from others.
    pub test_mark: String,
    /// What was measured.
    pub metric: String,
    /// The scoring that holds the items.
    pub scoring_id: ScoringId,
}

/// What the seeds at a place of a curve come to, or how two arms differ there.
#[derive(Clone, Debug, PartialEq)]
pub struct CurveEstimate {
    /// What the trainings started from.
    pub arm: String,
    /// The arm that it is compared with.
    pub baseline: Option<String>,
    /// Share of the set, of sample efficiency.
    pub share: Option<f64>,
    /// Step of the checkpoint, of scaling.
    pub step: Option<i64>,
    /// What was measured.
    pub metric: String,
    /// The mean, or the difference.
    pub value: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
    /// Items.
    pub n: u64,
    /// The points that it is of: in ascending order, those of the arm before those of the baseline.
    pub points: Vec<i64>,
}

#[derive(FromRow)]
struct KeyRow {
    arm: String,
    share: Option<f64>,
    step: Option<i64>,
    seed: i64,
    data_mark: String,
    test_mark: String,
}

impl Store {
    /// Keeps a point, all its figures or none. A point that is there already stays as it is.
    pub async fn write_point(&self, new: &NewPoint) -> StoreResult<()> {
        let (curve, share, step) = new.key.place.columns();
        let float = |of: fn(&PointValue) -> f64| new.values.iter().map(of).collect::<Vec<_>>();
        let metrics: Vec<&str> = new.values.iter().map(|value| value.metric.as_str()).collect();
        let counts: Vec<i64> = new.values.iter().map(|value| value.n as i64).collect();
        let scorings: Vec<Option<ScoringId>> = new.values.iter().map(|value| value.scoring).collect();
        self.retrying(|| async {
            sqlx::query(
                "insert into curve_points (stage_id, run_id, training_run_id, curve, arm, share, step, seed, pairs, tokens,
                     data_mark, test_mark, seconds, metric, value, low, high, n, scoring_id)
                 select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, *
                 from unnest($14::text[], $15::float8[], $16::float8[], $17::float8[], $18::bigint[], $19::bigint[])
                 on conflict on constraint curve_points_once do nothing",
            )
            .bind(new.stage)
            .bind(new.run)
            .bind(new.training)
            .bind(curve)
            .bind(&new.key.arm)
            .bind(share)
            .bind(step)
            .bind(new.key.seed as i64)
            .bind(new.pairs as i64)
            .bind(new.tokens.map(|tokens| tokens as i64))
            .bind(&new.key.data_mark)
            .bind(&new.key.test_mark)
            .bind(new.seconds)
            .bind(&metrics)
            .bind(float(|value| value.value))
            .bind(float(|value| value.low))
            .bind(float(|value| value.high))
            .bind(&counts)
            .bind(&scorings)
            .execute(self.pool())
            .await
        })
        .await?;
        Ok(())
    }

    /// The points of a stage that are finished.
    pub async fn points_of(&self, stage: StageId) -> StoreResult<Vec<PointKey>> {
        let rows: Vec<KeyRow> = self
            .retrying(|| async {
                sqlx::query_as(
                    "select distinct arm, share, step, seed, data_mark, test_mark from curve_points where stage_id = $1",
                )
                .bind(stage)
                .fetch_all(self.pool())
                .await
            })
            .await?;
        let key = |row: KeyRow| {
            let place = match (row.share, row.step) {
                (Some(share), _) => Place::Share(share),
                (None, step) => Place::Step(step.unwrap_or_default() as u64),
            };
            let (arm, seed) = (row.arm, row.seed as u64);
            PointKey { arm, place, seed, data_mark: row.data_mark, test_mark: row.test_mark }
        };
        Ok(rows.into_iter().map(key).collect())
    }

    /// The newest points of a stage whose items were kept.
    pub async fn latest_points(&self, stage: StageId) -> StoreResult<Vec<LatestPoint>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select id, arm, share, step, test_mark, metric, scoring_id from latest_curve_points
                 where stage_id = $1 and scoring_id is not null order by id",
            )
            .bind(stage)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// The points of each estimate that a stage has.
    pub async fn estimated_points(&self, stage: StageId) -> StoreResult<Vec<Vec<i64>>> {
        self.retrying(|| async {
            sqlx::query_scalar("select points from curve_estimates where stage_id = $1")
                .bind(stage)
                .fetch_all(self.pool())
                .await
        })
        .await
    }

    /// Keeps estimates, all or none. One of the same points stays as it is.
    pub async fn write_curve_estimates(&self, stage: StageId, run: RunId, new: &[CurveEstimate]) -> StoreResult<()> {
        self.retrying(|| async {
            let mut tx = self.pool().begin().await?;
            for estimate in new {
                sqlx::query(
                    "insert into curve_estimates (stage_id, run_id, arm, baseline, share, step, metric, value, low, high, n,
                         points)
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                     on conflict on constraint curve_estimates_once do nothing",
                )
                .bind(stage)
                .bind(run)
                .bind(&estimate.arm)
                .bind(&estimate.baseline)
                .bind(estimate.share)
                .bind(estimate.step)
                .bind(&estimate.metric)
                .bind(estimate.value)
                .bind(estimate.low)
                .bind(estimate.high)
                .bind(estimate.n as i64)
                .bind(&estimate.points)
                .execute(&mut *tx)
                .await?;
            }
            tx.commit().await
        })
        .await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::testing::TestDatabase;

    async fn store(test: &TestDatabase) -> (Store, StageId, RunId) {
        let store = Store::from(test.database.clone());
        let stage: StageId = sqlx::query_scalar(
            "insert into stages (name, kind, fingerprint, settings) values ('curve', 'sample_efficiency', 'f', '{}')
             returning id",
        )
        .fetch_one(store.pool())
        .await
        .unwrap();
        let run: RunId = sqlx::query_scalar(
            "insert into runs (pipeline, file, definition, version, host, pid) values ('p', 'f', '', '0', 'h', 1) returning id",
        )
            .fetch_one(store.pool())
            .await
            .unwrap();
        (store, stage, run)
    }

    fn point(stage: StageId, run: RunId, place: Place, seed: u64, value: f64) -> NewPoint {
        let key = PointKey { arm: "pmp".into(), place, seed, data_mark: format!("{place:?}"), test_mark: "t".into() };
        let of = |metric: &str, value: f64| PointValue {
            metric: metric.into(),
            value,
            low: value - 0.2,
            high: value + 0.2,
            n: 50,
            scoring: None,
        };
        let values = vec![of("accuracy", value), of("rm_loss", 1.0 - value)];
        NewPoint { stage, run, training: None, key, pairs: 100, tokens: Some(9), seconds: 1.5, values }
    }

    #[test]
    fn places_are_shown_as_they_are_spoken_of() {
        let shown =
            [Place::Share(0.07), Place::Share(0.005), Place::Share(1.0), Place::Step(40)].map(|at| at.to_string());
        assert_eq!(shown, ["7 %", "0.5 %", "100 %", "step 40"]);
    }

    #[tokio::test]
    async fn a_scaling_curve_has_points_of_the_newest_training_alone() {
        let test = TestDatabase::new().await;
        let (store, stage, run) = store(&test).await;
        for (step, mark, value) in [(50, "before", 0.5), (324, "before", 0.6), (50, "now", 0.7), (332, "now", 0.8)] {
            let mut new = point(stage, run, Place::Step(step), 0, value);
            new.key.data_mark = mark.to_owned();
            store.write_point(&new).await.unwrap();
        }
        let curve = "select step, mean from scaling_curve where metric = 'accuracy' order by step";
        let curve: Vec<(i64, f64)> = sqlx::query_as(curve).fetch_all(store.pool()).await.unwrap();
        assert_eq!(curve, [(50, 0.7), (332, 0.8)]);
    }

    #[tokio::test]
    async fn a_point_that_is_sent_twice_counts_once_and_is_known() {
        let test = TestDatabase::new().await;
        let (store, stage, run) = store(&test).await;
        for place in [Place::Share(0.01), Place::Step(40)] {
            let new = point(stage, run, place, 3, 0.7);
            store.write_point(&new).await.unwrap();
            store.write_point(&NewPoint { seconds: 9.0, ..new.clone() }).await.unwrap();
            assert!(store.points_of(stage).await.unwrap().contains(&new.key), "{place:?}");
        }
        let (rows, seconds): (i64, f64) =
            sqlx::query_as("select count(*), sum(seconds) from curve_points").fetch_one(store.pool()).await.unwrap();
        assert_eq!((rows, seconds), (4, 6.0));
    }

    /// Means, bounds and differences as the views tell them.
    async fn means(store: &Store) -> Vec<(f64, i64, f64, Option<f64>, Option<f64>)> {
        let query =
            "select share, seeds, mean, low, high from sample_efficiency where metric = 'accuracy' and arm = 'pmp'
                     order by share";
        sqlx::query_as(query).fetch_all(store.pool()).await.unwrap()
    }

    #[tokio::test]
    async fn a_mean_over_seeds_has_the_interval_that_was_computed_of_just_these_points() {
        let test = TestDatabase::new().await;
        let (store, stage, run) = store(&test).await;
        let of_seed = |seed, value| point(stage, run, Place::Share(0.1), seed, value);
        for (seed, value) in [(0, 0.6), (1, 0.75)] {
            store.write_point(&of_seed(seed, value)).await.unwrap();
        }
        store.write_point(&point(stage, run, Place::Share(1.0), 0, 0.5)).await.unwrap();
        assert!(store.latest_points(stage).await.unwrap().is_empty(), "points without items cannot be resampled");
        let ids = async || -> Vec<i64> {
            let query = "select id from latest_curve_points where share = 0.1 and metric = 'accuracy' order by id";
            sqlx::query_scalar(query).fetch_all(store.pool()).await.unwrap()
        };
        let estimate = CurveEstimate {
            arm: "pmp".into(),
            baseline: None,
            share: Some(0.1),
            step: None,
            metric: "accuracy".into(),
            value: 0.675,
            low: 0.5,
            high: 0.8,
            n: 50,
            points: ids().await,
        };
        let other = CurveEstimate { metric: "rm_loss".into(), ..estimate.clone() };
        for _ in 0..2 {
            store.write_curve_estimates(stage, run, &[estimate.clone(), other.clone()]).await.unwrap();
        }
        assert_eq!(store.estimated_points(stage).await.unwrap(), [ids().await, ids().await]);
        let found = means(&store).await;
        assert_eq!(found[0], (0.1, 2, 0.675, Some(0.5), Some(0.8)));
        assert_eq!((found[1].1, found[1].3, found[1].4), (1, Some(0.3), Some(0.7)), "a single seed has its own");
        store.write_point(&of_seed(2, 0.9)).await.unwrap();
        let found = means(&store).await;
        assert_eq!((found[0].1, found[0].3), (3, None), "the interval was of two seeds");
    }

    #[tokio::test]
    async fn two_arms_differ_at_a_place_as_was_computed_of_their_points() {
        let test = TestDatabase::new().await;
        let (store, stage, run) = store(&test).await;
        for (arm, value) in [("pmp", 0.75), ("fresh", 0.5)] {
            let mut new = point(stage, run, Place::Share(0.1), 0, value);
            new.key.arm = arm.into();
            store.write_point(&new).await.unwrap();
        }
        let query = "select id from curve_points where metric = 'accuracy' order by arm desc";
        let estimate = CurveEstimate {
            arm: "pmp".into(),
            baseline: Some("fresh".into()),
            share: Some(0.1),
            step: None,
            metric: "accuracy".into(),
            value: 0.25,
            low: 0.125,
            high: 0.375,
            n: 50,
            points: sqlx::query_scalar(query).fetch_all(store.pool()).await.unwrap(),
        };
        store.write_curve_estimates(stage, run, &[estimate]).await.unwrap();
        let found: Vec<(String, String, f64, f64, f64)> =
            sqlx::query_as("select arm, baseline, difference, arm_mean, baseline_mean from curve_differences")
                .fetch_all(store.pool())
                .await
                .unwrap();
        assert_eq!(found, [("pmp".into(), "fresh".into(), 0.25, 0.75, 0.5)]);
        let mean = means(&store).await;
        assert_eq!((mean.len(), mean[0].1), (1, 1), "a difference is no mean");
    }
}

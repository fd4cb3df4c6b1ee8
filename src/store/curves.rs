//! `curve_points`: what the points of a curve were measured at.

use sqlx::FromRow;

use super::{Store, StoreResult};
use crate::ids::{RunId, StageId, TrainingRunId};

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
        self.retrying(|| async {
            sqlx::query(
                "insert into curve_points (stage_id, run_id, training_run_id, curve, arm, share, step, seed, pairs, tokens,
                     data_mark, test_mark, seconds, metric, value, low, high, n)
                 select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, *
                 from unnest($14::text[], $15::float8[], $16::float8[], $17::float8[], $18::bigint[])
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
        };
        let values = vec![of("accuracy", value), of("rm_loss", 1.0 - value)];
        NewPoint { stage, run, training: None, key, pairs: 100, tokens: Some(9), seconds: 1.5, values }
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

    #[tokio::test]
    async fn the_mean_over_seeds_has_the_interval_of_students_t() {
        let test = TestDatabase::new().await;
        let (store, stage, run) = store(&test).await;
        for (seed, value) in [0.6, 0.7, 0.8].into_iter().enumerate() {
            store.write_point(&point(stage, run, Place::Share(0.1), seed as u64, value)).await.unwrap();
        }
        store.write_point(&point(stage, run, Place::Share(1.0), 0, 0.9)).await.unwrap();
        store.write_point(&point(stage, run, Place::Step(7), 0, 0.5)).await.unwrap();
        let rows: Vec<(f64, i64, f64, f64, f64)> = sqlx::query_as(
            "select share, seeds, mean, low, high from sample_efficiency where metric = 'accuracy' order by share",
        )
        .fetch_all(store.pool())
        .await
        .unwrap();
        // Three values with a standard deviation of 0.1: half the interval is 4.303 * 0.1 / sqrt(3).
        let half = 4.303 * 0.1 / 3_f64.sqrt();
        let expected = [(0.1, 3, 0.7, 0.7 - half, 0.7 + half), (1.0, 1, 0.9, 0.7, 1.1)];
        assert_eq!(rows.len(), expected.len());
        for (row, expected) in rows.iter().zip(expected) {
            assert_eq!(row.1, expected.1);
            for (found, wanted) in [(row.0, expected.0), (row.2, expected.2), (row.3, expected.3), (row.4, expected.4)]
            {
                assert!((found - wanted).abs() < 1e-9, "{row:?} is not {expected:?}");
            }
        }
        let scaling: i64 = sqlx::query_scalar("select count(*) from scaling_curve where step = 7 and mean is not null")
            .fetch_one(store.pool())
            .await
            .unwrap();
        assert_eq!(scaling, 2);
    }
}

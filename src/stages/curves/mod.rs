//! Curves: many trainings, each a point that is measured on the same held-out pairs and kept as rows of `curve_points`.
//!
//! A point is made once: its rows are committed when it is trained and measured, and a run that was stopped goes on with
//! those that are missing. Its model is removed afterwards, unless it is to be kept. What is drawn over what is for the
//! two kinds of stage to say: [`sample_efficiency`] over shares of a set, [`scaling`] over checkpoints of a pretraining.

pub mod sample_efficiency;
pub mod scaling;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use tokio::task::spawn_blocking;

use super::AnyStage;
use super::training::{self, Computing, Job, Pairs, Recorder, WrongInput};
use crate::engine::Context;
use crate::eval::{Estimate, PairReward, accuracy};
use crate::progress::Meter;
use crate::store::curves::{NewPoint, PointKey, PointValue};
use crate::train::{Scorer, Trained};

/// Makes the points of one stage.
struct Drawer<'c> {
    context: &'c Context<AnyStage>,
    test: Arc<Pairs>,
    computing: &'c Computing,
    keep_models: bool,
    known: Vec<PointKey>,
}

impl<'c> Drawer<'c> {
    async fn new(
        context: &'c Context<AnyStage>,
        test: Arc<Pairs>,
        computing: &'c Computing,
        keep_models: bool,
    ) -> anyhow::Result<Self> {
        if test.is_empty() {
            return Err(WrongInput("there are no held-out pairs to measure on: see `test`".to_owned()).into());
        }
        let known = context.store.points_of(context.id()).await?;
        Ok(Self { context, test, computing, keep_models, known })
    }

    /// Folder for the model of a point, below `place`.
    fn folder(&self, place: &str) -> PathBuf {
        let own = self.context.stage();
        let name = format!("{}-{}", own.name, &own.fingerprint[..8]);
        let folder = self.context.data_dir.join("models").join(name).join(place);
        std::path::absolute(&folder).unwrap_or(folder)
    }

    /// Whether a point is finished; what a kill left of its model in `folder` goes then.
    async fn knows(&self, key: &PointKey, folder: &Path) -> bool {
        let known = self.known.contains(key);
        if known {
            self.context.meter().add_done(1);
            self.clear(folder.to_owned()).await;
        }
        known
    }

    /// Trains the model of a point; none after a shutdown.
    async fn train(&self, job: &Job) -> anyhow::Result<Option<Trained>> {
        let context = self.context;
        let recorder = Recorder::enter(&context.store, job, Some((context.run, context.id()))).await?;
        // Its own counter: that of the stage counts points.
        let meter = Meter::new(job.name.clone(), "train");
        let trained = training::run(job.clone(), recorder, meter, |_| {}, context.shutdown.clone()).await?;
        Ok(trained.finished.then_some(trained))
    }

    /// Measures the model in `folder`, and commits the point; false after a shutdown.
    async fn finish(
        &self,
        key: PointKey,
        folder: &Path,
        seen: (u64, Option<u64>),
        began: Instant,
    ) -> anyhow::Result<bool> {
        let context = self.context;
        let Some(values) = self.measure(folder).await? else { return Ok(false) };
        let out = folder.to_string_lossy();
        let training = context.store.training_that_made(&out).await?.map(|row| row.id);
        if let Some(first) = values.first() {
            context.meter().set_note(format!("{} {:?}: {} {:.3}", key.arm, key.place, first.metric, first.value));
        }
        let point = NewPoint {
            stage: context.id(),
            run: context.run,
            training,
            key,
            pairs: seen.0,
            tokens: seen.1,
            seconds: began.elapsed().as_secs_f64(),
            values,
        };
        context.store.write_point(&point).await.context("keeping a point of the curve")?;
        context.meter().add_done(1);
        Ok(true)
    }

    /// Removes the model of a point that is finished, and the fresh one that it started from.
    async fn clear(&self, folder: PathBuf) {
        if self.keep_models {
            return;
        }
        let mut fresh = folder.clone().into_os_string();
        fresh.push(".fresh");
        let removed = spawn_blocking(move || {
            for folder in [folder, PathBuf::from(fresh)] {
                match std::fs::remove_dir_all(&folder) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        tracing::warn!("{} is not needed any more and cannot be removed: {error}", folder.display());
                    }
                    _ => {}
                }
            }
        });
        let _ = removed.await;
    }

    async fn measure(&self, folder: &Path) -> anyhow::Result<Option<Vec<PointValue>>> {
        /// Pairs that are scored between two looks at the shutdown.
        const PART: usize = 256;
        let (folder, library) = (folder.to_owned(), self.context.data_dir.clone());
        let (test, computing) = (Arc::clone(&self.test), self.computing.clone());
        let shutdown = self.context.shutdown.clone();
        spawn_blocking(move || {
            let mut scorer = Scorer::open(&folder, &library, &computing)?;
            let mut rewards = Vec::new();
            for part in test.pairs.chunks(PART) {
                if shutdown.is_cancelled() {
                    return Ok(None);
                }
                rewards.extend(scorer.rewards(part)?.0);
            }
            let found = values(&rewards);
            found.map(Some).ok_or_else(|| WrongInput("no held-out pair fits into max_length".to_owned()).into())
        })
        .await
        .context("a bug: measuring ended early")?
    }
}

/// Accuracy, loss and margin on held-out pairs; none without pairs.
fn values(rewards: &[PairReward]) -> Option<Vec<PointValue>> {
    let found = accuracy(rewards, 0)?;
    let of = |Estimate { metric, value, low, high, n }| PointValue { metric, value, low, high, n };
    let losses: Vec<f64> = rewards.iter().map(|pair| loss(*pair)).filter(|loss| loss.is_finite()).collect();
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    let (low, high) = crate::eval::bootstrap::mean_interval(&losses, crate::eval::bootstrap::RESAMPLES, 0.95, 0)
        .unwrap_or((mean, mean));
    let mut values = vec![of(found.accuracy), of(found.margin)];
    if mean.is_finite() {
        values.push(PointValue { metric: "rm_loss".to_owned(), value: mean, low, high, n: losses.len() as u64 });
    }
    Some(values)
}

/// `-log sigmoid(chosen - rejected)`, without overflow.
fn loss(pair: PairReward) -> f64 {
    let lead = f64::from(pair.chosen) - f64::from(pair.rejected);
    (-lead).max(0.0) + (-lead.abs()).exp().ln_1p()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_point_has_accuracy_margin_and_loss_of_the_same_pairs() {
        let rewards = [(1.0, 0.0), (0.0, 2.0)].map(|(chosen, rejected)| PairReward { chosen, rejected });
        let found = values(&rewards).unwrap();
        let of = |name: &str| found.iter().find(|value| value.metric == name).unwrap();
        assert!((of("accuracy").value - 0.5).abs() < 1e-12 && (of("margin").value + 0.5).abs() < 1e-12);
        let expected = f64::midpoint((1.0 + (-1.0_f64).exp()).ln(), (1.0 + 2.0_f64.exp()).ln());
        assert!((of("rm_loss").value - expected).abs() < 1e-12 && of("rm_loss").n == 2);
        assert!(loss(PairReward { chosen: -1e30, rejected: 1e30 }).is_finite());
        assert_eq!(values(&[]), None);
    }
}

//! Curves: many trainings, each a point that is measured on the same held-out pairs and kept as rows of `curve_points`.
//!
//! A point is made once: its rows are committed when it is trained and measured, and a run that was stopped goes on with
//! those that are missing. Its model is removed afterwards, unless it is to be kept. What is drawn over what is for the
//! two kinds of stage to say: [`sample_efficiency`] over shares of a set, [`scaling`] over checkpoints of a pretraining.

mod estimates;
pub mod sample_efficiency;
pub mod scaling;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;

use self::estimates::{LOSS, loss, pair};
use super::AnyStage;
use super::measuring::{self, Asked, Data, Found};
use super::training::{self, Computing, Job, Pairs, Recorder, WrongInput};
use crate::engine::Context;
use crate::eval::bootstrap::mean_estimate;
use crate::eval::code::Judge;
use crate::eval::{Estimate, PairReward, accuracy};
use crate::ids::{ScoringId, TrainingRunId};
use crate::progress::Meter;
use crate::store::curves::{NewPoint, PointKey, PointValue};
use crate::train::Trained;

/// The model's folder within a point's.
const MODEL: &str = "model";

/// Makes the points of one stage.
struct Drawer<'c> {
    context: &'c Context<AnyStage>,
    /// Held-out pairs.
    test: Arc<Data>,
    /// Questions with samples, for best-of-N.
    questions: Option<Arc<Data>>,
    /// What runs their programs.
    judge: Option<Arc<dyn Judge>>,
    computing: &'c Computing,
    keep_models: bool,
    known: Vec<PointKey>,
}

impl<'c> Drawer<'c> {
    async fn new(
        context: &'c Context<AnyStage>,
        test: &Pairs,
        source: String,
        computing: &'c Computing,
        keep_models: bool,
    ) -> anyhow::Result<Self> {
        if test.is_empty() {
            return Err(WrongInput("there are no held-out pairs to measure on: see `test`".to_owned()).into());
        }
        let test = Arc::new(Data::pairs(test, source));
        let known = context.store.points_of(context.id()).await?;
        Ok(Self { context, test, questions: None, judge: None, computing, keep_models, known })
    }

    /// The same, measuring best-of-N on `questions` too.
    async fn with_questions(self, questions: Data) -> anyhow::Result<Self> {
        let judge = measuring::judge_for(&questions).await?;
        Ok(Self { questions: Some(Arc::new(questions)), judge, ..self })
    }

    /// Tells what points are measured on from other pairs and questions.
    fn test_mark(&self) -> String {
        match &self.questions {
            Some(questions) => format!("{} {}", self.test.mark, questions.mark),
            None => self.test.mark.clone(),
        }
    }

    /// Folder of a point: its model lies in `model`, beside what is needed on the way.
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
        let out = folder.to_string_lossy();
        let training = context.store.training_that_made(&out).await?.map(|row| row.id);
        let Some((found, scoring)) = self.measure(folder, &self.test, training).await? else { return Ok(false) };
        let rewards: Vec<PairReward> = found.rows.iter().filter_map(pair).collect();
        let mut values = values(&rewards, scoring);
        if let Some(questions) = &self.questions {
            let Some((best, scoring)) = self.measure(folder, questions, training).await? else { return Ok(false) };
            // At the largest N; the whole curve over N is for an evaluate stage.
            values.extend(best.figures.into_iter().take(1).map(|figure| value(figure.estimate, scoring)));
        }
        if let Some(first) = values.first() {
            context.meter().set_note(format!("{} at {}: {} {:.3}", key.arm, key.place, first.metric, first.value));
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

    /// Removes the folder of a point that is finished.
    async fn clear(&self, folder: PathBuf) {
        if self.keep_models {
            return;
        }
        match tokio::fs::remove_dir_all(&folder).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("{} is not needed any more and cannot be removed: {error}", folder.display());
            }
            _ => {}
        }
    }

    /// Measures a model, and keeps its rewards item by item; none after a shutdown.
    async fn measure(
        &self,
        folder: &Path,
        data: &Arc<Data>,
        training: Option<TrainingRunId>,
    ) -> anyhow::Result<Option<(Found, ScoringId)>> {
        let context = self.context;
        let asked = Asked {
            model: folder.to_owned(),
            data: Arc::clone(data),
            computing: self.computing.clone(),
            seed: 0,
            library_dir: context.data_dir.clone(),
            judge: self.judge.clone(),
        };
        let found = measuring::measure(&asked, Some(&context.store), None, &context.shutdown).await?;
        let Some(found) = found else { return Ok(None) };
        let scoring = match found.kept {
            Some(scoring) => scoring,
            // Figures are the point's.
            None => {
                measuring::keep(&context.store, &asked, &found, &[], Some((context.run, context.id())), training)
                    .await?
            }
        };
        Ok(Some((found, scoring)))
    }
}

fn value(Estimate { metric, value, low, high, n }: Estimate, scoring: ScoringId) -> PointValue {
    PointValue { metric, value, low, high, n, scoring: Some(scoring) }
}

/// Accuracy, margin and loss on held-out pairs; empty without pairs.
fn values(rewards: &[PairReward], scoring: ScoringId) -> Vec<PointValue> {
    let losses: Vec<f64> = rewards.iter().map(|pair| loss(*pair)).filter(|loss| loss.is_finite()).collect();
    let found = accuracy(rewards, 0).map(|found| [found.accuracy, found.margin]);
    found.into_iter().flatten().chain(mean_estimate(LOSS, &losses, 0)).map(|found| value(found, scoring)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_point_has_accuracy_margin_and_loss_of_the_same_pairs() {
        let rewards = [(1.0, 0.0), (0.0, 2.0)].map(|(chosen, rejected)| PairReward { chosen, rejected });
        let found = values(&rewards, ScoringId(1));
        let of = |name: &str| found.iter().find(|value| value.metric == name).unwrap();
        assert!((of("accuracy").value - 0.5).abs() < 1e-12 && (of("margin").value + 0.5).abs() < 1e-12);
        let expected = f64::midpoint((1.0 + (-1.0_f64).exp()).ln(), (1.0 + 2.0_f64.exp()).ln());
        assert!((of("rm_loss").value - expected).abs() < 1e-12 && of("rm_loss").n == 2);
        assert!(loss(PairReward { chosen: -1e30, rejected: 1e30 }).is_finite());
        assert_eq!(values(&[], ScoringId(1)), []);
    }
}

//! The steps of a run.

use std::collections::BTreeSet;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::prepare::Prepared;
use super::{finish, measure};
use crate::eval::PairReward;
use crate::eval::accuracy::{moments, win};
use crate::runtime::memory::peak_resident;
use crate::train::checkpoint::state::FORM;
use crate::train::checkpoint::{RunState, keep::keep};
use crate::train::data::{Batch, Epoch, step_batches};
use crate::train::error::Quantity;
use crate::train::folder::Disk;
use crate::train::model::{AdamW, Model, StepLosses};
use crate::train::spacing::geometric;
use crate::train::{HeldOut, StepMetrics, TrainError, TrainEvent, TrainJob, Trained};

pub(super) struct Run<'a> {
    disk: &'a dyn Disk,
    job: &'a TrainJob<'a>,
    prepared: Prepared,
    model: Model,
    told: &'a mut dyn FnMut(TrainEvent),
    /// Steps whose checkpoints stay.
    for_good: BTreeSet<u64>,
    epoch: Option<(u64, Epoch)>,
    trained: Trained,
    saved: u64,
    began: Instant,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        disk: &'a dyn Disk,
        job: &'a TrainJob<'a>,
        prepared: Prepared,
        model: Model,
        told: &'a mut dyn FnMut(TrainEvent),
    ) -> Self {
        let (settings, schedule) = (job.settings, &prepared.schedule);
        let stable =
            geometric(settings.geometric_first.unwrap_or(0), settings.geometric_factor, schedule.decay_start());
        let state = prepared.state.as_ref();
        let trained = Trained {
            finished: false,
            steps: prepared.done(),
            total_steps: schedule.total_steps,
            pairs: state.map_or(0, |state| state.pairs),
            tokens: state.map_or(0, |state| state.tokens),
            seconds: 0.0,
            checkpoint: prepared.checkpoint.clone(),
            last: None,
            before: None,
            after: None,
        };
        let (for_good, saved) = (stable.into_iter().collect(), trained.steps);
        Self { disk, job, prepared, model, told, for_good, epoch: None, trained, saved, began: Instant::now() }
    }

    /// Every step that is left, then the finished model.
    pub(super) fn all(mut self, stop: &CancellationToken) -> Result<Trained, TrainError> {
        let (settings, plan) = (self.job.settings, self.prepared.plan());
        (self.told)(TrainEvent::Started(Box::new(plan.clone())));
        if plan.done_steps == 0 {
            self.trained.before = self.measure()?;
        }
        let interval = settings.checkpoint_interval(plan.total_steps);
        while self.trained.steps < plan.total_steps {
            if stop.is_cancelled() {
                if self.trained.steps > self.saved {
                    self.save()?;
                }
                self.trained.seconds = self.began.elapsed().as_secs_f64();
                return Ok(self.trained);
            }
            self.step()?;
            let step = self.trained.steps;
            let last = step == plan.total_steps;
            if last || settings.evaluate_every.is_some_and(|every| step.is_multiple_of(every.max(1))) {
                self.trained.after = self.measure()?;
            }
            if last || step.is_multiple_of(interval) || self.for_good.contains(&step) {
                self.save()?;
            }
        }
        self.trained.finished = true;
        self.trained.seconds = self.began.elapsed().as_secs_f64();
        finish::folder(self.disk, self.job, &self.model, &plan, &self.trained)?;
        Ok(self.trained)
    }

    fn step(&mut self) -> Result<(), TrainError> {
        let (began, settings) = (Instant::now(), self.job.settings);
        let (number, epoch_steps) = (self.trained.steps + 1, self.prepared.epoch_steps);
        let (epoch, within) = ((number - 1) / epoch_steps, (number - 1) % epoch_steps);
        if self.epoch.as_ref().is_none_or(|(kept, _)| *kept != epoch) {
            let order = Epoch::new(settings.seed, epoch, self.prepared.train.pairs.len(), settings.batch_pairs);
            self.epoch = Some((epoch, order));
        }
        let indices = self.epoch.as_ref().map_or(&[][..], |(_, order)| order.step(within as usize));
        let batches = step_batches(&self.prepared.train.step(indices), &self.prepared.batches);
        self.model.zero_gradients().map_err(|error| self.failed(number, None, error))?;
        let mut sums = StepLosses::default();
        for batch in &batches {
            let found = self.model.forward_backward(batch);
            let found = found.map_err(|error| self.failed(number, Some(batch), error))?;
            let loss = f64::from(found.rm) + f64::from(found.lm) + f64::from(found.centre);
            let odd = found.chosen.iter().chain(&found.rejected).find(|reward| !reward.is_finite());
            if let Some(value) = odd.map(|reward| f64::from(*reward)).or_else(|| (!loss.is_finite()).then_some(loss)) {
                return Err(self.not_finite(Quantity::Loss, value, number, batch.pairs_ids.clone()));
            }
            sums.rm += found.rm;
            sums.lm += found.lm;
            sums.centre += found.centre;
            sums.chosen.extend(found.chosen);
            sums.rejected.extend(found.rejected);
        }
        let norm = self.model.gradient_norm().map_err(|error| self.failed(number, None, error))?;
        if !norm.is_finite() {
            let ids = batches.iter().flat_map(|batch| batch.pairs_ids.clone()).collect();
            return Err(self.not_finite(Quantity::Gradient, norm, number, ids));
        }
        let limit = f64::from(settings.clip);
        let clip = if limit > 0.0 && norm > limit { limit / norm } else { 1.0 };
        let update = AdamW {
            rate: self.prepared.schedule.rate(number),
            beta1: settings.beta1,
            beta2: settings.beta2,
            epsilon: settings.epsilon,
            decay: settings.decay(),
            step: number,
        };
        let updated = self.model.update(&update, clip);
        updated.map_err(|error| self.failed(number, None, error))?;
        self.trained.steps = number;
        self.trained.pairs += sums.chosen.len() as u64;
        self.trained.tokens += batches.iter().map(|batch| batch.tokens as u64).sum::<u64>();
        let metrics = self.metrics(&batches, &sums, norm, update.rate, began);
        self.trained.last = Some(metrics.clone());
        (self.told)(TrainEvent::Step(Box::new(metrics)));
        Ok(())
    }

    fn metrics(&self, batches: &[Batch], sums: &StepLosses, norm: f64, rate: f64, began: Instant) -> StepMetrics {
        let (settings, number) = (self.job.settings, self.trained.steps);
        let wins = sums.chosen.iter().zip(&sums.rejected).map(|(a, b)| win(PairReward { chosen: *a, rejected: *b }));
        let pairs = sums.chosen.len() as f64;
        let lead = sums.chosen.iter().zip(&sums.rejected).map(|(a, b)| f64::from(*a) - f64::from(*b)).sum::<f64>();
        let rewards: Vec<f64> = sums.chosen.iter().chain(&sums.rejected).map(|reward| f64::from(*reward)).collect();
        let (reward_mean, reward_std) = moments(&rewards);
        let tokens: u64 = batches.iter().map(|batch| batch.tokens as u64).sum();
        let places: u64 = batches.iter().map(|batch| batch.shape.tokens() as u64).sum();
        let seconds = began.elapsed().as_secs_f64();
        let coefficients = [settings.rm_weight(), settings.lm_weight(), settings.centre_coef].map(f64::from);
        let parts = [sums.rm, sums.lm, sums.centre].map(f64::from);
        StepMetrics {
            step: number,
            total_steps: self.trained.total_steps,
            epoch: number as f64 / self.prepared.epoch_steps as f64,
            phase: self.prepared.schedule.phase(number).as_str(),
            pairs: pairs as u64,
            loss: coefficients.iter().zip(parts).map(|(coefficient, part)| coefficient * part).sum(),
            rm_loss: parts[0],
            lm_loss: parts[1],
            centre: parts[2],
            accuracy: wins.sum::<f64>() / pairs,
            margin: lead / pairs,
            reward_mean,
            reward_std,
            gradient_norm: norm,
            learning_rate: rate,
            tokens,
            padding: 1.0 - tokens as f64 / places as f64,
            seconds,
            tokens_per_second: tokens as f64 / seconds,
            pairs_per_second: pairs / seconds,
            memory_bytes: peak_resident(),
        }
    }

    fn measure(&mut self) -> Result<Option<HeldOut>, TrainError> {
        let step = self.trained.steps;
        let rewards = measure::rewards(&mut self.model, &self.prepared.held_out.pairs, &self.prepared.batches);
        let rewards = rewards.map_err(|error| self.failed(step, None, error))?;
        let found = measure::held_out(&rewards, step, self.job.settings.seed);
        if let Some(found) = &found {
            (self.told)(TrainEvent::Measured(Box::new(found.clone())));
        }
        Ok(found)
    }

    fn save(&mut self) -> Result<(), TrainError> {
        let settings = self.job.settings;
        let state = RunState {
            form: FORM,
            step: self.trained.steps,
            epoch_steps: self.prepared.epoch_steps,
            pairs: self.trained.pairs,
            tokens: self.trained.tokens,
            schedule: self.prepared.schedule.clone(),
            settings: settings.clone(),
            fingerprint: settings.fingerprint(),
            data: self.prepared.data.clone(),
            model: self.job.model.display().to_string(),
            base: Some(self.prepared.base.clone()),
        };
        let path = finish::checkpoint(self.disk, self.job, &self.model, &state)?;
        keep(self.job.out, settings.keep_last.max(1), &self.for_good)?;
        self.saved = state.step;
        self.trained.checkpoint = Some(path.clone());
        (self.told)(TrainEvent::Saved { step: state.step, path });
        Ok(())
    }

    fn not_finite(&self, what: Quantity, value: f64, step: u64, pairs: Vec<i64>) -> TrainError {
        TrainError::NotFinite { what, value, step, pairs, checkpoint: self.trained.checkpoint.clone() }
    }

    fn failed(&self, step: u64, batch: Option<&Batch>, error: crate::runtime::RuntimeError) -> TrainError {
        let settings = self.job.settings;
        let at = match batch.map(|batch| batch.shape) {
            Some(shape) => format!("at step {step}, on {} rows of {} tokens", shape.rows, shape.length),
            None => format!("at step {step}"),
        };
        let advice = || {
            let save = if settings.activations == crate::train::Activations::Save {
                ", set activations to recompute"
            } else {
                ""
            };
            format!(
                "lower micro_tokens (now {}) or max_length (now {}){save}",
                settings.micro_tokens, settings.max_length
            )
        };
        TrainError::computing(at, advice, error)
    }
}

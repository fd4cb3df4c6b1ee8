//! A model on a device: weights, gradients and moments as flat buffers, and the sessions that read and write them where
//! they lie.
//!
//! A step runs layer by layer: all layers share a forward and a backward session, with their weights bound as inputs.
//! Gradients are summed in place over micro-batches; the batch's weights already make the sum the step's mean.
//!
//! Invariants: sessions are kept per batch shape, the latest `SHAPES` of them; all shapes use one memory for their
//! activations; nothing here draws random numbers, so on
//! the processor the same calls give the same bytes.

mod activations;
mod buffers;
mod shape;
mod update;

#[cfg(test)]
mod parity;
#[cfg(test)]
mod tests;

pub use update::AdamW;

use std::rc::Rc;

use activations::Arena;
use buffers::Buffers;
use shape::{Shape, Use};

use super::data::Batch;
use crate::nn::{Compute, LossSettings, ModelConfig, Parameter, Precision, Saving};
use crate::runtime::{Runtime, RuntimeError, Session};

/// Shapes whose sessions are kept.
const SHAPES: usize = 16;

/// How a model computes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ModelSettings {
    /// The training objective.
    pub losses: LossSettings,
    /// The type of matrix products.
    pub precision: Precision,
    /// What a layer's backward pass starts from.
    pub saving: Saving,
    /// Whether weights and gradients stay in host memory.
    pub weights_on_host: bool,
    /// Whether the optimizer's moments stay in host memory.
    pub optimizer_on_host: bool,
}

impl ModelSettings {
    /// How graphs compute on a device.
    fn compute(&self, runtime: &Runtime) -> Compute {
        Compute { precision: self.precision, fused_norms: runtime.device().fuses_norms() }
    }
}

/// What a micro-batch contributes to a step: parts of the step's losses, before their coefficients, and its pairs' rewards.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepLosses {
    /// The Bradley-Terry loss.
    pub rm: f32,
    /// The language model's loss.
    pub lm: f32,
    /// The centring term.
    pub centre: f32,
    /// Rewards of the real pairs' chosen answers.
    pub chosen: Vec<f32>,
    /// Rewards of their rejected ones.
    pub rejected: Vec<f32>,
}

/// A model that is trained or scores.
pub struct Model {
    runtime: Runtime,
    config: ModelConfig,
    settings: ModelSettings,
    buffers: Buffers,
    shapes: Vec<Rc<Shape>>,
    arena: Arena,
    optimizer: Option<update::Optimizer>,
    squares: Session,
}

impl Model {
    /// A model to train, with the numbers that `weights` gives for each parameter.
    ///
    /// # Errors
    /// What `weights` says; a device that cannot compute with the precision, or has too little memory.
    pub fn load<E: From<RuntimeError>>(
        runtime: &Runtime,
        config: &ModelConfig,
        settings: ModelSettings,
        weights: impl FnMut(&Parameter) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        Self::with(runtime, config, settings, true, weights)
    }

    /// A model that only scores: no memory is taken for gradients and moments.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn scorer<E: From<RuntimeError>>(
        runtime: &Runtime,
        config: &ModelConfig,
        weights: impl FnMut(&Parameter) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        Self::with(runtime, config, ModelSettings::default(), false, weights)
    }

    fn with<E: From<RuntimeError>>(
        runtime: &Runtime,
        config: &ModelConfig,
        settings: ModelSettings,
        trains: bool,
        mut weights: impl FnMut(&Parameter) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let buffers = Buffers::new(runtime, config, &settings, trains)?;
        for (index, parameter) in buffers.parameters.iter().enumerate() {
            buffers.weights.parts[index].write_f32(&weights(parameter)?)?;
        }
        Ok(Self {
            runtime: runtime.clone(),
            config: config.clone(),
            settings,
            buffers,
            shapes: Vec::new(),
            arena: Arena::default(),
            optimizer: None,
            squares: runtime.session(&crate::nn::sum_of_squares())?,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Rewards and losses of a micro-batch; its gradients are added to those of the step.
    ///
    /// # Errors
    /// When the device fails or has too little memory.
    pub fn forward_backward(&mut self, batch: &Batch) -> Result<StepLosses, RuntimeError> {
        let shape = self.shape(batch, Use::Train)?;
        let on = self.arena.lay(&self.runtime, &shape)?;
        shape.give(batch, &on)?;
        shape.forward(&self.buffers, &on)?;
        let [rm, lm, centre] = shape.backward(&self.buffers, &on)?;
        let (pairs, real) = (batch.shape.pairs, batch.pairs_ids.len());
        let rewards = shape.rewards()?;
        let (chosen, rejected) = rewards.split_at(pairs);
        Ok(StepLosses { rm, lm, centre, chosen: chosen[..real].to_vec(), rejected: rejected[..real].to_vec() })
    }

    /// Rewards at the places of `batch.last`.
    ///
    /// # Errors
    /// As [`Model::forward_backward`].
    pub fn score(&mut self, batch: &Batch) -> Result<Vec<f32>, RuntimeError> {
        let shape = self.shape(batch, Use::Score)?;
        let on = self.arena.lay(&self.runtime, &shape)?;
        shape.give(batch, &on)?;
        match shape.forward(&self.buffers, &on)? {
            Some(rewards) => Ok(rewards),
            None => shape.rewards(),
        }
    }

    /// A parameter's numbers.
    ///
    /// # Errors
    /// When the device fails, or the parameter is not one of this model's.
    pub fn read(&self, parameter: &Parameter) -> Result<Vec<f32>, RuntimeError> {
        self.buffers.weights.of(&self.buffers, parameter)?.read_f32()
    }

    /// A parameter's gradient, summed over the micro-batches since [`Model::zero_gradients`].
    ///
    /// # Errors
    /// As [`Model::read`]; a model that only scores has none.
    pub fn read_gradient(&self, parameter: &Parameter) -> Result<Vec<f32>, RuntimeError> {
        self.buffers.gradients()?.of(&self.buffers, parameter)?.read_f32()
    }

    /// Sets a parameter's gradient.
    ///
    /// # Errors
    /// As [`Model::read_gradient`]; when there are not as many numbers as the parameter has.
    pub(super) fn write_gradient(&self, parameter: &Parameter, numbers: &[f32]) -> Result<(), RuntimeError> {
        self.buffers.gradients()?.of(&self.buffers, parameter)?.write_f32(numbers)
    }

    /// A parameter's first and second moment.
    ///
    /// # Errors
    /// As [`Model::read_gradient`].
    pub fn read_moments(&self, parameter: &Parameter) -> Result<[Vec<f32>; 2], RuntimeError> {
        let [first, second] = self.buffers.moments()?;
        Ok([first.of(&self.buffers, parameter)?.read_f32()?, second.of(&self.buffers, parameter)?.read_f32()?])
    }

    /// Sets a parameter's first and second moment, to go on from a checkpoint.
    ///
    /// # Errors
    /// As [`Model::read_gradient`]; when there are not as many numbers as the parameter has.
    pub fn write_moments(&self, parameter: &Parameter, moments: &[Vec<f32>; 2]) -> Result<(), RuntimeError> {
        for (buffer, numbers) in self.buffers.moments()?.into_iter().zip(moments) {
            buffer.of(&self.buffers, parameter)?.write_f32(numbers)?;
        }
        Ok(())
    }

    /// The sessions of a batch's shape; the one used longest ago makes room.
    fn shape(&mut self, batch: &Batch, wanted: Use) -> Result<Rc<Shape>, RuntimeError> {
        let key = batch.shape;
        let key = if wanted == Use::Score { key.without_lm() } else { key };
        if let Some(at) = self.shapes.iter().position(|shape| shape.key == key && shape.wanted == wanted) {
            let found = self.shapes.remove(at);
            self.shapes.push(found);
        } else {
            if self.shapes.len() == SHAPES {
                self.shapes.remove(0);
            }
            self.shapes.push(Rc::new(Shape::new(&self.runtime, &self.config, &self.settings, key, wanted)?));
        }
        Ok(Rc::clone(&self.shapes[self.shapes.len() - 1]))
    }
}

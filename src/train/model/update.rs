//! The end of an optimizer step: the gradient's norm, and AdamW.

use super::Model;
use crate::graph::Type;
use crate::nn::{ADAMW_IN_PLACE, adamw};
use crate::runtime::{RuntimeError, Session, Tensor};

/// Numbers that are updated at a time, so that temporaries stay in the cache.
const PART: usize = 1 << 20;

/// One update. Betas and epsilon must stay the same over a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// The learning rate of the step.
    pub rate: f64,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Weight decay, decoupled; none on norms and biases.
    pub decay: f32,
    /// The step, from 1.
    pub step: u64,
}

pub(super) struct Optimizer {
    session: Session,
    /// `clip`, `rate`, `root`, `keep`.
    numbers: [Tensor; 4],
    betas: (f32, f32, f32),
}

impl Model {
    /// Forgets the gradients, before a step's first micro-batch.
    ///
    /// # Errors
    /// When the device fails; a model that only scores has none.
    pub fn zero_gradients(&self) -> Result<(), RuntimeError> {
        self.buffers.gradients()?.all.zero()
    }

    /// The gradient's global norm; NaN or infinite where a part of it is.
    ///
    /// # Errors
    /// As [`Model::zero_gradients`].
    pub fn gradient_norm(&self) -> Result<f64, RuntimeError> {
        let all = &self.buffers.gradients()?.all;
        let sum = self.runtime.host_tensor(Type::F32, &[1])?;
        let mut squares = 0.0;
        for (start, count) in parts(0, all.elements()) {
            self.squares.run(&[("g", &all.view(start, &[count])?)], &[("sum", &sum)])?;
            squares += f64::from(sum.read_f32()?[0]);
        }
        Ok(squares.sqrt())
    }

    /// Moves the weights against the gradient times `clip`.
    ///
    /// # Errors
    /// As [`Model::zero_gradients`].
    pub fn update(&mut self, step: &AdamW, clip: f64) -> Result<(), RuntimeError> {
        let betas = (step.beta1, step.beta2, step.epsilon);
        if self.optimizer.as_ref().is_none_or(|optimizer| optimizer.betas != betas) {
            let number = || self.runtime.host_tensor(Type::F32, &[1]);
            let graph = adamw(step.beta1, step.beta2, step.epsilon);
            self.optimizer = Some(Optimizer {
                session: self.runtime.session_in_place(&graph, &ADAMW_IN_PLACE)?,
                numbers: [number()?, number()?, number()?, number()?],
                betas,
            });
        }
        let Some(optimizer) = &self.optimizer else { return Ok(()) };
        let power = |beta: f32| 1.0 - f64::from(beta).powf(step.step as f64);
        let [clipped, rate, root, keep] = &optimizer.numbers;
        clipped.write_f32(&[clip as f32])?;
        rate.write_f32(&[(step.rate / power(step.beta1)) as f32])?;
        root.write_f32(&[(1.0 / power(step.beta2).sqrt()) as f32])?;
        let (weights, gradients) = (&self.buffers.weights.all, &self.buffers.gradients()?.all);
        let [first, second] = self.buffers.moments()?;
        let (decayed, total) = (self.buffers.decayed, weights.elements());
        for (from, to, decay) in [(0, decayed, step.decay), (decayed, total, 0.0)] {
            keep.write_f32(&[(1.0 - step.rate * f64::from(decay)) as f32])?;
            for (start, count) in parts(from, to) {
                let part = |of: &Tensor| of.view(start, &[count]);
                let (p, g, m, v) = (part(weights)?, part(gradients)?, part(&first.all)?, part(&second.all)?);
                let inputs = [
                    ("p", &p),
                    ("g", &g),
                    ("m", &m),
                    ("v", &v),
                    ("clip", clipped),
                    ("rate", rate),
                    ("root", root),
                    ("keep", keep),
                ];
                optimizer.session.run(&inputs, &[("p_out", &p), ("m_out", &m), ("v_out", &v)])?;
            }
        }
        Ok(())
    }
}

fn parts(from: usize, to: usize) -> impl Iterator<Item = (usize, usize)> {
    (from..to).step_by(PART).map(move |start| (start, PART.min(to - start)))
}

//! All parameters of a kind in one buffer: those with weight decay first, so that the optimizer runs over two flat parts.

use super::ModelSettings;
use crate::graph::Type;
use crate::nn::{ModelConfig, Parameter, Place};
use crate::runtime::{Runtime, RuntimeError, Tensor};

/// A number for every number of the model.
pub(super) struct Buffer {
    pub(super) all: Tensor,
    /// A view per parameter, in the order of [`Buffers::parameters`].
    pub(super) parts: Vec<Tensor>,
}

pub(super) struct Buffers {
    /// In the order of the buffers.
    pub(super) parameters: Vec<Parameter>,
    /// Numbers with weight decay; the rest follow.
    pub(super) decayed: usize,
    pub(super) weights: Buffer,
    /// Gradients and both moments, where the model is trained.
    training: Option<[Buffer; 3]>,
}

impl Buffers {
    pub(super) fn new(
        runtime: &Runtime,
        config: &ModelConfig,
        settings: &ModelSettings,
        trains: bool,
    ) -> Result<Self, RuntimeError> {
        let mut parameters = config.parameters();
        parameters.sort_by_key(|parameter| !parameter.decay);
        let decayed = parameters.iter().filter(|parameter| parameter.decay).map(Parameter::elements).sum();
        let buffer = |on_host: bool| Buffer::new(runtime, &parameters, on_host);
        let weights = buffer(settings.weights_on_host)?;
        let training = if trains {
            let moments = || buffer(settings.optimizer_on_host);
            Some([buffer(settings.weights_on_host)?, moments()?, moments()?])
        } else {
            None
        };
        Ok(Self { parameters, decayed, weights, training })
    }

    fn trained(&self) -> Result<&[Buffer; 3], RuntimeError> {
        self.training.as_ref().ok_or_else(|| RuntimeError::Misused {
            session: "model".to_owned(),
            message: "it only scores: it has no gradients and moments".to_owned(),
        })
    }

    pub(super) fn gradients(&self) -> Result<&Buffer, RuntimeError> {
        Ok(&self.trained()?[0])
    }

    pub(super) fn moments(&self) -> Result<[&Buffer; 2], RuntimeError> {
        let [_, first, second] = self.trained()?;
        Ok([first, second])
    }

    /// The index of what is used at a place; a tied head is the embedding.
    pub(super) fn at(&self, place: Place) -> usize {
        let find = |place: Place| self.parameters.iter().position(|parameter| parameter.place == place);
        find(place).or_else(|| find(Place::Embedding)).unwrap_or(0)
    }
}

impl Buffer {
    fn new(runtime: &Runtime, parameters: &[Parameter], on_host: bool) -> Result<Self, RuntimeError> {
        let total = parameters.iter().map(Parameter::elements).sum();
        let all =
            if on_host { runtime.host_tensor(Type::F32, &[total])? } else { runtime.tensor(Type::F32, &[total])? };
        let mut start = 0;
        let mut parts = Vec::with_capacity(parameters.len());
        for parameter in parameters {
            parts.push(all.view(start, &parameter.shape)?);
            start += parameter.elements();
        }
        Ok(Self { all, parts })
    }

    pub(super) fn of(&self, buffers: &Buffers, parameter: &Parameter) -> Result<&Tensor, RuntimeError> {
        let found = buffers.parameters.iter().position(|other| other.name == parameter.name);
        found.map(|index| &self.parts[index]).ok_or_else(|| RuntimeError::Misused {
            session: "model".to_owned(),
            message: format!("it has no parameter {}", parameter.name),
        })
    }
}

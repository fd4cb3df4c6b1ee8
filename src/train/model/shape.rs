//! The sessions and activations for batches of one shape.

use super::ModelSettings;
use super::buffers::{Buffer, Buffers};
use crate::graph::Type;
use crate::nn::{self, BatchShape, LayerWeight, ModelConfig, Place};
use crate::runtime::{Runtime, RuntimeError, Session, Tensor};
use crate::train::data::Batch;

/// What a shape's sessions are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Train,
    Score,
}

pub(super) struct Shape {
    pub(super) key: BatchShape,
    pub(super) wanted: Use,
    layers: Vec<Vec<(LayerWeight, usize)>>,
    mask: Session,
    embed: Session,
    forward: Session,
    /// When scoring: the head. When training: losses and gradients.
    head: Session,
    training: Option<Training>,
    /// The batch, by the names of the graphs' inputs.
    given: Vec<(&'static str, Tensor)>,
    around: Vec<(&'static str, Tensor)>,
    /// The residual stream before each layer and after the last; when scoring two, in turns.
    streams: Vec<Tensor>,
    rewards: Tensor,
}

struct Training {
    backward: Session,
    embed_backward: Session,
    /// `(sum, grad)` of each weight.
    names: Vec<(String, String)>,
    saved_names: Vec<String>,
    /// By layer.
    saved: Vec<Vec<Tensor>>,
    slopes: [Tensor; 2],
    losses: [Tensor; 3],
}

impl Shape {
    pub(super) fn new(
        runtime: &Runtime,
        config: &ModelConfig,
        settings: &ModelSettings,
        key: BatchShape,
        wanted: Use,
    ) -> Result<Self, RuntimeError> {
        let tokens = key.tokens();
        let floats = |shape: &[usize]| runtime.tensor(Type::F32, shape);
        let integers = |shape: &[usize]| runtime.host_tensor(Type::I64, shape);
        let mut given = vec![("ids", integers(&[tokens])?), ("last", integers(&[2 * key.pairs])?)];
        for name in ["pair", "branch", "positions"] {
            given.push((name, integers(&[key.rows, key.length])?));
        }
        let graphs = nn::layer(config, key, settings.precision, settings.saving)?;
        let head = if wanted == Use::Train {
            given.extend([("lm_rows", integers(&[key.lm_tokens])?), ("lm_labels", integers(&[key.lm_tokens])?)]);
            given.push(("lm_weights", runtime.host_tensor(Type::F32, &[key.lm_tokens])?));
            for name in ["pair_weights", "margins"] {
                given.push((name, runtime.host_tensor(Type::F32, &[key.pairs])?));
            }
            let pairs = &nn::HEAD_IN_PLACE[..if key.lm_tokens > 0 { 3 } else { 2 }];
            runtime.session_in_place(&nn::head(config, key, settings.precision, &settings.losses)?, pairs)?
        } else {
            runtime.session(&nn::score_head(config, key))?
        };
        let half = config.head_dim / 2;
        let mut around = vec![("mask", floats(&[key.rows, 1, 1, key.length, key.length])?)];
        for (name, numbers) in ["cos", "sin"].into_iter().zip(nn::rotary_tables(config, key.length)) {
            let table = floats(&[key.length, half])?;
            table.write_f32(&numbers)?;
            around.push((name, table));
        }
        let stream = || floats(&[tokens, config.hidden_size]);
        let count = if wanted == Use::Train { config.num_layers + 1 } else { 2 };
        let training = if wanted == Use::Train {
            let names = nn::layer::in_place(config);
            let pairs: Vec<(&str, &str)> = names.iter().map(|(sum, grad)| (sum.as_str(), grad.as_str())).collect();
            let layer = |_| graphs.saved.iter().map(|saved| runtime.tensor(saved.of, &saved.shape)).collect();
            Some(Training {
                backward: runtime.session_in_place(&graphs.backward, &pairs)?,
                embed_backward: runtime.session_in_place(&nn::embed_backward(config, key), &[("sum", "grad")])?,
                names,
                saved_names: graphs.saved.iter().map(|saved| saved.name.clone()).collect(),
                saved: (0..config.num_layers).map(layer).collect::<Result<_, _>>()?,
                slopes: [stream()?, stream()?],
                losses: [floats(&[])?, floats(&[])?, floats(&[])?],
            })
        } else {
            None
        };
        Ok(Self {
            key,
            wanted,
            layers: Vec::new(),
            mask: runtime.session(&nn::mask(config, key))?,
            embed: runtime.session(&nn::embed(config, key))?,
            forward: runtime.session(&graphs.forward)?,
            head,
            training,
            given,
            around,
            streams: (0..count).map(|_| stream()).collect::<Result<_, _>>()?,
            rewards: runtime.host_tensor(Type::F32, &[2 * key.pairs])?,
        }
        .with_layers(config))
    }

    fn with_layers(mut self, config: &ModelConfig) -> Self {
        let weights = LayerWeight::all(config);
        self.layers =
            (0..config.num_layers).map(|layer| weights.iter().map(|weight| (*weight, layer)).collect()).collect();
        self
    }

    /// Writes a batch to where the sessions read it, and makes its mask.
    pub(super) fn give(&self, batch: &Batch) -> Result<(), RuntimeError> {
        for (name, tensor) in &self.given {
            match *name {
                "ids" => tensor.write_i64(&batch.ids)?,
                "last" => tensor.write_i64(&batch.last)?,
                "pair" => tensor.write_i64(&batch.pair)?,
                "branch" => tensor.write_i64(&batch.branch)?,
                "positions" => tensor.write_i64(&batch.positions)?,
                "lm_rows" => tensor.write_i64(&batch.lm_rows)?,
                "lm_labels" => tensor.write_i64(&batch.lm_labels)?,
                "lm_weights" => tensor.write_f32(&batch.lm_weights)?,
                "pair_weights" => tensor.write_f32(&batch.pair_weights)?,
                _ => tensor.write_f32(&batch.margins)?,
            }
        }
        self.mask.run(&self.inputs(&[]), &[("mask", &self.around[0].1)])
    }

    fn inputs<'a>(&'a self, more: &[(&'a str, &'a Tensor)]) -> Vec<(&'a str, &'a Tensor)> {
        let own = self.given.iter().chain(&self.around).map(|(name, tensor)| (*name, tensor));
        own.chain(more.iter().copied()).collect()
    }

    fn weights<'a>(&self, layer: usize, buffers: &Buffers, buffer: &'a Buffer) -> Vec<(&'static str, &'a Tensor)> {
        let part = |(weight, layer): &(LayerWeight, usize)| {
            (weight.name(), &buffer.parts[buffers.at(Place::Layer(*layer, *weight))])
        };
        self.layers[layer].iter().map(part).collect()
    }

    /// The residual stream through all layers; when scoring, the rewards too.
    pub(super) fn forward(&self, buffers: &Buffers) -> Result<Option<Vec<f32>>, RuntimeError> {
        let part = |place: Place| &buffers.weights.parts[buffers.at(place)];
        let embedding = part(Place::Embedding);
        self.embed.run(&self.inputs(&[("embedding", embedding)]), &[("x", &self.streams[0])])?;
        let count = self.streams.len();
        for layer in 0..self.layers.len() {
            let (x, y) = (&self.streams[layer % count], &self.streams[(layer + 1) % count]);
            let mut more = self.weights(layer, buffers, &buffers.weights);
            more.push(("x", x));
            let mut outputs = vec![("y", y)];
            if let Some(training) = &self.training {
                outputs.extend(training.saved_names.iter().map(String::as_str).zip(&training.saved[layer]));
            }
            self.forward.run(&self.inputs(&more), &outputs)?;
        }
        if self.training.is_some() {
            return Ok(None);
        }
        let x = &self.streams[self.layers.len() % count];
        let more = [("x", x), ("norm", part(Place::FinalNorm)), ("score", part(Place::Score))];
        self.head.run(&self.inputs(&more), &[("rewards", &self.rewards)])?;
        self.rewards().map(Some)
    }

    pub(super) fn rewards(&self) -> Result<Vec<f32>, RuntimeError> {
        self.rewards.read_f32()
    }

    /// Losses `[rm, lm, centre]`, and the gradients added to their sums.
    pub(super) fn backward(&self, buffers: &Buffers, batch: &Batch) -> Result<[f32; 3], RuntimeError> {
        let Some(training) = &self.training else {
            return Err(RuntimeError::Misused { session: "model".into(), message: "it only scores".into() });
        };
        let sums = buffers.gradients()?;
        let weight = |place: Place| &buffers.weights.parts[buffers.at(place)];
        let sum = |place: Place| &sums.parts[buffers.at(place)];
        let [rm, lm, centre] = &training.losses;
        let spoken = self.key.lm_tokens > 0;
        lm.zero()?;
        let mut inputs = vec![("x", &self.streams[self.layers.len()]), ("head", weight(Place::LmHead))];
        inputs.extend([("norm", weight(Place::FinalNorm)), ("score", weight(Place::Score))]);
        let mut outputs = vec![("rewards", &self.rewards), ("rm", rm), ("centre", centre), ("dx", &training.slopes[0])];
        let heads = [("norm", Place::FinalNorm), ("score", Place::Score), ("head", Place::LmHead)];
        for ((sum_name, grad_name), (_, place)) in nn::HEAD_IN_PLACE.into_iter().zip(heads) {
            inputs.push((sum_name, sum(place)));
            if place != Place::LmHead || spoken {
                outputs.push((grad_name, sum(place)));
            }
        }
        if spoken {
            outputs.push(("lm", lm));
        }
        self.head.run(&self.inputs(&inputs), &outputs)?;
        for layer in (0..self.layers.len()).rev() {
            let turn = self.layers.len() - 1 - layer;
            let (dy, dx) = (&training.slopes[turn % 2], &training.slopes[(turn + 1) % 2]);
            let mut inputs = self.weights(layer, buffers, &buffers.weights);
            inputs.extend([("x", &self.streams[layer]), ("dy", dy)]);
            inputs.extend(training.saved_names.iter().map(String::as_str).zip(&training.saved[layer]));
            let mut outputs = vec![("dx", dx)];
            let parts = self.weights(layer, buffers, sums);
            for ((sum_name, grad_name), (_, part)) in training.names.iter().zip(parts) {
                inputs.push((sum_name.as_str(), part));
                outputs.push((grad_name.as_str(), part));
            }
            training.backward.run(&self.inputs(&inputs), &outputs)?;
        }
        let dx = &training.slopes[self.layers.len() % 2];
        let embedding = sum(Place::Embedding);
        training.embed_backward.run(&self.inputs(&[("dx", dx), ("sum", embedding)]), &[("grad", embedding)])?;
        debug_assert_eq!(batch.shape, self.key);
        let read = |loss: &Tensor| loss.read_f32().map(|numbers| numbers[0]);
        Ok([read(rm)?, read(lm)?, read(centre)?])
    }
}

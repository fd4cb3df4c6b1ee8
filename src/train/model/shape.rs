//! The sessions for batches of one shape, and how they run one after the other.

use super::ModelSettings;
use super::activations::Activations;
use super::buffers::{Buffer, Buffers};
use crate::graph::Type;
use crate::nn::{self, BatchShape, Depth, LayerWeight, ModelConfig, Place, Saved};
use crate::runtime::{Runtime, RuntimeError, Session, Tensor};
use crate::train::data::Batch;

/// What a shape's sessions are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Train,
    Score,
}

/// What of the configuration decides the sizes of activations.
pub(super) struct Sizes {
    pub(super) layers: usize,
    pub(super) hidden: usize,
}

pub(super) struct Shape {
    pub(super) key: BatchShape,
    pub(super) wanted: Use,
    pub(super) sizes: Sizes,
    weights: Vec<LayerWeight>,
    mask: Session,
    embed: Session,
    /// All layers but the last; none where there is one layer.
    inner: Option<Layer>,
    last: Layer,
    /// When scoring: the head. When training: losses and gradients.
    head: Session,
    training: Option<Training>,
    /// The batch and the rotary tables, by the names of the graphs' inputs.
    given: Vec<(&'static str, Tensor)>,
    rewards: Tensor,
}

struct Layer {
    forward: Session,
    backward: Option<Session>,
    saved: Vec<Saved>,
}

struct Training {
    embed_backward: Session,
    /// `(sum, grad)` of each weight.
    names: Vec<(String, String)>,
    losses: [Tensor; 3],
}

impl Layer {
    fn new(
        runtime: &Runtime,
        config: &ModelConfig,
        settings: &ModelSettings,
        key: BatchShape,
        depth: Depth,
        wanted: Use,
    ) -> Result<Self, RuntimeError> {
        let graphs = nn::layer(config, key, depth, settings.compute(runtime), settings.saving)?;
        if wanted == Use::Score {
            // Nothing is saved: what only a backward pass reads is no output.
            let forward = runtime.session(&graphs.forward)?;
            return Ok(Self { forward, backward: None, saved: Vec::new() });
        }
        let names = nn::layer::in_place(config);
        let pairs: Vec<(&str, &str)> = names.iter().map(|(sum, grad)| (sum.as_str(), grad.as_str())).collect();
        Ok(Self {
            forward: runtime.session(&graphs.forward)?,
            backward: Some(runtime.session_in_place(&graphs.backward, &pairs)?),
            saved: graphs.saved,
        })
    }

    fn backward(&self) -> Result<&Session, RuntimeError> {
        self.backward.as_ref().ok_or_else(only_scores)
    }
}

fn only_scores() -> RuntimeError {
    RuntimeError::Misused { session: "model".into(), message: "it only scores".into() }
}

type Inputs<'a> = Vec<(&'a str, &'a Tensor)>;

impl Shape {
    pub(super) fn new(
        runtime: &Runtime,
        config: &ModelConfig,
        settings: &ModelSettings,
        key: BatchShape,
        wanted: Use,
    ) -> Result<Self, RuntimeError> {
        let compute = settings.compute(runtime);
        let floats = |shape: &[usize]| runtime.tensor(Type::F32, shape);
        let layer = |depth| Layer::new(runtime, config, settings, key, depth, wanted);
        let (head, training) = match wanted {
            Use::Train => {
                let pairs = &nn::HEAD_IN_PLACE[..if key.lm_tokens > 0 { 3 } else { 2 }];
                let training = Training {
                    embed_backward: runtime.session_in_place(&nn::embed_backward(config, key), &[("sum", "grad")])?,
                    names: nn::layer::in_place(config),
                    losses: [floats(&[])?, floats(&[])?, floats(&[])?],
                };
                (runtime.session_in_place(&nn::head(config, key, compute, &settings.losses)?, pairs)?, Some(training))
            }
            Use::Score => (runtime.session(&nn::score_head(config, key, compute))?, None),
        };
        Ok(Self {
            key,
            wanted,
            sizes: Sizes { layers: config.num_layers, hidden: config.hidden_size },
            weights: LayerWeight::all(config),
            mask: runtime.session(&nn::mask(config, key))?,
            embed: runtime.session(&nn::embed(config, key))?,
            inner: if config.num_layers > 1 { Some(layer(Depth::Inner)?) } else { None },
            last: layer(Depth::Last)?,
            head,
            training,
            given: given(runtime, config, key, wanted)?,
            rewards: runtime.host_tensor(Type::F32, &[2 * key.pairs])?,
        })
    }

    pub(super) fn trains(&self) -> bool {
        self.training.is_some()
    }

    fn layer(&self, at: usize) -> &Layer {
        self.inner.as_ref().filter(|_| at + 1 < self.sizes.layers).unwrap_or(&self.last)
    }

    /// What layer `at` saves for its backward pass.
    pub(super) fn saved(&self, at: usize) -> &[Saved] {
        &self.layer(at).saved
    }

    /// Writes a batch to where the sessions read it, and makes its mask.
    pub(super) fn give(&self, batch: &Batch, on: &Activations) -> Result<(), RuntimeError> {
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
                "margins" => tensor.write_f32(&batch.margins)?,
                // The rotary tables stay as they are.
                _ => {}
            }
        }
        self.mask.run(&self.inputs(&[]), &[("mask", &on.mask)])
    }

    fn inputs<'a>(&'a self, more: &[(&'a str, &'a Tensor)]) -> Inputs<'a> {
        let own = self.given.iter().map(|(name, tensor)| (*name, tensor));
        own.chain(more.iter().copied()).collect()
    }

    fn weights<'a>(&self, layer: usize, buffers: &Buffers, buffer: &'a Buffer) -> Vec<(&'static str, &'a Tensor)> {
        let part = |weight: &LayerWeight| (weight.name(), &buffer.parts[buffers.at(Place::Layer(layer, *weight))]);
        self.weights.iter().map(part).collect()
    }

    /// The residual stream through all layers; when scoring, the rewards too.
    pub(super) fn forward(&self, buffers: &Buffers, on: &Activations) -> Result<Option<Vec<f32>>, RuntimeError> {
        let part = |place: Place| &buffers.weights.parts[buffers.at(place)];
        let embedding = part(Place::Embedding);
        self.embed.run(&self.inputs(&[("embedding", embedding)]), &[("x", &on.streams[0])])?;
        let count = on.streams.len();
        for at in 0..self.sizes.layers {
            let layer = self.layer(at);
            let y = if at + 1 == self.sizes.layers { &on.ends } else { &on.streams[(at + 1) % count] };
            let mut more = self.weights(at, buffers, &buffers.weights);
            more.extend([("x", &on.streams[at % count]), ("mask", &on.mask)]);
            let mut outputs = vec![("y", y)];
            if let Some(training) = &on.training {
                outputs.extend(names(&layer.saved).zip(&training.saved[at]));
            }
            layer.forward.run(&self.inputs(&more), &outputs)?;
        }
        if self.trains() {
            return Ok(None);
        }
        let more = [("x", &on.ends), ("norm", part(Place::FinalNorm)), ("score", part(Place::Score))];
        self.head.run(&self.inputs(&more), &[("rewards", &self.rewards)])?;
        self.rewards().map(Some)
    }

    pub(super) fn rewards(&self) -> Result<Vec<f32>, RuntimeError> {
        self.rewards.read_f32()
    }

    /// Losses `[rm, lm, centre]`, and the gradients added to their sums.
    pub(super) fn backward(&self, buffers: &Buffers, on: &Activations) -> Result<[f32; 3], RuntimeError> {
        let (Some(training), Some(back)) = (&self.training, &on.training) else { return Err(only_scores()) };
        let sums = buffers.gradients()?;
        let weight = |place: Place| &buffers.weights.parts[buffers.at(place)];
        let sum = |place: Place| &sums.parts[buffers.at(place)];
        let [rm, lm, centre] = &training.losses;
        let spoken = self.key.lm_tokens > 0;
        lm.zero()?;
        let mut inputs = vec![("x", &on.ends), ("head", weight(Place::LmHead))];
        inputs.extend([("norm", weight(Place::FinalNorm)), ("score", weight(Place::Score))]);
        let mut outputs = vec![("rewards", &self.rewards), ("rm", rm), ("centre", centre), ("dx", &back.end_slope)];
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
        let mut slope = &back.end_slope;
        for at in (0..self.sizes.layers).rev() {
            let (layer, dx) = (self.layer(at), &back.slopes[at % 2]);
            let mut inputs = self.weights(at, buffers, &buffers.weights);
            inputs.extend([("x", &on.streams[at]), ("dy", slope), ("mask", &on.mask)]);
            inputs.extend(names(&layer.saved).zip(&back.saved[at]));
            let mut outputs = vec![("dx", dx)];
            let parts = self.weights(at, buffers, sums);
            for ((sum_name, grad_name), (_, part)) in training.names.iter().zip(parts) {
                inputs.push((sum_name.as_str(), part));
                outputs.push((grad_name.as_str(), part));
            }
            layer.backward()?.run(&self.inputs(&inputs), &outputs)?;
            slope = dx;
        }
        let embedding = sum(Place::Embedding);
        let inputs = self.inputs(&[("dx", slope), ("sum", embedding)]);
        training.embed_backward.run(&inputs, &[("grad", embedding)])?;
        let read = |loss: &Tensor| loss.read_f32().map(|numbers| numbers[0]);
        Ok([read(rm)?, read(lm)?, read(centre)?])
    }
}

fn names(saved: &[Saved]) -> impl Iterator<Item = &str> {
    saved.iter().map(|saved| saved.name.as_str())
}

/// What a batch is written to, and the rotary tables.
fn given(
    runtime: &Runtime,
    config: &ModelConfig,
    key: BatchShape,
    wanted: Use,
) -> Result<Vec<(&'static str, Tensor)>, RuntimeError> {
    let integers = |shape: &[usize]| runtime.host_tensor(Type::I64, shape);
    let floats = |shape: &[usize]| runtime.host_tensor(Type::F32, shape);
    let mut given = vec![("ids", integers(&[key.tokens()])?), ("last", integers(&[2 * key.pairs])?)];
    for name in ["pair", "branch", "positions"] {
        given.push((name, integers(&[key.rows, key.length])?));
    }
    if wanted == Use::Train {
        given.extend([("lm_rows", integers(&[key.lm_tokens])?), ("lm_labels", integers(&[key.lm_tokens])?)]);
        given.push(("lm_weights", floats(&[key.lm_tokens])?));
        given.extend([("pair_weights", floats(&[key.pairs])?), ("margins", floats(&[key.pairs])?)]);
    }
    for (name, numbers) in ["cos", "sin"].into_iter().zip(nn::rotary_tables(config, key.length)) {
        let table = runtime.tensor(Type::F32, &[key.length, config.head_dim / 2])?;
        table.write_f32(&numbers)?;
        given.push((name, table));
    }
    Ok(given)
}

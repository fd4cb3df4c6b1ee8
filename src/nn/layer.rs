//! The decoder layer's graphs, which all layers but the last share.

use super::config::ModelConfig;
use super::decoder::{Decoder, Layout, Surroundings};
use super::parameters::LayerWeight;
use super::precision::{Compute, Saving};
use super::shape::BatchShape;
use crate::graph::{Dim, Graph, GraphError, Type, Value, dims, gradients};

/// A value that the forward graph gives and the backward graph takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its name in both.
    pub name: String,
    /// Its type.
    pub of: Type,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// Which layers a graph is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// All layers but the last.
    Inner,
    /// The last: of its results the heads read some rows only, and only those are computed.
    Last,
}

/// A layer's graphs. Names: `x` and `y`, the residual stream `[rows * length, hidden]` before and after, where `y` of the
/// last layer has [`BatchShape::read`] rows, those that `last` and `lm_rows` name; `mask`, `positions`, `cos`, `sin`; every weight by [`LayerWeight::name`]; `dy` and `dx`; `sum.W` and `grad.W`, the running sum
/// of weight W's gradients before and after.
pub struct LayerGraphs {
    /// `x` to `y` and the saved values.
    pub forward: Graph,
    /// `x`, `dy` and the saved values to `dx` and the gradients.
    pub backward: Graph,
    /// The saved values; none where the backward graph computes all again.
    pub saved: Vec<Saved>,
}

/// The inputs that layers share, as [`super::mask`] and the batch give them.
fn surroundings(g: &Graph, config: &ModelConfig, shape: BatchShape) -> Surroundings {
    let (rows, length) = (shape.rows, shape.length);
    let table = dims([length, config.head_dim / 2]);
    Surroundings {
        mask: g.input("mask", Type::F32, &dims([rows, 1, 1, length, length])),
        positions: g.input("positions", Type::I64, &dims([rows, length])),
        cos: g.input("cos", Type::F32, &table),
        sin: g.input("sin", Type::F32, &table),
    }
}

/// The rows of the last hidden states that are read.
fn read_rows(g: &Graph, shape: BatchShape) -> Value {
    let last = g.input("last", Type::I64, &dims([2 * shape.pairs]));
    match shape.lm_tokens {
        0 => last,
        places => g.concat(&[last, g.input("lm_rows", Type::I64, &dims([places]))], 0),
    }
}

/// The graphs for batches of a shape.
///
/// # Errors
/// When the configuration does not fit together.
pub fn layer(
    config: &ModelConfig,
    shape: BatchShape,
    depth: Depth,
    compute: Compute,
    saving: Saving,
) -> Result<LayerGraphs, GraphError> {
    let g = Graph::new("layer");
    let stream = dims([shape.tokens(), config.hidden_size]);
    let x = g.input("x", Type::F32, &stream);
    let around = surroundings(&g, config, shape);
    let sized = |weight: LayerWeight| weight.shape(config).into_iter().map(Dim::Fixed).collect::<Vec<_>>();
    let weights: Vec<(LayerWeight, Value)> = (LayerWeight::all(config).into_iter())
        .map(|weight| (weight, g.input(weight.name(), Type::F32, &sized(weight))))
        .collect();
    let find =
        |wanted: LayerWeight| weights.iter().find(|(weight, _)| *weight == wanted).map_or(x, |(_, value)| *value);
    let layout = Layout::Flat { rows: shape.rows, length: shape.length };
    let decoder =
        Decoder { graph: &g, config, layout, compute: compute.precision.compute(), fused_norms: compute.fused_norms };
    let rows = (depth == Depth::Last).then(|| read_rows(&g, shape));
    let made = decoder.layer(x, &around, rows, &find);

    let dy = g.input("dy", Type::F32, &g.shape(made.y));
    let wrt: Vec<Value> = std::iter::once(x).chain(weights.iter().map(|(_, value)| *value)).collect();
    let found = gradients(&g, &[(made.y, dy)], &wrt)?;
    let mut outputs = vec![("dx".to_owned(), found[0].unwrap_or(x))];
    for ((weight, _), gradient) in weights.iter().zip(&found[1..]) {
        let sum = g.input(&format!("sum.{}", weight.name()), Type::F32, &sized(*weight));
        outputs.push((format!("grad.{}", weight.name()), gradient.map_or(sum, |part| g.accumulate(sum, part))));
    }
    g.finish()?;

    let kept = if saving == Saving::Save { made.saved } else { Vec::new() };
    let mut given = vec![("y", made.y)];
    given.extend(&kept);
    let outputs: Vec<(&str, Value)> = outputs.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let saved = kept.iter().map(|(name, value)| Saved {
        name: (*name).to_owned(),
        of: g.value_type(*value),
        shape: g.sizes(*value).unwrap_or_default(),
    });
    Ok(LayerGraphs {
        forward: compute.precision.kernels(g.extract("layer.forward", &[], &given)?)?,
        backward: compute.precision.kernels(g.extract("layer.backward", &kept, &outputs)?)?,
        saved: saved.collect(),
    })
}

/// The pairs of running sum and gradient that the backward graph may write in place.
pub fn in_place(config: &ModelConfig) -> Vec<(String, String)> {
    LayerWeight::all(config)
        .iter()
        .map(|weight| (format!("sum.{}", weight.name()), format!("grad.{}", weight.name())))
        .collect()
}

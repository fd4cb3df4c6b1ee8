//! The decoder layer's graphs, which all layers share.

use super::config::ModelConfig;
use super::decoder::{Decoder, Layout, Surroundings};
use super::parameters::LayerWeight;
use super::precision::{Precision, Saving};
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

/// A layer's graphs. Names: `x` and `y`, the residual stream `[rows * length, hidden]` before and after; `mask`,
/// `positions`, `cos`, `sin`; every weight by [`LayerWeight::name`]; `dy` and `dx`; `sum.W` and `grad.W`, the running sum
/// of weight W's gradients before and after.
pub struct LayerGraphs {
    /// `x` to `y` and the saved values.
    pub forward: Graph,
    /// `x`, `dy` and the saved values to `dx` and the gradients.
    pub backward: Graph,
    /// The saved values; none where the backward graph computes all again.
    pub saved: Vec<Saved>,
}

impl Precision {
    pub(super) fn compute(self) -> Type {
        match self {
            Self::F32 => Type::F32,
            Self::Bf16 => Type::BF16,
            Self::F16 => Type::F16,
        }
    }
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

/// The graphs for batches of a shape.
///
/// # Errors
/// When the configuration does not fit together.
pub fn layer(
    config: &ModelConfig,
    shape: BatchShape,
    precision: Precision,
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
    let decoder = Decoder { graph: &g, config, layout, compute: precision.compute() };
    let made = decoder.layer(x, &around, &find);

    let dy = g.input("dy", Type::F32, &stream);
    let wrt: Vec<Value> = std::iter::once(x).chain(weights.iter().map(|(_, value)| *value)).collect();
    let found = gradients(&g, &[(made.y, dy)], &wrt)?;
    let mut outputs = vec![("dx".to_owned(), found[0].unwrap_or(dy))];
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
        forward: g.extract("layer.forward", &[], &given)?,
        backward: g.extract("layer.backward", &kept, &outputs)?,
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

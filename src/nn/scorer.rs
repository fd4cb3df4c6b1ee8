//! The whole model in one graph, for `score.onnx`: any ONNX Runtime scores with it.

use super::config::ModelConfig;
use super::decoder::{Decoder, Layout, MASKED, Surroundings};
use super::parameters::{LayerWeight, Parameter, Place};
use crate::graph::{Dim, Graph, GraphError, Type, Value};

/// `input_ids` and `attention_mask` `[batch, length]` (1 on tokens, 0 on padding at either end) to `rewards` `[batch]`,
/// read at each row's last token. `weight` puts a parameter into the graph.
///
/// # Errors
/// When the graph does not fit together; what `weight` says.
pub fn score_model<E: From<GraphError>>(
    config: &ModelConfig,
    weight: impl FnMut(&Graph, &Parameter) -> Result<Value, E>,
) -> Result<Graph, E> {
    let g = Graph::new("score");
    let whole = whole(&g, config, UNSCORED, weight)?;
    let rewards = open(&g, config).linear(whole.normed, whole.weight(Place::Score), None);
    let last = g.reduce_max(g.mul(whole.order, whole.present), &[1], true);
    let read = g.gather_elements(g.squeeze(rewards, &[2]), last, 1);
    g.output("rewards", g.squeeze(read, &[1]));
    g.finish()?;
    Ok(g)
}

/// What `score_model` has no use for.
const UNSCORED: &[Place] = &[Place::LmHead];

/// The parameters of [`score_model`], in the order in which it asks for them.
pub fn scored_parameters(config: &ModelConfig) -> Vec<Parameter> {
    config.parameters().into_iter().filter(|parameter| !UNSCORED.contains(&parameter.place)).collect()
}

/// The same inputs to `logits` `[batch, length, vocab]`.
#[cfg(test)]
pub(crate) fn language_model<E: From<GraphError>>(
    config: &ModelConfig,
    weight: impl FnMut(&Graph, &Parameter) -> Result<Value, E>,
) -> Result<Graph, E> {
    let g = Graph::new("language-model");
    let whole = whole(&g, config, &[Place::Score], weight)?;
    let head = if config.tie_embeddings { Place::Embedding } else { Place::LmHead };
    g.output("logits", open(&g, config).linear(whole.normed, whole.weight(head), None));
    g.finish()?;
    Ok(g)
}

/// The decoder over rows of any length.
struct Whole {
    /// `attention_mask`.
    present: Value,
    /// Each token's place in its row, padding counted.
    order: Value,
    /// The last hidden states `[batch, length, hidden]`.
    normed: Value,
    weights: Vec<(Place, Value)>,
}

impl Whole {
    fn weight(&self, place: Place) -> Value {
        find(&self.weights, place)
    }
}

fn find(weights: &[(Place, Value)], place: Place) -> Value {
    let found = weights.iter().find(|(other, _)| *other == place);
    found.map_or_else(|| unreachable!("the configuration lists {place:?}"), |(_, value)| *value)
}

fn open<'g>(graph: &'g Graph, config: &'g ModelConfig) -> Decoder<'g> {
    Decoder { graph, config, layout: Layout::Open, compute: Type::F32, fused_norms: false }
}

fn whole<E: From<GraphError>>(
    g: &Graph,
    config: &ModelConfig,
    without: &[Place],
    mut weight: impl FnMut(&Graph, &Parameter) -> Result<Value, E>,
) -> Result<Whole, E> {
    let (batch, length) = (Dim::Named("batch"), Dim::Named("length"));
    let ids = g.input("input_ids", Type::I64, &[batch, length]);
    let present = g.input("attention_mask", Type::I64, &[batch, length]);
    let mut weights: Vec<(Place, Value)> = Vec::new();
    for parameter in config.parameters().iter().filter(|parameter| !without.contains(&parameter.place)) {
        weights.push((parameter.place, weight(g, parameter)?));
    }
    let find = |place: Place| find(&weights, place);

    let one = g.integers(&[1], &[]);
    let counted = g.sub(g.cumulative_sum(present, 1), one);
    let positions = g.where_(g.less(counted, g.integers(&[0], &[])), g.integers(&[0], &[]), counted);
    let order = g.sub(g.cumulative_sum(g.expand_like(one, present), 1), one);
    let seeing = |x: Value| g.unsqueeze(x, &[1, 2, 4]);
    let seen = |x: Value| g.unsqueeze(x, &[1, 2, 3]);
    let mut allowed = g.and(g.less_or_equal(seen(order), seeing(order)), g.equal(seen(present), one));
    if let Some(window) = config.sliding_window {
        let end = g.add(seen(positions), g.integers(&[window as i64], &[]));
        allowed = g.and(allowed, g.less(seeing(positions), end));
    }
    let [cos, sin] = rotary_tables(config, config.max_positions)
        .map(|table| g.floats(&table, &[config.max_positions, config.head_dim / 2]));
    let around = Surroundings { mask: g.where_(allowed, g.scalar(0.0), g.scalar(MASKED)), positions, cos, sin };
    let decoder = open(g, config);
    let mut x = g.gather(find(Place::Embedding), ids);
    for layer in 0..config.num_layers {
        x = decoder.layer(x, &around, None, &|weight: LayerWeight| find(Place::Layer(layer, weight))).y;
    }
    let normed = decoder.norm(x, find(Place::FinalNorm));
    Ok(Whole { present, order, normed, weights })
}

/// Cosines and sines of rotary embedding, `[positions, head_dim / 2]` each, rounded as `transformers` rounds them.
pub fn rotary_tables(config: &ModelConfig, positions: usize) -> [Vec<f32>; 2] {
    let half = config.head_dim / 2;
    let frequencies: Vec<f32> =
        (0..half).map(|at| (1.0 / config.rope_theta.powf(at as f64 / half as f64)) as f32).collect();
    let angles: Vec<f32> = (0..positions)
        .flat_map(|position| frequencies.iter().map(move |frequency| position as f32 * frequency))
        .collect();
    [
        angles.iter().map(|angle| f64::from(*angle).cos() as f32).collect(),
        angles.iter().map(|angle| f64::from(*angle).sin() as f32).collect(),
    ]
}

//! The heads: rewards and the language model, their losses and gradients, in one graph.

use super::config::ModelConfig;
use super::decoder::{Decoder, Layout};
use super::losses::LossSettings;
use super::precision::Compute;
use super::shape::BatchShape;
use crate::graph::{Graph, GraphError, Type, Value, dims, gradients};

/// Logits that exist at a time, at most, unless one token has more: 4 million, 16 MB.
const LOGITS: usize = 1 << 22;

/// The training head. Inputs: `x` `[2 * pairs + M, hidden]`, what the last layer gives, with M `lm_tokens`; `norm` `[hidden]`,
/// `score` `[1, hidden]`, `pair_weights` and `margins` `[pairs]`, `sum.norm`, `sum.score`; where M is not 0 also `head` `[vocab, hidden]`,
/// `lm_labels` and `lm_weights` `[M]`, `sum.head`. Outputs: `rewards` `[2 * pairs]`, the losses `rm`, `centre`
/// and `lm` before their coefficients, `dx`, `grad.norm`, `grad.score` and `grad.head`, which may each be in place of its sum.
///
/// The logits are made in chunks of tokens, and their gradient is written down rather than derived: softmax minus one at
/// the label.
///
/// # Errors
/// When the configuration does not fit together.
pub fn head(
    config: &ModelConfig,
    shape: BatchShape,
    compute: Compute,
    losses: &LossSettings,
) -> Result<Graph, GraphError> {
    let g = Graph::new("head");
    let (hidden, pairs, places) = (config.hidden_size, shape.pairs, shape.lm_tokens);
    let layout = Layout::Flat { rows: shape.rows, length: shape.length };
    let (of, fused_norms) = (compute.precision.compute(), compute.fused_norms);
    let decoder = Decoder { graph: &g, config, layout, compute: of, fused_norms };
    let x = g.input("x", Type::F32, &dims([shape.read(), hidden]));
    let norm = g.input("norm", Type::F32, &dims([hidden]));
    let score = g.input("score", Type::F32, &dims([1, hidden]));
    let weights = g.input("pair_weights", Type::F32, &dims([pairs]));
    let margins = g.input("margins", Type::F32, &dims([pairs]));

    let normed = decoder.norm(x, norm);
    let ends = g.slice(normed, 0, 0, 2 * pairs);
    let rewards = g.reshape_to(g.linear(ends, score, None), &[2 * pairs]);
    let answers = g.split(rewards, 0, &[pairs, pairs]);
    let (chosen, rejected) = (answers[0], answers[1]);
    let mut lead = g.sub(chosen, rejected);
    if losses.margin {
        lead = g.sub(lead, margins);
    }
    let rm = g.sum_all(g.mul(weights, g.softplus(g.neg(lead))));
    let both = g.add(chosen, rejected);
    let centre = g.sum_all(g.mul(weights, g.mul(both, both)));
    let loss = g.add(g.scale(rm, losses.rm_coef), g.scale(centre, losses.centre_coef));
    let mut seeds = vec![(loss, g.scalar(1.0))];

    let mut outputs = vec![("rewards", rewards), ("rm", rm), ("centre", centre)];
    if places > 0 {
        let spoken = g.slice(normed, 0, 2 * pairs, 2 * pairs + places);
        let lm = language_model(&decoder, spoken, places, losses.lm_coef);
        seeds.push((spoken, lm.gradient));
        outputs.extend([("lm", lm.loss), ("grad.head", lm.head)]);
    }
    let found = gradients(&g, &seeds, &[x, norm, score])?;
    let named = [("dx", None), ("grad.norm", Some(("sum.norm", norm))), ("grad.score", Some(("sum.score", score)))];
    for ((name, sum), gradient) in named.into_iter().zip(found) {
        let gradient = gradient.unwrap_or(x);
        let summed = sum.map(|(sum, like)| g.accumulate(g.input(sum, Type::F32, &g.shape(like)), gradient));
        outputs.push((name, summed.unwrap_or(gradient)));
    }
    for (name, value) in outputs {
        g.output(name, value);
    }
    g.finish()?;
    compute.precision.kernels(g)
}

/// The pairs of running sum and gradient that the head may write in place.
pub const HEAD_IN_PLACE: [(&str, &str); 3] =
    [("sum.norm", "grad.norm"), ("sum.score", "grad.score"), ("sum.head", "grad.head")];

struct LanguageModel {
    loss: Value,
    /// With respect to the normed rows.
    gradient: Value,
    /// The running sum of the head's gradients.
    head: Value,
}

fn language_model(decoder: &Decoder<'_>, spoken: Value, places: usize, coefficient: f32) -> LanguageModel {
    let (g, config) = (decoder.graph, decoder.config);
    let table = dims([config.vocab_size, config.hidden_size]);
    let head = g.input("head", Type::F32, &table);
    let labels = g.reshape_to(g.input("lm_labels", Type::I64, &dims([places])), &[places, 1]);
    let weights = g.reshape_to(g.input("lm_weights", Type::F32, &dims([places])), &[places, 1]);
    let mut sum = g.input("sum.head", Type::F32, &table);
    let chunk = (LOGITS / config.vocab_size).clamp(1, places);
    let parts: Vec<usize> = (0..places).step_by(chunk).map(|start| chunk.min(places - start)).collect();
    let apart = |x: Value| g.split(x, 0, &parts);
    let (mut loss, mut gradients) = (None, Vec::new());
    for (((x, label), weight), part) in apart(spoken).into_iter().zip(apart(labels)).zip(apart(weights)).zip(&parts) {
        let logits = decoder.linear(x, head, None);
        let shares = g.softmax(logits, -1);
        // log(sum(exp)) is the greatest logit minus the log of its share: exact, and no second pass of exponentials.
        let sums = g.sub(g.reduce_max(logits, &[-1], true), g.log(g.reduce_max(shares, &[-1], true)));
        let part_loss = g.sum_all(g.mul(weight, g.sub(sums, g.gather_elements(logits, label, 1))));
        loss = Some(loss.map_or(part_loss, |loss| g.add(loss, part_loss)));
        let minus_one = g.floats(&vec![-1.0; *part], &[*part, 1]);
        let slope = g.scatter_add_elements(shares, label, minus_one, 1);
        let slope = g.mul(slope, g.scale(weight, coefficient));
        let of = decoder.compute;
        let narrow = g.cast(slope, of);
        gradients.push(g.cast(g.gemm(narrow, g.cast(head, of), None, false, false, 1.0), Type::F32));
        let part = g.cast(g.gemm(narrow, g.cast(x, of), None, true, false, 1.0), Type::F32);
        sum = g.accumulate(sum, part);
    }
    LanguageModel { loss: loss.unwrap_or(spoken), gradient: g.concat(&gradients, 0), head: sum }
}

/// The scoring head: `x` `[2 * pairs, hidden]`, `norm`, `score` to `rewards` `[2 * pairs]`.
pub fn score_head(config: &ModelConfig, shape: BatchShape, compute: Compute) -> Graph {
    let g = Graph::new("score");
    let layout = Layout::Flat { rows: shape.rows, length: shape.length };
    let fused_norms = compute.fused_norms;
    let decoder = Decoder { graph: &g, config, layout, compute: Type::F32, fused_norms };
    let x = g.input("x", Type::F32, &dims([2 * shape.pairs, config.hidden_size]));
    let norm = g.input("norm", Type::F32, &dims([config.hidden_size]));
    let score = g.input("score", Type::F32, &dims([1, config.hidden_size]));
    let rewards = g.linear(decoder.norm(x, norm), score, None);
    g.output("rewards", g.reshape_to(rewards, &[2 * shape.pairs]));
    g
}

//! Who sees whom, made on the device from two numbers per token.

use super::config::ModelConfig;
use super::decoder::MASKED;
use super::shape::BatchShape;
use crate::graph::{Graph, Type, dims};

/// `pair`, `branch` and `positions` `[rows, length]` to `mask` `[rows, 1, 1, length, length]`, which is added to attention
/// scores. A token sees itself and what is before it in its row, of its own pair, in the prompt (branch 0) or in its own
/// answer; with a sliding window only what is less than the window away, by positions.
pub fn mask(config: &ModelConfig, shape: BatchShape) -> Graph {
    let g = Graph::new("mask");
    let (rows, length) = (shape.rows, shape.length);
    let [pair, branch, positions] =
        ["pair", "branch", "positions"].map(|name| g.input(name, Type::I64, &dims([rows, length])));
    let seeing = |x| g.reshape_to(x, &[rows, 1, 1, length, 1]);
    let seen = |x| g.reshape_to(x, &[rows, 1, 1, 1, length]);
    let order: Vec<i64> = (0..length as i64).collect();
    let (later, earlier) = (g.integers(&order, &[length, 1]), g.integers(&order, &[1, length]));
    let mut allowed = g.and(g.less_or_equal(earlier, later), g.equal(seeing(pair), seen(pair)));
    let prompt = g.equal(seen(branch), g.integers(&[0], &[]));
    allowed = g.and(allowed, g.or(prompt, g.equal(seeing(branch), seen(branch))));
    if let Some(window) = config.sliding_window {
        let end = g.add(seen(positions), g.integers(&[window as i64], &[]));
        allowed = g.and(allowed, g.less(seeing(positions), end));
    }
    g.output("mask", g.where_(allowed, g.scalar(0.0), g.scalar(MASKED)));
    g
}

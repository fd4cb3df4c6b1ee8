//! A decoder layer's formulas, for batches of known shape and for the exported model, whose sizes a run tells.

use super::config::ModelConfig;
use super::parameters::LayerWeight;
use crate::graph::{Graph, Type, Value};

/// Added to the attention scores of what a token may not see. Finite, so that padding never gives NaN.
pub(super) const MASKED: f32 = -1e9;

/// Queries that are taken at a time, in rows of known length: keys behind the last of them are not looked at.
const BLOCK: usize = 128;
/// Blocks of a row, at most: graphs do not grow with the row's length.
const BLOCKS: usize = 8;

/// How tokens are laid out in the residual stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Layout {
    /// `[rows * length, hidden]`: every projection is one product of matrices.
    Flat { rows: usize, length: usize },
    /// `[rows, length, hidden]`, sizes told by a run.
    Open,
}

/// What a layer reads beside the residual stream.
pub(super) struct Surroundings {
    /// Added to the scores, `[rows, 1, 1, length, length]`.
    pub(super) mask: Value,
    /// `[rows, length]`.
    pub(super) positions: Value,
    /// `[positions, head_dim / 2]`.
    pub(super) cos: Value,
    pub(super) sin: Value,
}

/// The values of a layer that are dear to compute again, and its result.
pub(super) struct Layer {
    pub(super) saved: Vec<(&'static str, Value)>,
    pub(super) y: Value,
}

pub(super) struct Decoder<'a> {
    pub(super) graph: &'a Graph,
    pub(super) config: &'a ModelConfig,
    pub(super) layout: Layout,
    /// The type of matrix products.
    pub(super) compute: Type,
    /// Whether norms are one operation.
    pub(super) fused_norms: bool,
}

impl Decoder<'_> {
    /// `x w^T + bias (+ residual)`, in the type of products, the result in `F32`.
    pub(super) fn linear(&self, x: Value, w: Value, addend: Option<Value>) -> Value {
        let g = self.graph;
        let (x, w) = (g.cast(x, self.compute), g.cast(w, self.compute));
        match (self.layout, self.compute) {
            (Layout::Flat { .. }, Type::F32) => g.linear(x, w, addend),
            (Layout::Flat { .. }, _) => self.plus(g.cast(g.linear(x, w, None), Type::F32), addend),
            (Layout::Open, _) => self.plus(g.cast(g.fused_matmul(x, w, false, true, 1.0), Type::F32), addend),
        }
    }

    fn plus(&self, x: Value, addend: Option<Value>) -> Value {
        addend.map_or(x, |addend| self.graph.add(x, addend))
    }

    pub(super) fn norm(&self, x: Value, w: Value) -> Value {
        let epsilon = self.config.rms_norm_eps as f32;
        if self.fused_norms { self.graph.rms_norm(x, w, epsilon) } else { self.graph.rms_norm_primitive(x, w, epsilon) }
    }

    /// `[rows, length, width]` of a projection's result.
    fn rows(&self, x: Value, width: usize) -> Value {
        match self.layout {
            Layout::Flat { rows, length } => self.graph.reshape_to(x, &[rows, length, width]),
            Layout::Open => x,
        }
    }

    /// Heads apart: `[rows, kv_heads, group, length, head_dim]`.
    fn heads(&self, x: Value, group: usize) -> Value {
        let (kv, size) = (self.config.num_kv_heads as i64, self.config.head_dim as i64);
        let apart = self.graph.reshape(x, &[0, 0, kv, group as i64, size]);
        self.graph.transpose(apart, &[0, 2, 3, 1, 4])
    }

    /// One layer. `weight` gives the layer's weights. With `rows`, which tokens' results are wanted, in a flat layout:
    /// after the attention only those are computed, and `y` has a row for each.
    pub(super) fn layer(
        &self,
        x: Value,
        around: &Surroundings,
        rows: Option<Value>,
        weight: &dyn Fn(LayerWeight) -> Value,
    ) -> Layer {
        let (g, config) = (self.graph, self.config);
        let group = config.num_heads / config.num_kv_heads;
        let bias = |bias: LayerWeight| config.qkv_bias.then(|| weight(bias));
        let normed = self.norm(x, weight(LayerWeight::InputNorm));
        let project = |w: LayerWeight, b: LayerWeight, heads: usize| {
            self.rows(self.linear(normed, weight(w), bias(b)), heads * config.head_dim)
        };
        let turned = |x: Value, heads: usize| g.rotary(x, around.positions, around.cos, around.sin, heads);
        let query = turned(project(LayerWeight::Query, LayerWeight::QueryBias, config.num_heads), config.num_heads);
        let key = turned(project(LayerWeight::Key, LayerWeight::KeyBias, config.num_kv_heads), config.num_kv_heads);
        let value = project(LayerWeight::Value, LayerWeight::ValueBias, config.num_kv_heads);
        let [query, key, value] =
            [(query, group), (key, 1), (value, 1)].map(|(x, group)| g.cast(self.heads(x, group), self.compute));
        let attended = self.attention(query, key, value, around.mask);
        let merged = g.transpose(g.cast(attended, Type::F32), &[0, 3, 1, 2, 4]);
        let merged = match self.layout {
            Layout::Flat { rows, length } => g.reshape(merged, &[(rows * length) as i64, -1]),
            Layout::Open => g.reshape(merged, &[0, 0, -1]),
        };
        let [merged, x] = [merged, x].map(|all| rows.map_or(all, |rows| g.gather(all, rows)));
        let middle = self.linear(merged, weight(LayerWeight::Output), Some(x));
        let normed = self.norm(middle, weight(LayerWeight::MlpNorm));
        let gate = self.linear(normed, weight(LayerWeight::Gate), None);
        let up = self.linear(normed, weight(LayerWeight::Up), None);
        let y = self.linear(g.mul(g.silu(gate), up), weight(LayerWeight::Down), Some(middle));
        let saved = vec![
            ("query", query),
            ("key", key),
            ("value", value),
            ("merged", merged),
            ("middle", middle),
            ("gate", gate),
            ("up", up),
        ];
        Layer { saved, y }
    }

    /// Attention of grouped queries `[rows, kv, group, length, size]` over keys and values `[rows, kv, 1, length, size]`.
    /// With known sizes a group's queries are one matrix, so keys and values are not repeated; and no token sees what
    /// comes after it in its row, so that blocks of queries are multiplied with what lies before their end alone.
    fn attention(&self, query: Value, key: Value, value: Value, mask: Value) -> Value {
        let (g, config) = (self.graph, self.config);
        let scale = 1.0 / (config.head_dim as f32).sqrt();
        let Layout::Flat { rows, length } = self.layout else {
            let scores = g.cast(g.fused_matmul(query, key, false, true, scale), Type::F32);
            let shares = g.cast(g.softmax(g.add(scores, mask), -1), self.compute);
            return g.matmul(shares, value);
        };
        let (kv, size) = (config.num_kv_heads, config.head_dim);
        let group = config.num_heads / kv;
        let [key, value] = [key, value].map(|x| g.reshape_to(x, &[rows, kv, length, size]));
        let parts = blocks(length);
        let mut start = 0;
        let attended = (g.split(query, 3, &parts).into_iter().zip(&parts)).map(|(query, &part)| {
            let (from, end) = (start, start + part);
            start = end;
            let query = g.reshape_to(query, &[rows, kv, group * part, size]);
            let [key, value] = [key, value].map(|x| g.slice(x, 2, 0, end));
            let mask = g.slice(g.slice(mask, 3, from, end), 4, 0, end);
            let scores = g.cast(g.fused_matmul(query, key, false, true, scale), Type::F32);
            let scores = g.reshape_to(scores, &[rows, kv, group, part, end]);
            let shares = g.cast(g.softmax(g.add(scores, mask), -1), self.compute);
            let attended = g.matmul(g.reshape_to(shares, &[rows, kv, group * part, end]), value);
            g.reshape_to(attended, &[rows, kv, group, part, size])
        });
        g.concat(&attended.collect::<Vec<_>>(), 3)
    }
}

/// A row's queries in blocks.
fn blocks(length: usize) -> Vec<usize> {
    let block = BLOCK.max(length.div_ceil(BLOCKS)).next_multiple_of(32);
    (0..length).step_by(block).map(|start| block.min(length - start)).collect()
}

#[cfg(test)]
mod tests {
    use super::blocks;

    #[test]
    fn blocks_make_up_the_row_and_are_few() {
        assert_eq!(blocks(48), [48]);
        assert_eq!(blocks(320), [128, 128, 64]);
        assert_eq!(blocks(512), [128; 4]);
        for length in [1, 127, 129, 1024, 1056, 4096, 10_000] {
            let found = blocks(length);
            assert_eq!(found.iter().sum::<usize>(), length);
            assert!(found.len() <= 8, "{length}: {found:?}");
        }
    }
}

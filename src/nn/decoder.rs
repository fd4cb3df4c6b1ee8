//! A decoder layer's formulas, for batches of known shape and for the exported model, whose sizes a run tells.

use super::config::ModelConfig;
use super::parameters::LayerWeight;
use crate::graph::{Graph, Type, Value};

/// Added to the attention scores of what a token may not see. Finite, so that padding never gives NaN.
pub(super) const MASKED: f32 = -1e9;

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
        match self.layout {
            Layout::Flat { .. } => self.graph.rms_norm(x, w, self.config.rms_norm_eps as f32),
            Layout::Open => self.graph.rms_norm_primitive(x, w, self.config.rms_norm_eps as f32),
        }
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

    /// One layer. `weight` gives the layer's weights.
    pub(super) fn layer(&self, x: Value, around: &Surroundings, weight: &dyn Fn(LayerWeight) -> Value) -> Layer {
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
    /// With known sizes a group's queries are one matrix, so keys and values are not repeated.
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
        let query = g.reshape_to(query, &[rows, kv, group * length, size]);
        let [key, value] = [key, value].map(|x| g.reshape_to(x, &[rows, kv, length, size]));
        let scores = g.cast(g.fused_matmul(query, key, false, true, scale), Type::F32);
        let scores = g.reshape_to(scores, &[rows, kv, group, length, length]);
        let shares = g.cast(g.softmax(g.add(scores, mask), -1), self.compute);
        let attended = g.matmul(g.reshape_to(shares, &[rows, kv, group * length, length]), value);
        g.reshape_to(attended, &[rows, kv, group, length, size])
    }
}

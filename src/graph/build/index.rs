//! By index.

use super::{Graph, Op, Value};

impl Graph {
    /// Slices of the first axis: `[indices.., data axes after the first..]`.
    pub fn gather(&self, data: Value, indices: Value) -> Value {
        self.one(Op::Gather, &[data, indices])
    }

    /// One element per index, along an axis.
    pub fn gather_elements(&self, data: Value, indices: Value, axis: i64) -> Value {
        let axis = self.axis("GatherElements", data, self.rank(data), axis);
        self.one(Op::GatherElements { axis }, &[data, indices])
    }

    /// `data` with `updates` added at the indices along an axis; equal indices add up.
    pub fn scatter_add_elements(&self, data: Value, indices: Value, updates: Value, axis: i64) -> Value {
        let axis = self.axis("ScatterElements", data, self.rank(data), axis);
        self.one(Op::ScatterElements { axis }, &[data, indices, updates])
    }

    /// `data` with the slices of `updates[N, ..]` added at those slices of its first axis that `indices[N]` name; equal
    /// indices add up. By element: on the processor, ONNX Runtime's `ScatterND` adds on several threads at once, and of two
    /// updates of one slice the one may be lost.
    pub fn scatter_add(&self, data: Value, indices: Value, updates: Value) -> Value {
        let others: Vec<i64> = (1..self.rank(updates) as i64).collect();
        let column = if others.is_empty() { indices } else { self.unsqueeze(indices, &others) };
        self.scatter_add_elements(data, self.expand_like(column, updates), updates, 0)
    }

    /// Rotary position embedding (Su et al. 2021), halves rotated as in Llama, of `x[R, S, heads*D]` at
    /// `positions[R, S]`, with tables `cos[T, D/2]` and `sin[T, D/2]`. Positions must be below T.
    pub fn rotary(&self, x: Value, positions: Value, cos: Value, sin: Value, heads: usize) -> Value {
        self.one(Op::RotaryEmbedding { heads }, &[x, positions, cos, sin])
    }
}

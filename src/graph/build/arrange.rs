//! The same elements elsewhere.

use super::{Graph, Op, Value};
use crate::graph::{Dim, Type};

impl Graph {
    /// The same elements in another shape: 0 keeps the axis of that place, one -1 takes what is left.
    pub fn reshape(&self, x: Value, shape: &[i64]) -> Value {
        // A reshape of a reshape is one; with a 0 it means the axes of the first's result, so those stay two.
        let bare = match self.written_by(x) {
            Some((Op::Reshape { .. }, before)) if !shape.contains(&0) => before,
            _ => x,
        };
        let reshaped = self.one(Op::Reshape { shape: shape.to_vec() }, &[bare]);
        self.unless_same(reshaped, &[bare, x])
    }

    /// The first of the candidates that has the shape already, else the value itself, whose node then stays.
    fn unless_same(&self, value: Value, candidates: &[Value]) -> Value {
        let shape = self.shape(value);
        candidates.iter().copied().find(|other| self.shape(*other) == shape).unwrap_or(value)
    }

    /// `x` with a shape of known sizes.
    pub fn reshape_to(&self, x: Value, sizes: &[usize]) -> Value {
        let sizes: Vec<i64> = sizes.iter().map(|size| *size as i64).collect();
        self.reshape(x, &sizes)
    }

    /// `x` in the shape of `like`, whose sizes may be known only to a run.
    pub fn reshape_like(&self, x: Value, like: Value) -> Value {
        match self.sizes(like) {
            Some(sizes) => self.reshape_to(x, &sizes),
            None => self.one(Op::ReshapeLike, &[x, like]),
        }
    }

    /// `x` broadcast to the shape of `like`.
    pub fn expand_like(&self, x: Value, like: Value) -> Value {
        if self.sizes(like).is_some() {
            self.expand(x, &self.shape(like))
        } else {
            self.one(Op::ExpandLike, &[x, like])
        }
    }

    /// `x` broadcast to a shape of known sizes.
    pub fn expand(&self, x: Value, shape: &[Dim]) -> Value {
        if self.shape(x) == shape { x } else { self.one(Op::Expand { shape: shape.to_vec() }, &[x]) }
    }

    /// Axes in another order: axis `permutation[i]` of `x` becomes axis `i`.
    pub fn transpose(&self, x: Value, permutation: &[usize]) -> Value {
        let (bare, permutation) = match self.written_by(x) {
            Some((Op::Transpose { permutation: first }, before))
                if permutation.len() == first.len() && permutation.iter().all(|axis| *axis < first.len()) =>
            {
                (before, permutation.iter().map(|axis| first[*axis]).collect())
            }
            _ => (x, permutation.to_vec()),
        };
        if permutation.iter().copied().eq(0..self.rank(bare)) {
            bare
        } else {
            self.one(Op::Transpose { permutation }, &[bare])
        }
    }

    /// New axes of size one at these places of the result.
    pub fn unsqueeze(&self, x: Value, axes: &[i64]) -> Value {
        let axes = self.axes("Unsqueeze", x, self.rank(x) + axes.len(), axes);
        self.one(Op::Unsqueeze { axes }, &[x])
    }

    /// Without these axes of size one.
    pub fn squeeze(&self, x: Value, axes: &[i64]) -> Value {
        let axes = self.axes("Squeeze", x, self.rank(x), axes);
        self.one(Op::Squeeze { axes }, &[x])
    }

    /// Joined along an axis.
    pub fn concat(&self, parts: &[Value], axis: i64) -> Value {
        match parts {
            [] => {
                self.fail("Concat", &[], "takes at least one operand");
                self.scalar(0.0)
            }
            [only] => *only,
            [first, ..] => self.one(Op::Concat { axis: self.axis("Concat", *first, self.rank(*first), axis) }, parts),
        }
    }

    /// Cut along an axis into parts of these sizes.
    pub fn split(&self, x: Value, axis: i64, parts: &[usize]) -> Vec<Value> {
        let axis = self.axis("Split", x, self.rank(x), axis);
        if parts.len() == 1 && self.shape(x).get(axis) == Some(&Dim::Fixed(parts[0])) {
            return vec![x];
        }
        self.apply(Op::Split { axis, parts: parts.to_vec() }, &[x])
    }

    /// `start..end` of an axis.
    pub fn slice(&self, x: Value, axis: i64, start: usize, end: usize) -> Value {
        let axis = self.axis("Slice", x, self.rank(x), axis);
        if start == 0 && self.shape(x).get(axis) == Some(&Dim::Fixed(end)) {
            return x;
        }
        self.one(Op::Slice { axis, start, end }, &[x])
    }

    /// `count` zeros after the end of an axis.
    pub fn pad_end(&self, x: Value, axis: i64, count: usize) -> Value {
        self.pad(x, axis, 0, count)
    }

    /// Zeros before and after along an axis.
    pub fn pad(&self, x: Value, axis: i64, before: usize, after: usize) -> Value {
        if before + after == 0 {
            return x;
        }
        self.one(Op::Pad { axis: self.axis("Pad", x, self.rank(x), axis), before, after }, &[x])
    }

    /// Zeros of a shape of known sizes; the graph does not carry them.
    pub fn zeros(&self, of: Type, shape: &[Dim]) -> Value {
        if shape.iter().any(|dim| dim.size().is_none()) {
            self.fail("ConstantOfShape", &[], "all sizes must be known");
        }
        self.one(Op::ConstantOfShape { shape: shape.to_vec(), of }, &[])
    }
}

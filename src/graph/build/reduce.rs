//! Along and over axes.

use super::{Graph, Op, Value};

macro_rules! reductions {
    ($($(#[$doc:meta])* $method:ident $op:ident)*) => {
        impl Graph {
            $($(#[$doc])* pub fn $method(&self, x: Value, axes: &[i64], keep: bool) -> Value {
                let axes = self.axes(stringify!($op), x, self.rank(x), axes);
                self.one(Op::$op { axes, keep }, &[x])
            })*
        }
    };
}

reductions! {
    /// Sum over axes, which stay with size one when `keep`.
    reduce_sum ReduceSum
    /// Mean over axes, which stay with size one when `keep`.
    reduce_mean ReduceMean
    /// Greatest over axes, which stay with size one when `keep`. Its gradient goes to all that are greatest, in equal parts.
    reduce_max ReduceMax
    /// Logarithm of the sum of exponentials over axes, which stay with size one when `keep`.
    reduce_log_sum_exp ReduceLogSumExp
}

impl Graph {
    /// Softmax along an axis.
    pub fn softmax(&self, x: Value, axis: i64) -> Value {
        self.one(Op::Softmax { axis: self.axis("Softmax", x, self.rank(x), axis) }, &[x])
    }

    /// Logarithm of the softmax along an axis.
    pub fn log_softmax(&self, x: Value, axis: i64) -> Value {
        self.one(Op::LogSoftmax { axis: self.axis("LogSoftmax", x, self.rank(x), axis) }, &[x])
    }

    /// Sum of everything, as a single number.
    pub fn sum_all(&self, x: Value) -> Value {
        let axes: Vec<i64> = (0..self.rank(x) as i64).collect();
        if axes.is_empty() { x } else { self.reduce_sum(x, &axes, false) }
    }

    /// Running sum along an axis.
    pub fn cumulative_sum(&self, x: Value, axis: i64) -> Value {
        self.one(Op::CumSum { axis: self.axis("CumSum", x, self.rank(x), axis), reverse: false }, &[x])
    }

    /// Index of the (first) greatest along an axis, which stays with size one.
    pub fn arg_max(&self, x: Value, axis: i64) -> Value {
        self.one(Op::ArgMax { axis: self.axis("ArgMax", x, self.rank(x), axis) }, &[x])
    }

    /// `x / sqrt(mean(x^2) + epsilon) * w` over the last axis (RMSNorm, Zhang and Sennrich 2019), in one operation.
    ///
    /// Its gradient reads the operation's second result, which not every execution provider writes correctly;
    /// [`Graph::rms_norm_primitive`] does without.
    pub fn rms_norm(&self, x: Value, w: Value, epsilon: f32) -> Value {
        self.apply(Op::SimplifiedLayerNormalization { epsilon }, &[x, w])[0]
    }

    /// [`Graph::rms_norm`] out of standard operations; both compute in `F32`.
    pub fn rms_norm_primitive(&self, x: Value, w: Value, epsilon: f32) -> Value {
        let of = self.value_type(x);
        let wide = self.cast(x, super::super::Type::F32);
        let mean = self.reduce_mean(self.mul(wide, wide), &[-1], true);
        let inverse = self.reciprocal(self.sqrt(self.add(mean, self.scalar(epsilon))));
        self.mul(self.cast(self.mul(wide, inverse), of), w)
    }
}

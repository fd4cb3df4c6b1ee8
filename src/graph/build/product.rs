//! Products of matrices.

use super::{Graph, Op, Value};

impl Graph {
    /// Product of matrices in the last two axes; the axes before are broadcast.
    pub fn matmul(&self, a: Value, b: Value) -> Value {
        self.one(Op::MatMul, &[a, b])
    }

    /// `alpha * A * B + C` of matrices, where A and B may be stored transposed and C is broadcast.
    pub fn gemm(
        &self,
        a: Value,
        b: Value,
        c: Option<Value>,
        transpose_a: bool,
        transpose_b: bool,
        alpha: f32,
    ) -> Value {
        let inputs: Vec<Value> = [a, b].into_iter().chain(c).collect();
        self.one(Op::Gemm { transpose_a, transpose_b, alpha }, &inputs)
    }

    /// `alpha * A * B` as [`Graph::matmul`], where each may be stored transposed in its last two axes.
    pub fn fused_matmul(&self, a: Value, b: Value, transpose_a: bool, transpose_b: bool, alpha: f32) -> Value {
        self.one(Op::FusedMatMul { transpose_a, transpose_b, alpha }, &[a, b])
    }

    /// `x * w^T + bias` with the weight as `[out, in]`, as Hugging Face keeps it; `x` is a matrix.
    pub fn linear(&self, x: Value, w: Value, bias: Option<Value>) -> Value {
        self.gemm(x, w, bias, false, true, 1.0)
    }
}

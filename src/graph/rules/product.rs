//! Products of matrices: products of the same kind, transposed by attributes and never by copies.

use super::{Parts, misplaced, only};
use crate::graph::{Graph, Node, Op, Value};

/// For `y = alpha A' B'`, `A'` being `a` or its transpose: `dA' = alpha dy B'^T` and `dB' = alpha A'^T dy`, each given
/// as the stored matrix, so with both sides swapped where it is stored transposed.
fn factors(
    node: &Node,
    dy: Value,
    (transpose_a, transpose_b): (bool, bool),
    product: impl Fn(Value, Value, bool, bool) -> Value,
) -> [Value; 2] {
    let (a, b) = (node.inputs[0], node.inputs[1]);
    let da = if transpose_a { product(b, dy, transpose_b, true) } else { product(dy, b, false, !transpose_b) };
    let db = if transpose_b { product(dy, a, true, transpose_a) } else { product(a, dy, !transpose_a, false) };
    [da, db]
}

pub(super) fn matmul(g: &Graph, node: &Node, dy: &[Option<Value>]) -> Parts {
    let (transposed, alpha) = match node.op {
        Op::MatMul => ((false, false), 1.0),
        Op::FusedMatMul { transpose_a, transpose_b, alpha } => ((transpose_a, transpose_b), alpha),
        _ => return Err(misplaced(&node.op)),
    };
    let parts = factors(node, only(dy)?, transposed, |a, b, ta, tb| g.fused_matmul(a, b, ta, tb, alpha));
    Ok(parts.iter().zip(&node.inputs).map(|(part, input)| Some(g.unbroadcast(*part, *input))).collect())
}

pub(super) fn gemm(g: &Graph, node: &Node, dy: &[Option<Value>]) -> Parts {
    let Op::Gemm { transpose_a, transpose_b, alpha } = node.op else { return Err(misplaced(&node.op)) };
    let dy = only(dy)?;
    let parts = factors(node, dy, (transpose_a, transpose_b), |a, b, ta, tb| g.gemm(a, b, None, ta, tb, alpha));
    let addend = node.inputs.get(2).map(|c| Some(g.unbroadcast(dy, *c)));
    Ok(parts.into_iter().map(Some).chain(addend).collect())
}

//! Along and over axes.

use super::{Parts, misplaced, only};
use crate::graph::{Graph, Node, Op, Type, Value};

type Outputs<'a> = &'a [Option<Value>];

/// `y (dy - sum(y dy))`.
pub(super) fn softmax(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let Op::Softmax { axis } = node.op else { return Err(misplaced(&node.op)) };
    let (y, dy) = (node.outputs[0], only(dy)?);
    let sum = g.reduce_sum(g.mul(y, dy), &[axis as i64], true);
    Ok(vec![Some(g.mul(y, g.sub(dy, sum)))])
}

/// `dy - softmax sum(dy)`.
pub(super) fn log_softmax(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let Op::LogSoftmax { axis } = node.op else { return Err(misplaced(&node.op)) };
    let dy = only(dy)?;
    let sum = g.reduce_sum(dy, &[axis as i64], true);
    Ok(vec![Some(g.sub(dy, g.mul(g.exp(node.outputs[0]), sum)))])
}

/// A reduction's value or gradient with its axes put back as ones.
fn restored(g: &Graph, node: &Node, value: Value) -> Value {
    match &node.op {
        Op::ReduceSum { axes, keep: false }
        | Op::ReduceMean { axes, keep: false }
        | Op::ReduceMax { axes, keep: false }
        | Op::ReduceLogSumExp { axes, keep: false } => {
            let axes: Vec<i64> = axes.iter().map(|axis| *axis as i64).collect();
            g.unsqueeze(value, &axes)
        }
        _ => value,
    }
}

pub(super) fn sum(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let dy = restored(g, node, only(dy)?);
    Ok(vec![Some(g.expand_like(dy, node.inputs[0]))])
}

pub(super) fn mean(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let Op::ReduceMean { axes, .. } = &node.op else { return Err(misplaced(&node.op)) };
    let shape = g.shape(node.inputs[0]);
    let sizes: Option<Vec<usize>> = axes.iter().map(|axis| shape[*axis].size()).collect();
    let count = sizes.ok_or("the sizes of the axes must be known")?.iter().product::<usize>();
    let dy = g.scale(restored(g, node, only(dy)?), 1.0 / count as f32);
    Ok(vec![Some(g.expand_like(dy, node.inputs[0]))])
}

/// To all that are greatest, in equal parts.
pub(super) fn max(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let Op::ReduceMax { axes, .. } = &node.op else { return Err(misplaced(&node.op)) };
    let (x, axes) = (node.inputs[0], axes.iter().map(|axis| *axis as i64).collect::<Vec<_>>());
    let greatest = g.cast(g.equal(x, restored(g, node, node.outputs[0])), g.value_type(x));
    let share = g.div(restored(g, node, only(dy)?), g.reduce_sum(greatest, &axes, true));
    Ok(vec![Some(g.mul(greatest, share))])
}

pub(super) fn log_sum_exp(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let share = g.exp(g.sub(node.inputs[0], restored(g, node, node.outputs[0])));
    Ok(vec![Some(g.mul(share, restored(g, node, only(dy)?)))])
}

pub(super) fn running_sum(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let Op::CumSum { axis, reverse } = node.op else { return Err(misplaced(&node.op)) };
    Ok(vec![Some(g.one(Op::CumSum { axis, reverse: !reverse }, &[only(dy)?]))])
}

/// With `h = x r`, `r` the reciprocal root that the operation gives as its second result, and `t = dy w`:
/// `dx = r (t - h mean(t h))`, `dw = sum(dy h)`.
pub(super) fn norm(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    if dy.get(1).is_some_and(Option::is_some) {
        return Err("the reciprocal root is not to be read".to_owned());
    }
    let (x, w, inverse) = (node.inputs[0], node.inputs[1], node.outputs[1]);
    let (of, dy) = (g.value_type(x), g.cast(only(dy)?, Type::F32));
    let normed = g.mul(g.cast(x, Type::F32), inverse);
    let t = g.mul(dy, g.cast(w, Type::F32));
    let mean = g.reduce_mean(g.mul(t, normed), &[-1], true);
    let dx = g.mul(inverse, g.sub(t, g.mul(normed, mean)));
    let dw = g.unbroadcast(g.mul(dy, normed), w);
    Ok(vec![Some(g.cast(dx, of)), Some(g.cast(dw, of))])
}

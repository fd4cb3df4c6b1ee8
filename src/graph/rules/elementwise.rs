//! Element by element: the derivative times the gradient, with broadcasts undone.

#![expect(clippy::unnecessary_wraps, reason = "all rules have one type")]

use super::{Parts, misplaced, only};
use crate::graph::{Graph, Node, Op, Value};

type Outputs<'a> = &'a [Option<Value>];

fn unary(derived: Value) -> Parts {
    Ok(vec![Some(derived)])
}

pub(super) fn neg(g: &Graph, _: &Node, dy: Outputs<'_>) -> Parts {
    unary(g.neg(only(dy)?))
}

pub(super) fn sqrt(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    unary(g.div(g.scale(only(dy)?, 0.5), node.outputs[0]))
}

pub(super) fn reciprocal(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let y = node.outputs[0];
    unary(g.neg(g.mul(only(dy)?, g.mul(y, y))))
}

pub(super) fn exp(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    unary(g.mul(only(dy)?, node.outputs[0]))
}

pub(super) fn log(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    unary(g.div(only(dy)?, node.inputs[0]))
}

pub(super) fn sigmoid(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let y = node.outputs[0];
    unary(g.mul(only(dy)?, g.mul(y, g.sub(g.scalar_like(1.0, y), y))))
}

pub(super) fn tanh(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let y = node.outputs[0];
    unary(g.mul(only(dy)?, g.sub(g.scalar_like(1.0, y), g.mul(y, y))))
}

pub(super) fn softplus(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    unary(g.mul(only(dy)?, g.sigmoid(node.inputs[0])))
}

pub(super) fn relu(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let (x, dy) = (node.inputs[0], only(dy)?);
    let zero = g.scalar_like(0.0, x);
    unary(g.where_(g.less(zero, x), dy, zero))
}

/// `y = x s`, `s = sigmoid(a x)`: the derivative is `s + a y (1 - s)`.
pub(super) fn quick_gelu(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let Op::QuickGelu { alpha } = node.op else { return Err(misplaced(&node.op)) };
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let s = g.sigmoid(g.scale(x, alpha));
    let rest = g.mul(g.scale(y, alpha), g.sub(g.scalar_like(1.0, x), s));
    unary(g.mul(only(dy)?, g.add(s, rest)))
}

pub(super) fn cast(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let (of, dy) = (g.value_type(node.inputs[0]), only(dy)?);
    let carries = of.is_float() && g.value_type(dy).is_float();
    Ok(vec![carries.then(|| g.cast(dy, of))])
}

fn both(g: &Graph, node: &Node, first: Value, second: Value) -> Parts {
    Ok(vec![Some(g.unbroadcast(first, node.inputs[0])), Some(g.unbroadcast(second, node.inputs[1]))])
}

pub(super) fn add(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let dy = only(dy)?;
    both(g, node, dy, dy)
}

pub(super) fn sub(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let dy = only(dy)?;
    let second = g.unbroadcast(dy, node.inputs[1]);
    Ok(vec![Some(g.unbroadcast(dy, node.inputs[0])), Some(g.neg(second))])
}

pub(super) fn mul(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let dy = only(dy)?;
    both(g, node, g.mul(dy, node.inputs[1]), g.mul(dy, node.inputs[0]))
}

pub(super) fn div(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let first = g.div(only(dy)?, node.inputs[1]);
    both(g, node, first, g.neg(g.mul(first, node.outputs[0])))
}

/// `d a^b = b a^(b-1) da + a^b ln(a) db`; the exponent's part needs a positive base.
pub(super) fn pow(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let (a, b, dy) = (node.inputs[0], node.inputs[1], only(dy)?);
    let less = g.sub(b, g.scalar_like(1.0, b));
    let first = g.mul(dy, g.mul(b, g.pow(a, less)));
    both(g, node, first, g.mul(dy, g.mul(node.outputs[0], g.log(a))))
}

pub(super) fn choice(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let (condition, dy) = (node.inputs[0], only(dy)?);
    let zero = g.scalar_like(0.0, dy);
    let yes = g.unbroadcast(g.where_(condition, dy, zero), node.inputs[1]);
    let no = g.unbroadcast(g.where_(condition, zero, dy), node.inputs[2]);
    Ok(vec![None, Some(yes), Some(no)])
}

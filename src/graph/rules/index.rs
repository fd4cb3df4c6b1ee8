//! By index: what was gathered is scattered back, equal indices adding up, and the other way round.

use super::{Parts, misplaced, only};
use crate::graph::{Dim, Graph, Node, Op, Value};

type Outputs<'a> = &'a [Option<Value>];

pub(super) fn gather(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let (data, indices) = (node.inputs[0], node.inputs[1]);
    let zeros = g.zeros(g.value_type(data), &g.shape(data));
    let tuples = g.unsqueeze(indices, &[-1]);
    Ok(vec![Some(g.scatter_add(zeros, tuples, only(dy)?)), None])
}

pub(super) fn gather_elements(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let Op::GatherElements { axis } = node.op else { return Err(misplaced(&node.op)) };
    let data = node.inputs[0];
    let zeros = g.zeros(g.value_type(data), &g.shape(data));
    Ok(vec![Some(g.scatter_add_elements(zeros, node.inputs[1], only(dy)?, axis as i64)), None])
}

pub(super) fn scatter_elements(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let Op::ScatterElements { axis } = node.op else { return Err(misplaced(&node.op)) };
    let dy = only(dy)?;
    Ok(vec![Some(dy), None, Some(g.gather_elements(dy, node.inputs[1], axis as i64))])
}

pub(super) fn scatter_nd(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let (indices, dy) = (node.inputs[1], only(dy)?);
    if g.shape(indices).last() != Some(&Dim::Fixed(1)) {
        return Err("only single indices are gathered back".to_owned());
    }
    Ok(vec![Some(dy), None, Some(g.gather(dy, g.squeeze(indices, &[-1])))])
}

/// A rotation's transpose is the rotation back.
pub(super) fn rotary(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let Op::RotaryEmbedding { heads } = node.op else { return Err(misplaced(&node.op)) };
    let [_, positions, cos, sin] = node.inputs[..] else { return Err(misplaced(&node.op)) };
    Ok(vec![Some(g.rotary(only(dy)?, positions, cos, g.neg(sin), heads)), None, None, None])
}

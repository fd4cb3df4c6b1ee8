//! By index: what was gathered is scattered back, equal indices adding up, and the other way round.

use super::{Parts, misplaced, only};
use crate::graph::{Graph, Node, Op, Value};

type Outputs<'a> = &'a [Option<Value>];

pub(super) fn gather(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let (data, indices) = (node.inputs[0], node.inputs[1]);
    let zeros = g.zeros(g.value_type(data), &g.shape(data));
    let dy = only(dy)?;
    if g.shape(indices).len() == 1 {
        return Ok(vec![Some(g.scatter_add(zeros, indices, dy)), None]);
    }
    let slice = g.shape(data).into_iter().skip(1).map(|dim| dim.size().map(|size| size as i64));
    let rows: Option<Vec<i64>> = std::iter::once(Some(-1)).chain(slice).collect();
    let rows = rows.ok_or("slices of unknown size are gathered by one axis of indices only")?;
    Ok(vec![Some(g.scatter_add(zeros, g.reshape(indices, &[-1]), g.reshape(dy, &rows))), None])
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

/// A rotation's transpose is the rotation back.
pub(super) fn rotary(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let Op::RotaryEmbedding { heads } = node.op else { return Err(misplaced(&node.op)) };
    let [_, positions, cos, sin] = node.inputs[..] else { return Err(misplaced(&node.op)) };
    Ok(vec![Some(g.rotary(only(dy)?, positions, cos, g.neg(sin), heads)), None, None, None])
}

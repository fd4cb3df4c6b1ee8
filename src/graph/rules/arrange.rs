//! The same elements elsewhere: each gradient goes back where its element came from.

use super::{Parts, misplaced, only};
use crate::graph::{Dim, Graph, Node, Op, Value};

type Outputs<'a> = &'a [Option<Value>];

pub(super) fn reshape(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    Ok(vec![Some(g.reshape_like(only(dy)?, node.inputs[0]))])
}

pub(super) fn transpose(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let Op::Transpose { permutation } = &node.op else { return Err(misplaced(&node.op)) };
    let mut back = vec![0; permutation.len()];
    for (to, from) in permutation.iter().enumerate() {
        back[*from] = to;
    }
    Ok(vec![Some(g.transpose(only(dy)?, &back))])
}

pub(super) fn expand(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    Ok(vec![Some(g.unbroadcast(only(dy)?, node.inputs[0]))])
}

fn size(g: &Graph, value: Value, axis: usize) -> Result<usize, String> {
    g.shape(value)[axis].size().ok_or_else(|| format!("the size of axis {axis} must be known"))
}

pub(super) fn concat(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let Op::Concat { axis } = node.op else { return Err(misplaced(&node.op)) };
    let sizes = node.inputs.iter().map(|part| size(g, *part, axis)).collect::<Result<Vec<_>, _>>()?;
    Ok(g.split(only(dy)?, axis as i64, &sizes).into_iter().map(Some).collect())
}

pub(super) fn split(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let Op::Split { axis, .. } = node.op else { return Err(misplaced(&node.op)) };
    let parts: Vec<Value> = (node.outputs.iter().zip(dy))
        .map(|(part, dy)| dy.unwrap_or_else(|| g.zeros(g.value_type(*part), &g.shape(*part))))
        .collect();
    Ok(vec![Some(g.concat(&parts, axis as i64))])
}

pub(super) fn slice(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let Op::Slice { axis, start, end } = node.op else { return Err(misplaced(&node.op)) };
    let whole = size(g, node.inputs[0], axis)?;
    Ok(vec![Some(g.pad(only(dy)?, axis as i64, start, whole - end))])
}

pub(super) fn pad(g: &Graph, node: &Node, dy: Outputs<'_>) -> Parts {
    let Op::Pad { axis, before, .. } = node.op else { return Err(misplaced(&node.op)) };
    let Dim::Fixed(inner) = g.shape(node.inputs[0])[axis] else { return Err("the size must be known".to_owned()) };
    Ok(vec![Some(g.slice(only(dy)?, axis as i64, before, before + inner))])
}

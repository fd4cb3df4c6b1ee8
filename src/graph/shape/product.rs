//! Products of matrices.

use super::super::dim::shown;
use super::{Dim, Typed, broadcast, ensure};

fn last_two(x: &Typed, transposed: bool) -> Result<(&[Dim], Dim, Dim), String> {
    let [batch @ .., rows, columns] = x.shape.as_slice() else { return Err("wants at least two axes".to_owned()) };
    Ok(if transposed { (batch, *columns, *rows) } else { (batch, *rows, *columns) })
}

pub(super) fn matmul([a, b]: [&Typed; 2], transpose_a: bool, transpose_b: bool) -> Result<Typed, String> {
    ensure(a.of == b.of && a.of.is_float(), || format!("wants one floating type, got {} and {}", a.of, b.of))?;
    let (batch_a, rows, inner_a) = last_two(a, transpose_a)?;
    let (batch_b, inner_b, columns) = last_two(b, transpose_b)?;
    ensure(inner_a == inner_b, || format!("the summed axes differ: {inner_a} against {inner_b}"))?;
    Ok(Typed { of: a.of, shape: [broadcast(batch_a, batch_b)?.as_slice(), &[rows, columns]].concat() })
}

pub(super) fn gemm(inputs: &[&Typed], transpose_a: bool, transpose_b: bool) -> Result<Typed, String> {
    let [a, b, rest @ ..] = inputs else { return Err(format!("takes 2 or 3 operands, got {}", inputs.len())) };
    ensure(a.shape.len() == 2 && b.shape.len() == 2, || "wants matrices".to_owned())?;
    let product = matmul([a, b], transpose_a, transpose_b)?;
    if let [c] = rest {
        ensure(c.of == product.of, || format!("wants the addend in {}, got {}", product.of, c.of))?;
        let reached = broadcast(&product.shape, &c.shape)? == product.shape;
        ensure(reached, || format!("{} does not broadcast to {}", shown(&c.shape), shown(&product.shape)))?;
    }
    Ok(product)
}

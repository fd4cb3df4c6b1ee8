//! By index, and rotary embedding, which looks positions up.

use super::{Dim, Type, Typed, ensure};

fn indices(x: &Typed) -> Result<(), String> {
    ensure(x.of == Type::I64, || format!("wants i64 indices, got {}", x.of))
}

pub(super) fn gather([data, index]: [&Typed; 2]) -> Result<Typed, String> {
    indices(index)?;
    let Some((_, rest)) = data.shape.split_first() else { return Err("wants at least one axis".to_owned()) };
    Ok(Typed { of: data.of, shape: [index.shape.as_slice(), rest].concat() })
}

/// Only the axis itself may differ between data and indices.
fn beside(data: &Typed, index: &Typed, axis: usize) -> Result<(), String> {
    indices(index)?;
    let same = data.shape.len() == index.shape.len()
        && axis < data.shape.len()
        && data.shape.iter().zip(&index.shape).enumerate().all(|(at, (a, b))| at == axis || a == b);
    ensure(same, || format!("data and indices differ outside axis {axis}"))
}

pub(super) fn gather_elements([data, index]: [&Typed; 2], axis: usize) -> Result<Typed, String> {
    beside(data, index, axis)?;
    Ok(Typed { of: data.of, shape: index.shape.clone() })
}

pub(super) fn scatter_elements([data, index, updates]: [&Typed; 3], axis: usize) -> Result<Typed, String> {
    beside(data, index, axis)?;
    let fits = updates.of == data.of && updates.shape == index.shape;
    ensure(fits, || "updates must have the data's type and the indices' shape".to_owned())?;
    Ok(data.clone())
}

pub(super) fn rotary([x, positions, cos, sin]: [&Typed; 4], heads: usize) -> Result<Typed, String> {
    let &[rows, length, Dim::Fixed(width)] = x.shape.as_slice() else {
        return Err("wants [rows, length, heads * size] with the last size known".to_owned());
    };
    indices(positions)?;
    ensure(positions.shape == [rows, length], || format!("positions must be [{rows}, {length}]"))?;
    ensure(heads > 0 && width.is_multiple_of(2 * heads), || format!("{width} are not {heads} heads of even size"))?;
    let half = Dim::Fixed(width / heads / 2);
    let table = |table: &Typed| table.of == x.of && table.shape.len() == 2 && table.shape[1] == half;
    ensure(table(cos) && table(sin) && cos.shape == sin.shape, || {
        format!("cos and sin must be {}[positions, {half}]", x.of)
    })?;
    Ok(x.clone())
}

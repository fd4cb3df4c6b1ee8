//! Element by element, with numpy's broadcasting.

use super::super::dim::shown;
use super::{Dim, Type, Typed, ensure};

/// The shape two shapes broadcast to.
pub(in crate::graph) fn broadcast(a: &[Dim], b: &[Dim]) -> Result<Vec<Dim>, String> {
    let rank = a.len().max(b.len());
    let at =
        |shape: &[Dim], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(Dim::Fixed(1), |axis| shape[axis]);
    (0..rank)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (x, y) if x == y || y.is_one() => Ok(x),
            (x, y) if x.is_one() => Ok(y),
            (x, y) => Err(format!("{} and {} do not broadcast: {x} against {y}", shown(a), shown(b))),
        })
        .collect()
}

pub(super) fn unary(x: &Typed) -> Result<Typed, String> {
    ensure(x.of.is_float(), || format!("wants floating point, got {}", x.of))?;
    Ok(x.clone())
}

pub(super) fn not(x: &Typed) -> Result<Typed, String> {
    ensure(x.of == Type::Bool, || format!("wants bool, got {}", x.of))?;
    Ok(x.clone())
}

pub(super) fn arithmetic([a, b]: [&Typed; 2]) -> Result<Typed, String> {
    ensure(a.of == b.of && a.of != Type::Bool, || format!("wants two numbers of one type, got {} and {}", a.of, b.of))?;
    Ok(Typed { of: a.of, shape: broadcast(&a.shape, &b.shape)? })
}

pub(super) fn comparison([a, b]: [&Typed; 2]) -> Result<Typed, String> {
    ensure(a.of == b.of, || format!("wants operands of one type, got {} and {}", a.of, b.of))?;
    Ok(Typed { of: Type::Bool, shape: broadcast(&a.shape, &b.shape)? })
}

pub(super) fn logic([a, b]: [&Typed; 2]) -> Result<Typed, String> {
    ensure(a.of == Type::Bool && b.of == Type::Bool, || format!("wants bool, got {} and {}", a.of, b.of))?;
    Ok(Typed { of: Type::Bool, shape: broadcast(&a.shape, &b.shape)? })
}

pub(super) fn choice([condition, yes, no]: [&Typed; 3]) -> Result<Typed, String> {
    ensure(condition.of == Type::Bool, || format!("wants a bool condition, got {}", condition.of))?;
    ensure(yes.of == no.of, || format!("wants both choices of one type, got {} and {}", yes.of, no.of))?;
    let shape = broadcast(&condition.shape, &broadcast(&yes.shape, &no.shape)?)?;
    Ok(Typed { of: yes.of, shape })
}

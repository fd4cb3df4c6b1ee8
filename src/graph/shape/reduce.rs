//! Along and over axes.

use super::{Dim, Type, Typed, ensure};

pub(super) fn along(x: &Typed, axis: usize, float: bool) -> Result<Typed, String> {
    ensure(axis < x.shape.len(), || format!("there is no axis {axis}"))?;
    ensure(!float || x.of.is_float(), || format!("wants floating point, got {}", x.of))?;
    Ok(x.clone())
}

pub(super) fn over(x: &Typed, axes: &[usize], keep: bool) -> Result<Typed, String> {
    ensure(x.of != Type::Bool, || "wants numbers, got bool".to_owned())?;
    ensure(axes.iter().all(|axis| *axis < x.shape.len()), || format!("there are no axes {axes:?}"))?;
    ensure(axes.is_sorted_by(|a, b| a < b), || format!("axes {axes:?} repeat"))?;
    let dims = x.shape.iter().enumerate().filter_map(|(axis, dim)| match (axes.contains(&axis), keep) {
        (false, _) => Some(*dim),
        (true, true) => Some(Dim::Fixed(1)),
        (true, false) => None,
    });
    Ok(Typed { of: x.of, shape: dims.collect() })
}

pub(super) fn norm([x, w]: [&Typed; 2]) -> Result<Vec<Typed>, String> {
    ensure(x.of.is_float() && x.of == w.of, || format!("wants one floating type, got {} and {}", x.of, w.of))?;
    let Some((last, rows)) = x.shape.split_last() else { return Err("wants at least one axis".to_owned()) };
    ensure(w.shape == [*last], || format!("the weight must have shape [{last}]"))?;
    let inverse = Typed { of: Type::F32, shape: [rows, &[Dim::Fixed(1)]].concat() };
    Ok(vec![x.clone(), inverse])
}

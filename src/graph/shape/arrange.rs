//! The same elements elsewhere.

use super::super::dim::{Extent, shown};
use super::{Dim, Typed, broadcast, ensure};

pub(super) fn reshape(x: &Typed, target: &[i64]) -> Result<Typed, String> {
    let mut shape = Vec::with_capacity(target.len());
    let mut open = None;
    for (place, size) in target.iter().enumerate() {
        shape.push(match size {
            0 => *x.shape.get(place).ok_or_else(|| format!("0 at place {place} has no axis to keep"))?,
            -1 if open.is_none() => {
                open = Some(place);
                Dim::Fixed(1)
            }
            size if *size > 0 => Dim::Fixed(*size as usize),
            _ => return Err(format!("cannot be reshaped to {target:?}")),
        });
    }
    let (have, want) = (Extent::of(&x.shape), Extent::of(&shape));
    match open {
        Some(place) => {
            shape[place] =
                have.divided_by(&want).ok_or_else(|| format!("the elements cannot be divided into {target:?}"))?;
        }
        None => ensure(have == want, || format!("{target:?} has another number of elements"))?,
    }
    Ok(Typed { of: x.of, shape })
}

pub(super) fn reshape_like([x, like]: [&Typed; 2]) -> Result<Typed, String> {
    ensure(Extent::of(&x.shape) == Extent::of(&like.shape), || "the numbers of elements differ".to_owned())?;
    Ok(Typed { of: x.of, shape: like.shape.clone() })
}

pub(super) fn transpose(x: &Typed, permutation: &[usize]) -> Result<Typed, String> {
    let mut sorted = permutation.to_vec();
    sorted.sort_unstable();
    ensure(sorted.into_iter().eq(0..x.shape.len()), || format!("{permutation:?} is no permutation of the axes"))?;
    Ok(Typed { of: x.of, shape: permutation.iter().map(|axis| x.shape[*axis]).collect() })
}

pub(super) fn expand(x: &Typed, shape: &[Dim]) -> Result<Typed, String> {
    ensure(broadcast(&x.shape, shape)? == shape, || format!("does not broadcast to {}", shown(shape)))?;
    Ok(Typed { of: x.of, shape: shape.to_vec() })
}

pub(super) fn unsqueeze(x: &Typed, axes: &[usize]) -> Result<Typed, String> {
    let rank = x.shape.len() + axes.len();
    let fits = axes.is_sorted_by(|a, b| a < b) && axes.iter().all(|axis| *axis < rank);
    ensure(fits, || format!("{axes:?} are no places in {rank} axes"))?;
    let mut left = x.shape.iter();
    let dims = (0..rank).map(|axis| if axes.contains(&axis) { Some(Dim::Fixed(1)) } else { left.next().copied() });
    Ok(Typed { of: x.of, shape: dims.flatten().collect() })
}

pub(super) fn squeeze(x: &Typed, axes: &[usize]) -> Result<Typed, String> {
    let ones = axes.iter().all(|axis| x.shape.get(*axis).is_some_and(|dim| dim.is_one()));
    ensure(ones, || format!("axes {axes:?} are not all of size one"))?;
    let kept = x.shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
    Ok(Typed { of: x.of, shape: kept.map(|(_, dim)| *dim).collect() })
}

pub(super) fn concat(inputs: &[&Typed], axis: usize) -> Result<Typed, String> {
    let [first, ..] = inputs else { return Err("takes at least one operand".to_owned()) };
    ensure(axis < first.shape.len(), || format!("there is no axis {axis}"))?;
    let mut shape = first.shape.clone();
    let mut sum = 0;
    for x in inputs {
        let mut like = x.shape.clone();
        ensure(x.of == first.of && like.len() == shape.len(), || "operands differ in type or rank".to_owned())?;
        sum += known(like[axis])?;
        like[axis] = shape[axis];
        ensure(like == shape, || format!("operands differ outside axis {axis}"))?;
    }
    shape[axis] = Dim::Fixed(sum);
    Ok(Typed { of: first.of, shape })
}

pub(super) fn split(x: &Typed, axis: usize, parts: &[usize]) -> Result<Vec<Typed>, String> {
    let size = known(*x.shape.get(axis).ok_or_else(|| format!("there is no axis {axis}"))?)?;
    let fits = parts.iter().sum::<usize>() == size && !parts.is_empty();
    ensure(fits, || format!("parts {parts:?} do not make up {size}"))?;
    Ok(parts.iter().map(|part| resized(x, axis, *part)).collect())
}

pub(super) fn slice(x: &Typed, axis: usize, start: usize, end: usize) -> Result<Typed, String> {
    let size = known(*x.shape.get(axis).ok_or_else(|| format!("there is no axis {axis}"))?)?;
    ensure(start < end && end <= size, || format!("{start}..{end} is not inside an axis of {size}"))?;
    Ok(resized(x, axis, end - start))
}

pub(super) fn pad(x: &Typed, axis: usize, before: usize, after: usize) -> Result<Typed, String> {
    let size = known(*x.shape.get(axis).ok_or_else(|| format!("there is no axis {axis}"))?)?;
    Ok(resized(x, axis, before + size + after))
}

fn resized(x: &Typed, axis: usize, size: usize) -> Typed {
    let mut shape = x.shape.clone();
    shape[axis] = Dim::Fixed(size);
    Typed { of: x.of, shape }
}

fn known(dim: Dim) -> Result<usize, String> {
    dim.size().ok_or_else(|| format!("the size of axis {dim} must be known"))
}

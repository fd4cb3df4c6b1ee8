//! What a batch's sessions write for each other: parts of one memory that all shapes use in turn.

use super::shape::Shape;
use crate::graph::Type;
use crate::runtime::{Runtime, RuntimeError, Tensor};

/// Memory for the activations of one batch at a time; it grows to what the largest shape needs.
#[derive(Default)]
pub(super) struct Arena(Option<Tensor>);

/// Parts begin at multiples of so many bytes, as kernels like it.
const ALIGNED: usize = 64;

/// The activations of one batch.
pub(super) struct Activations {
    pub(super) mask: Tensor,
    /// What the last layer gives: the rows that the heads read.
    pub(super) ends: Tensor,
    /// The residual stream before each layer; when scoring two, in turns.
    pub(super) streams: Vec<Tensor>,
    /// What a training needs beside.
    pub(super) training: Option<Backward>,
}

pub(super) struct Backward {
    /// The loss's gradient with respect to `ends`.
    pub(super) end_slope: Tensor,
    /// That with respect to the residual stream, in turns.
    pub(super) slopes: [Tensor; 2],
    /// What each layer's forward pass saves for its backward pass.
    pub(super) saved: Vec<Vec<Tensor>>,
}

/// Types and shapes of a shape's activations, in the order in which they are laid.
fn wanted(shape: &Shape) -> Vec<(Type, Vec<usize>)> {
    let key = shape.key;
    let stream = (Type::F32, vec![key.tokens(), shape.sizes.hidden]);
    let ends = (Type::F32, vec![key.read(), shape.sizes.hidden]);
    let mut all = vec![(Type::F32, vec![key.rows, 1, 1, key.length, key.length]), ends.clone()];
    all.extend(vec![stream.clone(); streams(shape)]);
    if shape.trains() {
        all.extend([ends, stream.clone(), stream]);
        let saved = (0..shape.sizes.layers).flat_map(|layer| shape.saved(layer));
        all.extend(saved.map(|saved| (saved.of, saved.shape.clone())));
    }
    all
}

fn streams(shape: &Shape) -> usize {
    if shape.trains() { shape.sizes.layers } else { shape.sizes.layers.min(2) }
}

impl Arena {
    /// The activations of a shape; those of the batch before are lost.
    pub(super) fn lay(&mut self, runtime: &Runtime, shape: &Shape) -> Result<Activations, RuntimeError> {
        let wanted = wanted(shape);
        let mut end = 0;
        let place = |(of, sizes): &(Type, Vec<usize>)| {
            let start = end;
            end = (start + sizes.iter().product::<usize>() * of.bytes()).next_multiple_of(ALIGNED);
            start
        };
        let places: Vec<usize> = wanted.iter().map(place).collect();
        let large = |memory: &Tensor| memory.elements() * Type::F32.bytes() >= end;
        let memory = match self.0.take().filter(large) {
            Some(memory) => memory,
            // The smaller one is gone by now.
            None => runtime.tensor(Type::F32, &[end / Type::F32.bytes()])?,
        };
        let part = |((of, sizes), start): (&(Type, Vec<usize>), usize)| memory.part_at(start, *of, sizes);
        let parts = wanted.iter().zip(places).map(part).collect::<Result<Vec<_>, _>>()?;
        self.0 = Some(memory);
        distribute(parts, shape).ok_or_else(|| RuntimeError::Misused {
            session: "activations".to_owned(),
            message: "fewer were laid than are needed".to_owned(),
        })
    }
}

/// Gives each part its name, in the order of [`wanted`].
fn distribute(parts: Vec<Tensor>, shape: &Shape) -> Option<Activations> {
    let mut parts = parts.into_iter();
    let (mask, ends) = (parts.next()?, parts.next()?);
    let streams = parts.by_ref().take(streams(shape)).collect();
    let training = if shape.trains() {
        let (end_slope, slopes) = (parts.next()?, [parts.next()?, parts.next()?]);
        let count = |layer: usize| shape.saved(layer).len();
        let saved = (0..shape.sizes.layers).map(|layer| parts.by_ref().take(count(layer)).collect()).collect();
        Some(Backward { end_slope, slopes, saved })
    } else {
        None
    };
    Some(Activations { mask, ends, streams, training })
}

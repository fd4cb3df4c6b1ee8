//! One method per operation. Negative axes count from the end, as in ONNX.

mod arrange;
mod elementwise;
mod index;
mod product;
mod reduce;

use super::{Graph, Op, Value};

impl Graph {
    /// The place of `axis` in `rank` axes; a mistake is remembered.
    fn axis(&self, op: &str, operand: Value, rank: usize, axis: i64) -> usize {
        let place = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(place).ok().filter(|place| *place < rank).unwrap_or_else(|| {
            self.fail(op, &[operand], &format!("there is no axis {axis} in {rank}"));
            0
        })
    }

    fn axes(&self, op: &str, operand: Value, rank: usize, axes: &[i64]) -> Vec<usize> {
        let mut places: Vec<usize> = axes.iter().map(|axis| self.axis(op, operand, rank, *axis)).collect();
        places.sort_unstable();
        places
    }

    fn rank(&self, value: Value) -> usize {
        self.body.borrow().typed(value).shape.len()
    }

    /// The operation that wrote a value.
    fn written_by(&self, value: Value) -> Option<(Op, Value)> {
        let node = self.producer(value)?;
        Some((node.op, *node.inputs.first()?))
    }
}

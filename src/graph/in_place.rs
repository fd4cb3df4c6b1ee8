//! Which outputs may be written over an input.

use std::collections::HashSet;

use super::{Graph, GraphError, Op, Value};

impl Graph {
    /// Whether a run may be given the same memory as the input and as the output of these names.
    ///
    /// ONNX Runtime runs nodes in an order of its own, so every node that reads the input, or a view of it, must be one
    /// that the writing node waits for; and the writing node must read an element of the input no later than it writes
    /// that element.
    ///
    /// # Errors
    /// When it may not, or one of the names is unknown.
    pub fn check_in_place(&self, input: &str, output: &str) -> Result<(), GraphError> {
        let refused = |message: &str| Err(self.error(&format!("{output} over {input}"), &[], message));
        let Some(read) = self.input_named(input) else { return refused("there is no such input") };
        let Some((_, written)) = self.outputs().into_iter().find(|(name, _)| name == output) else {
            return refused("there is no such output");
        };
        let body = self.body.borrow();
        let Some(writer) = body.producer(written) else { return refused("the output is not computed") };
        if body.typed(read) != body.typed(written) {
            return refused("they differ in type or shape");
        }
        let node = &body.nodes[writer];
        let same = |value: &Value| body.typed(*value).shape == body.typed(written).shape;
        let fits = match node.op {
            Op::Gemm { .. } => !node.inputs[..2].contains(&read) && node.inputs.get(2).is_none_or(same),
            Op::ScatterElements { .. } => node.inputs[1..].iter().all(|value| *value != read),
            ref op => op.is_elementwise(),
        };
        if !fits {
            return refused("the writing operation may read what it has overwritten");
        }
        let mut before = HashSet::from([writer]);
        let mut open = vec![writer];
        while let Some(index) = open.pop() {
            for earlier in body.nodes[index].inputs.iter().filter_map(|value| body.producer(*value)) {
                if before.insert(earlier) {
                    open.push(earlier);
                }
            }
        }
        let live = body.live();
        let mut views = HashSet::from([read]);
        for (index, node) in body.nodes.iter().enumerate().filter(|(index, _)| live[*index]) {
            if !node.inputs.iter().any(|value| views.contains(value)) {
                continue;
            }
            if !before.contains(&index) {
                return refused("the input may be read after the output is written");
            }
            if node.op.is_view() {
                views.extend(&node.outputs);
            }
        }
        Ok(())
    }
}

//! Gradients by one walk in reverse.

use std::collections::{HashMap, HashSet};

use super::rules::{self, Rule};
use super::{Graph, GraphError, Node, Op, Value};

/// Adds to the graph the gradient of a loss with respect to each of `wrt`, given for each of `seeds` a value and the
/// loss's gradient with respect to it. None where the loss does not depend on the value.
///
/// Only nodes between `wrt` and the seeds are walked. A gradient of several parts is summed, by a `Gemm`'s addend where
/// one part is a product that nothing else reads.
///
/// # Errors
/// A mistake made while building, or an operation on the way without a rule.
pub fn gradients(graph: &Graph, seeds: &[(Value, Value)], wrt: &[Value]) -> Result<Vec<Option<Value>>, GraphError> {
    graph.finish()?;
    for (value, gradient) in seeds {
        if graph.shape(*value) != graph.shape(*gradient) || graph.value_type(*value) != graph.value_type(*gradient) {
            return Err(graph.error("gradients", &[*value, *gradient], "a seed is of another type or shape"));
        }
    }
    let nodes = graph.nodes();
    let moved = depends_on(&nodes, wrt);
    let mut sums: HashMap<Value, Value> = HashMap::new();
    for (value, gradient) in seeds {
        collect(graph, &mut sums, *value, *gradient);
    }
    for node in nodes.iter().rev().filter(|node| node.outputs.iter().any(|value| moved.contains(value))) {
        let outputs: Vec<Option<Value>> = node.outputs.iter().map(|value| sums.get(value).copied()).collect();
        if outputs.iter().all(Option::is_none) {
            continue;
        }
        let parts = match rules::of(&node.op) {
            Rule::None => continue,
            Rule::Some(rule) => rule(graph, node, &outputs)
                .map_err(|message| graph.error(node.op.name(), &node.inputs, &format!("no gradient: {message}")))?,
        };
        for (input, part) in node.inputs.iter().zip(parts) {
            if let Some(part) = part.filter(|_| moved.contains(input)) {
                collect(graph, &mut sums, *input, part);
            }
        }
    }
    graph.finish()?;
    Ok(wrt.iter().map(|value| sums.get(value).copied()).collect())
}

/// The values that change when one of `wrt` does.
fn depends_on(nodes: &[Node], wrt: &[Value]) -> HashSet<Value> {
    let mut moved: HashSet<Value> = wrt.iter().copied().collect();
    for node in nodes {
        if node.inputs.iter().any(|value| moved.contains(value)) {
            moved.extend(&node.outputs);
        }
    }
    moved
}

fn collect(graph: &Graph, sums: &mut HashMap<Value, Value>, value: Value, part: Value) {
    let sum = sums.get(&value).map_or(part, |sum| graph.accumulate(*sum, part));
    sums.insert(value, sum);
}

impl Graph {
    /// `sum + part` of equal shapes. Where one of them is a product of matrices without an addend, the other becomes its
    /// addend, which costs nothing; the product alone is dropped unless something else reads it.
    pub fn accumulate(&self, sum: Value, part: Value) -> Value {
        for (product, other) in [(part, sum), (sum, part)] {
            if let Some(Node { op: op @ Op::Gemm { .. }, inputs, .. }) = self.producer(product)
                && let [a, b] = inputs[..]
                && self.shape(product) == self.shape(other)
            {
                return self.one(op, &[a, b, other]);
            }
        }
        self.add(sum, part)
    }
}

//! Part of a graph as a graph of its own.

use std::collections::HashMap;

use super::nodes::Source;
use super::{Graph, GraphError, Value};

impl Graph {
    /// A graph of its own with everything that `outputs` need, where each of `given` is an input instead of being
    /// computed. This cuts a graph with gradients into a forward and a backward one: values that are given to the
    /// backward graph are saved ones, the others are computed again.
    ///
    /// # Errors
    /// A mistake made while building.
    pub fn extract(&self, name: &str, given: &[(&str, Value)], outputs: &[(&str, Value)]) -> Result<Self, GraphError> {
        self.finish()?;
        let part = Self::new(name);
        let body = self.body.borrow();
        let mut copies: HashMap<Value, Value> = HashMap::new();
        for (name, value) in given {
            let typed = body.typed(*value);
            copies.insert(*value, part.input(name, typed.of, &typed.shape));
        }
        let mut needed = vec![false; body.values.len()];
        for (_, value) in outputs {
            needed[value.index()] = true;
        }
        let mut live = vec![false; body.nodes.len()];
        for (index, node) in body.nodes.iter().enumerate().rev() {
            if node.outputs.iter().any(|value| needed[value.index()] && !copies.contains_key(value)) {
                live[index] = true;
                for value in &node.inputs {
                    needed[value.index()] = true;
                }
            }
        }
        for (index, slot) in body.values.iter().enumerate().filter(|(index, _)| needed[*index]) {
            let value = Value(index as u32);
            let copy = match &slot.source {
                _ if copies.contains_key(&value) => continue,
                Source::Input(name) => part.input(name, slot.typed.of, &slot.typed.shape),
                source @ Source::Constant { .. } => part.body.borrow_mut().push(slot.typed.clone(), source.clone()),
                Source::Node { .. } | Source::Broken => continue,
            };
            copies.insert(value, copy);
        }
        for (_, node) in body.nodes.iter().enumerate().filter(|(index, _)| live[*index]) {
            let inputs: Vec<Value> = node.inputs.iter().map(|value| copies[value]).collect();
            for (value, copy) in node.outputs.iter().zip(part.apply(node.op.clone(), &inputs)) {
                copies.entry(*value).or_insert(copy);
            }
        }
        for (name, value) in outputs {
            part.output(name, copies[value]);
        }
        part.finish()?;
        Ok(part)
    }
}

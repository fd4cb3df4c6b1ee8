//! The graph itself: values, nodes, inputs, outputs, constants, and the first mistake.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::dim::shown;
use super::shape::{self, Typed};
use super::{Dim, GraphError, Op, Type};

/// A value of one graph. Values of another graph are other values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(super) u32);

impl Value {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One operation with what it reads and writes.
#[derive(Debug, Clone)]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<Value>,
    /// What it writes.
    pub outputs: Vec<Value>,
}

/// Where a constant's bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Payload {
    Bytes(Arc<[u8]>),
    /// In a file beside the ONNX file.
    External {
        location: String,
        offset: u64,
    },
    /// Given when the file is written.
    Later,
}

#[derive(Debug, Clone)]
pub(super) enum Source {
    Input(String),
    Constant { name: Option<String>, payload: Payload },
    Node { node: usize, slot: usize },
    Broken,
}

#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) typed: Typed,
    pub(super) source: Source,
}

type ConstantKey = (Type, Vec<Dim>, Arc<[u8]>);

#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) values: Vec<Slot>,
    pub(super) nodes: Vec<Node>,
    pub(super) inputs: Vec<Value>,
    pub(super) outputs: Vec<(String, Value)>,
    constants: HashMap<ConstantKey, Value>,
    error: Option<GraphError>,
}

impl Body {
    pub(super) fn push(&mut self, typed: Typed, source: Source) -> Value {
        let value = Value(self.values.len() as u32);
        self.values.push(Slot { typed, source });
        value
    }

    pub(super) fn typed(&self, value: Value) -> &Typed {
        &self.values[value.index()].typed
    }

    pub(super) fn producer(&self, value: Value) -> Option<usize> {
        match self.values[value.index()].source {
            Source::Node { node, .. } => Some(node),
            _ => None,
        }
    }

    /// For every node, whether an output needs it.
    pub(super) fn live(&self) -> Vec<bool> {
        let mut needed = vec![false; self.values.len()];
        for (_, value) in &self.outputs {
            needed[value.index()] = true;
        }
        let mut live = vec![false; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if node.outputs.iter().any(|value| needed[value.index()]) {
                live[index] = true;
                for value in &node.inputs {
                    needed[value.index()] = true;
                }
            }
        }
        live
    }
}

/// A graph being built.
///
/// Methods take `&self`, so that formulas nest: `g.add(g.mul(a, b), c)`.
#[derive(Debug)]
pub struct Graph {
    name: String,
    pub(super) body: RefCell<Body>,
}

impl Graph {
    /// An empty graph; the name tells it apart in errors and in dumps.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), body: RefCell::default() }
    }

    /// The graph's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A value given to each run.
    pub fn input(&self, name: &str, of: Type, shape: &[Dim]) -> Value {
        if self.input_named(name).is_some() {
            self.fail("input", &[], &format!("there is an input {name:?} already"));
        }
        let typed = Typed { of, shape: shape.to_vec() };
        let mut body = self.body.borrow_mut();
        let value = body.push(typed, Source::Input(name.to_owned()));
        body.inputs.push(value);
        value
    }

    /// Names a value that each run gives back.
    pub fn output(&self, name: &str, value: Value) {
        if self.body.borrow().outputs.iter().any(|(other, _)| other == name) || self.input_named(name).is_some() {
            self.fail("output", &[value], &format!("the name {name:?} is taken already"));
        }
        self.body.borrow_mut().outputs.push((name.to_owned(), value));
    }

    /// The input of this name.
    pub fn input_named(&self, name: &str) -> Option<Value> {
        self.inputs().into_iter().find(|(other, ..)| other == name).map(|(_, value)| value)
    }

    /// All inputs in order, with their names.
    pub fn inputs(&self) -> Vec<(String, Value)> {
        let body = self.body.borrow();
        let named = body.inputs.iter().filter_map(|value| match &body.values[value.index()].source {
            Source::Input(name) => Some((name.clone(), *value)),
            _ => None,
        });
        named.collect()
    }

    /// All outputs in order, with their names.
    pub fn outputs(&self) -> Vec<(String, Value)> {
        self.body.borrow().outputs.clone()
    }

    /// The shape of a value.
    pub fn shape(&self, value: Value) -> Vec<Dim> {
        self.body.borrow().typed(value).shape.clone()
    }

    /// The sizes of a value's axes, when all are known.
    pub fn sizes(&self, value: Value) -> Option<Vec<usize>> {
        self.body.borrow().typed(value).shape.iter().map(|dim| dim.size()).collect()
    }

    /// The element type of a value.
    pub fn value_type(&self, value: Value) -> Type {
        self.body.borrow().typed(value).of
    }

    /// The node that writes a value; none for inputs and constants.
    pub fn producer(&self, value: Value) -> Option<Node> {
        let body = self.body.borrow();
        body.producer(value).map(|node| body.nodes[node].clone())
    }

    /// All nodes, in order; those that no output needs are among them.
    pub fn nodes(&self) -> Vec<Node> {
        self.body.borrow().nodes.clone()
    }

    /// A constant of numbers; equal ones are kept once.
    pub fn floats(&self, numbers: &[f32], shape: &[usize]) -> Value {
        self.numbers(Type::F32, numbers, shape)
    }

    /// A constant of numbers in a given type.
    pub fn numbers(&self, of: Type, numbers: &[f32], shape: &[usize]) -> Value {
        self.constant(of, shape, of.encode(numbers))
    }

    /// A constant of integers; equal ones are kept once.
    pub fn integers(&self, numbers: &[i64], shape: &[usize]) -> Value {
        self.constant(Type::I64, shape, numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
    }

    /// A single number.
    pub fn scalar(&self, number: f32) -> Value {
        self.floats(&[number], &[])
    }

    /// A single number in the type of another value.
    pub fn scalar_like(&self, number: f32, like: Value) -> Value {
        self.numbers(self.value_type(like), &[number], &[])
    }

    /// A model's weight, little-endian, kept under its name. Not compared with others.
    pub fn weight(&self, name: &str, of: Type, shape: &[usize], bytes: impl Into<Arc<[u8]>>) -> Value {
        let bytes = bytes.into();
        let shape: Vec<Dim> = shape.iter().copied().map(Dim::Fixed).collect();
        let value = self.named_constant(name, Typed { of, shape: shape.clone() }, Payload::Bytes(Arc::clone(&bytes)));
        self.check_length("weight", value, &shape, of, bytes.len());
        value
    }

    /// A model's weight whose bytes lie in a file beside the ONNX file (more than 2 GB do not fit into one).
    pub fn external_weight(&self, name: &str, of: Type, shape: &[usize], location: &str, offset: u64) -> Value {
        let shape = shape.iter().copied().map(Dim::Fixed).collect();
        self.named_constant(name, Typed { of, shape }, Payload::External { location: location.to_owned(), offset })
    }

    /// A model's weight whose bytes are given when the file is written: see [`Graph::onnx_pieces`].
    pub fn later_weight(&self, name: &str, of: Type, shape: &[usize]) -> Value {
        let shape = shape.iter().copied().map(Dim::Fixed).collect();
        self.named_constant(name, Typed { of, shape }, Payload::Later)
    }

    fn named_constant(&self, name: &str, typed: Typed, payload: Payload) -> Value {
        self.body.borrow_mut().push(typed, Source::Constant { name: Some(name.to_owned()), payload })
    }

    fn constant(&self, of: Type, shape: &[usize], bytes: Vec<u8>) -> Value {
        let shape: Vec<Dim> = shape.iter().copied().map(Dim::Fixed).collect();
        let bytes: Arc<[u8]> = bytes.into();
        let key = (of, shape.clone(), Arc::clone(&bytes));
        if let Some(value) = self.body.borrow().constants.get(&key) {
            return *value;
        }
        let length = bytes.len();
        let source = Source::Constant { name: None, payload: Payload::Bytes(bytes) };
        let value = self.body.borrow_mut().push(Typed { of, shape: shape.clone() }, source);
        self.body.borrow_mut().constants.insert(key, value);
        self.check_length("constant", value, &shape, of, length);
        value
    }

    fn check_length(&self, what: &str, value: Value, shape: &[Dim], of: Type, length: usize) {
        let wanted = shape.iter().filter_map(|dim| dim.size()).product::<usize>() * of.bytes();
        if wanted != length {
            self.fail(what, &[value], &format!("needs {wanted} bytes, got {length}"));
        }
    }

    /// Adds a node; its outputs' types and shapes are inferred. After a first mistake nothing is inferred any more.
    pub(super) fn apply(&self, op: Op, inputs: &[Value]) -> Vec<Value> {
        let mut body = self.body.borrow_mut();
        let inferred = if body.error.is_some() {
            None
        } else {
            let typed: Vec<&Typed> = inputs.iter().map(|value| body.typed(*value)).collect();
            match shape::infer(&op, &typed) {
                Ok(typed) => Some(typed),
                Err(message) => {
                    drop(body);
                    self.fail(op.name(), inputs, &message);
                    body = self.body.borrow_mut();
                    None
                }
            }
        };
        let Some(typed) = inferred else {
            let typed = Typed { of: Type::F32, shape: Vec::new() };
            return (0..op.outputs()).map(|_| body.push(typed.clone(), Source::Broken)).collect();
        };
        let node = body.nodes.len();
        let placed = typed.into_iter().enumerate();
        let outputs: Vec<Value> = placed.map(|(slot, typed)| body.push(typed, Source::Node { node, slot })).collect();
        body.nodes.push(Node { op, inputs: inputs.to_vec(), outputs: outputs.clone() });
        outputs
    }

    /// [`Graph::apply`] of an operation with one result.
    pub(super) fn one(&self, op: Op, inputs: &[Value]) -> Value {
        self.apply(op, inputs)[0]
    }

    /// Remembers a mistake; the first one counts.
    pub(super) fn fail(&self, op: &str, operands: &[Value], message: &str) {
        let error = self.error(op, operands, message);
        self.body.borrow_mut().error.get_or_insert(error);
    }

    pub(super) fn error(&self, op: &str, operands: &[Value], message: &str) -> GraphError {
        let body = self.body.borrow();
        let shapes = operands.iter().map(|value| {
            let Typed { of, shape } = body.typed(*value);
            format!("{of}{}", shown(shape))
        });
        GraphError {
            graph: self.name.clone(),
            op: op.to_owned(),
            shapes: shapes.collect(),
            message: message.to_owned(),
        }
    }

    /// The first mistake made while building, if any.
    pub fn finish(&self) -> Result<(), GraphError> {
        self.body.borrow().error.clone().map_or(Ok(()), Err)
    }
}

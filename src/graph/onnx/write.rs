//! A graph's live part as an ONNX model.

use std::collections::BTreeMap;

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::form::{self, Integers};
use super::message;
use crate::graph::nodes::{Body, Payload, Source};
use crate::graph::{Dim, Graph, GraphError, Op, Type, Value};

/// A protobuf message ends there.
const LARGEST: usize = i32::MAX as usize;

/// An ONNX file in pieces, so that nobody holds all weights at once: `head`, then for each weight its `lead` and its bytes.
pub struct OnnxPieces {
    /// The model without the weights that come later.
    pub head: Vec<u8>,
    /// The weights that [`Graph::later_weight`] named.
    pub weights: Vec<OnnxWeight>,
}

/// A weight of an ONNX file.
pub struct OnnxWeight {
    /// Its name.
    pub name: String,
    /// What stands before its bytes.
    pub lead: Vec<u8>,
    /// How many bytes it has.
    pub bytes: usize,
}

impl Graph {
    /// The graph as an ONNX model, with all that its outputs need.
    ///
    /// # Errors
    /// A mistake made while building; a graph without outputs, too large, or with weights that are given later.
    pub fn to_onnx(&self) -> Result<Vec<u8>, GraphError> {
        let pieces = self.onnx_pieces()?;
        match pieces.weights.first() {
            None => Ok(pieces.head),
            Some(weight) => Err(self.error("to_onnx", &[], &format!("weight {} is not given", weight.name))),
        }
    }

    /// The graph as an ONNX model in pieces.
    ///
    /// # Errors
    /// A mistake made while building; a graph without outputs, or too large for one file.
    pub fn onnx_pieces(&self) -> Result<OnnxPieces, GraphError> {
        self.finish()?;
        if self.body.borrow().outputs.is_empty() {
            return Err(self.error("to_onnx", &[], "the graph has no outputs"));
        }
        let writer = Writer::new(&self.body.borrow());
        let graph = message::Graph { name: self.name().to_owned(), ..writer.graph };
        // Fields of a message may come in any order, so the weights come last.
        let weights: Vec<OnnxWeight> = writer.later.into_iter().map(later).collect();
        let all = graph.encoded_len() + weights.iter().map(|weight| weight.lead.len() + weight.bytes).sum::<usize>();
        let model = message::Model {
            ir_version: 10,
            producer_name: env!("CARGO_PKG_NAME").to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            opset_import: vec![
                message::Opset { domain: String::new(), version: 21 },
                message::Opset { domain: "com.microsoft".to_owned(), version: 1 },
            ],
        };
        if all + model.encoded_len() + 16 > LARGEST {
            let message = format!("{all} bytes do not fit into one protobuf; give the weights as external ones");
            return Err(self.error("to_onnx", &[], &message));
        }
        let mut head = model.encode_to_vec();
        encode_key(message::GRAPH_OF_MODEL, WireType::LengthDelimited, &mut head);
        encode_varint(all as u64, &mut head);
        graph.encode_raw(&mut head);
        Ok(OnnxPieces { head, weights })
    }
}

/// An initialiser up to its bytes, which are its last field.
fn later((tensor, bytes): (message::Tensor, usize)) -> OnnxWeight {
    let mut body = tensor.encode_to_vec();
    encode_key(message::BYTES_OF_TENSOR, WireType::LengthDelimited, &mut body);
    encode_varint(bytes as u64, &mut body);
    let mut lead = Vec::new();
    encode_key(message::INITIALIZER_OF_GRAPH, WireType::LengthDelimited, &mut lead);
    encode_varint((body.len() + bytes) as u64, &mut lead);
    lead.extend(body);
    OnnxWeight { name: tensor.name, lead, bytes }
}

struct Writer {
    names: Vec<String>,
    integers: BTreeMap<(Vec<i64>, bool), String>,
    graph: message::Graph,
    /// Initialisers that still lack their bytes, and how many those are.
    later: Vec<(message::Tensor, usize)>,
}

impl Writer {
    fn new(body: &Body) -> Self {
        let mut writer = Self {
            names: value_names(body),
            integers: BTreeMap::new(),
            graph: message::Graph::default(),
            later: Vec::new(),
        };
        let live = body.live();
        let mut constants = vec![false; body.values.len()];
        for (node, _) in body.nodes.iter().zip(&live).filter(|(_, live)| **live) {
            for value in &node.inputs {
                constants[value.index()] = true;
            }
        }
        for (_, value) in &body.outputs {
            constants[value.index()] = true;
        }
        for (slot, name) in body.values.iter().zip(&writer.names).zip(constants).filter(|(_, on)| *on).map(|(v, _)| v) {
            if let Source::Constant { payload, .. } = &slot.source {
                let tensor = initializer(name, slot.typed.of, &slot.typed.shape, payload);
                match payload {
                    Payload::Later => {
                        let elements: i64 = tensor.dims.iter().product();
                        writer.later.push((tensor, elements as usize * slot.typed.of.bytes()));
                    }
                    Payload::Bytes(_) | Payload::External { .. } => writer.graph.initializer.push(tensor),
                }
            }
        }
        for (index, node) in body.nodes.iter().enumerate().filter(|(index, _)| live[*index]) {
            writer.node(body, index, &node.op, &node.inputs, &node.outputs);
        }
        writer.graph.input = body.inputs.iter().map(|value| writer.info(body, *value, None)).collect();
        for (name, value) in &body.outputs {
            let own = &writer.names[value.index()];
            if own != name {
                writer.graph.node.push(message::Node {
                    input: vec![own.clone()],
                    output: vec![name.clone()],
                    name: format!("Identity:{name}"),
                    op_type: "Identity".to_owned(),
                    ..message::Node::default()
                });
            }
            writer.graph.output.push(writer.info(body, *value, Some(name)));
        }
        writer
    }

    fn node(&mut self, body: &Body, index: usize, op: &Op, inputs: &[Value], outputs: &[Value]) {
        let rank = inputs.first().map_or(0, |value| body.typed(*value).shape.len());
        let form = form::of(op, rank);
        let mut input: Vec<String> = inputs.iter().map(|value| self.names[value.index()].clone()).collect();
        if form.shape_of_last
            && let Some(like) = input.pop()
        {
            let shape = format!("Shape:{index}");
            self.graph.node.push(message::Node {
                input: vec![like],
                output: vec![shape.clone()],
                name: shape.clone(),
                op_type: "Shape".to_owned(),
                ..message::Node::default()
            });
            input.push(shape);
        }
        for constant in form.constants {
            input.push(match constant {
                Integers::List(list) => self.integers(list, true),
                Integers::Single(one) => self.integers(vec![one], false),
                Integers::Absent => String::new(),
            });
        }
        while input.last().is_some_and(String::is_empty) {
            input.pop();
        }
        self.graph.node.push(message::Node {
            input,
            output: outputs.iter().map(|value| self.names[value.index()].clone()).collect(),
            name: format!("{}:{index}", form.kind),
            op_type: form.kind.to_owned(),
            attribute: form.attributes,
            domain: form.domain.to_owned(),
        });
    }

    fn integers(&mut self, list: Vec<i64>, axis: bool) -> String {
        let next = format!("integers:{}", self.integers.len());
        let shape: Vec<Dim> = if axis { vec![list.len().into()] } else { Vec::new() };
        let bytes: Vec<u8> = list.iter().flat_map(|number| number.to_le_bytes()).collect();
        let name = self.integers.entry((list, axis)).or_insert_with(|| {
            self.graph.initializer.push(initializer(&next, Type::I64, &shape, &Payload::Bytes(bytes.into())));
            next
        });
        name.clone()
    }

    fn info(&self, body: &Body, value: Value, name: Option<&str>) -> message::ValueInfo {
        let typed = body.typed(value);
        let dim = typed.shape.iter().map(|dim| match dim {
            Dim::Fixed(size) => message::Dimension { size: Some(*size as i64), name: None },
            Dim::Named(name) => message::Dimension { size: None, name: Some((*name).to_owned()) },
        });
        let tensor =
            message::TensorKind { element: typed.of.onnx(), shape: Some(message::Shape { dim: dim.collect() }) };
        message::ValueInfo {
            name: name.map_or_else(|| self.names[value.index()].clone(), str::to_owned),
            kind: Some(message::Kind { tensor: Some(tensor) }),
        }
    }
}

/// Inputs, weights and outputs of nodes have names of their own; a colon keeps the others apart from them.
fn value_names(body: &Body) -> Vec<String> {
    let mut names: Vec<String> = body
        .values
        .iter()
        .enumerate()
        .map(|(index, slot)| match &slot.source {
            Source::Input(name) | Source::Constant { name: Some(name), .. } => name.clone(),
            Source::Constant { .. } => format!("constant:{index}"),
            Source::Node { node, slot } => format!("{}:{node}:{slot}", body.nodes[*node].op.name()),
            Source::Broken => String::new(),
        })
        .collect();
    let mut named = vec![false; names.len()];
    for (name, value) in &body.outputs {
        let by_node = matches!(body.values[value.index()].source, Source::Node { .. });
        if by_node && !std::mem::replace(&mut named[value.index()], true) {
            names[value.index()].clone_from(name);
        }
    }
    names
}

fn initializer(name: &str, of: Type, shape: &[Dim], payload: &Payload) -> message::Tensor {
    let sizes: Vec<usize> = shape.iter().filter_map(|dim| dim.size()).collect();
    let tensor = message::Tensor {
        dims: sizes.iter().map(|size| *size as i64).collect(),
        data_type: of.onnx(),
        name: name.to_owned(),
        ..message::Tensor::default()
    };
    match payload {
        Payload::Later => tensor,
        Payload::Bytes(bytes) => message::Tensor { raw_data: Some(bytes.to_vec()), ..tensor },
        Payload::External { location, offset } => {
            let length = sizes.iter().product::<usize>() * of.bytes();
            let entry = |key: &str, value: String| message::Entry { key: key.to_owned(), value };
            message::Tensor {
                external_data: vec![
                    entry("location", location.clone()),
                    entry("offset", offset.to_string()),
                    entry("length", length.to_string()),
                ],
                data_location: Some(1),
                ..tensor
            }
        }
    }
}

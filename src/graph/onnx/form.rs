//! How each operation is written: type, domain, attributes, and which attributes are inputs.

use super::message::{Attribute, Tensor};
use crate::graph::{Dim, Op, Type};

/// An operation as ONNX has it.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) kind: &'static str,
    pub(super) domain: &'static str,
    pub(super) attributes: Vec<Attribute>,
    /// Integers given as inputs after the operands; a list, or a single one.
    pub(super) constants: Vec<Integers>,
    /// The last operand only lends its shape.
    pub(super) shape_of_last: bool,
}

/// Integers given as a constant input.
#[derive(Debug)]
pub(super) enum Integers {
    List(Vec<i64>),
    Single(i64),
    /// An optional input left out.
    Absent,
}

const MICROSOFT: &str = "com.microsoft";

impl Form {
    fn with(mut self, attributes: impl IntoIterator<Item = Attribute>) -> Self {
        self.attributes.extend(attributes);
        self
    }

    fn given(mut self, constants: impl IntoIterator<Item = Integers>) -> Self {
        self.constants.extend(constants);
        self
    }

    fn microsoft(mut self) -> Self {
        self.domain = MICROSOFT;
        self
    }
}

/// The form of an operation whose first operand has `rank` axes.
pub(super) fn of(op: &Op, rank: usize) -> Form {
    let plain = Form { kind: op.name(), ..Form::default() };
    match op {
        Op::QuickGelu { alpha } => plain.with([float("alpha", *alpha)]).microsoft(),
        Op::Cast { to } => plain.with([integer("to", i64::from(to.onnx()))]),
        Op::Softmax { axis } | Op::LogSoftmax { axis } | Op::Concat { axis } | Op::GatherElements { axis } => {
            plain.with([integer("axis", *axis as i64)])
        }
        Op::ScatterElements { axis } => plain.with([integer("axis", *axis as i64), text("reduction", "add")]),
        Op::Gather => plain.with([integer("axis", 0)]),
        Op::ReduceSum { axes, keep }
        | Op::ReduceMean { axes, keep }
        | Op::ReduceMax { axes, keep }
        | Op::ReduceLogSumExp { axes, keep } => plain.with([flag("keepdims", *keep)]).given([sizes(axes)]),
        Op::ArgMax { axis } => plain.with([integer("axis", *axis as i64), flag("keepdims", true)]),
        Op::CumSum { axis, reverse } => plain.with([flag("reverse", *reverse)]).given([Integers::Single(*axis as i64)]),
        Op::Gemm { transpose_a, transpose_b, alpha } => {
            plain.with([flag("transA", *transpose_a), flag("transB", *transpose_b), float("alpha", *alpha)])
        }
        Op::FusedMatMul { transpose_a, transpose_b, alpha } => {
            plain.with([flag("transA", *transpose_a), flag("transB", *transpose_b), float("alpha", *alpha)]).microsoft()
        }
        Op::Reshape { shape } => plain.given([Integers::List(shape.clone())]),
        Op::ReshapeLike => Form { kind: "Reshape", shape_of_last: true, ..plain },
        Op::Transpose { permutation } => {
            plain.with([integers("perm", permutation.iter().map(|axis| *axis as i64).collect())])
        }
        Op::Expand { shape } => plain.given([known(shape)]),
        Op::ExpandLike => Form { kind: "Expand", shape_of_last: true, ..plain },
        Op::Unsqueeze { axes } | Op::Squeeze { axes } => plain.given([sizes(axes)]),
        Op::Split { axis, parts } => plain.with([integer("axis", *axis as i64)]).given([sizes(parts)]),
        Op::Slice { axis, start, end } => plain.given([sizes(&[*start]), sizes(&[*end]), sizes(&[*axis])]),
        Op::Pad { axis, before, after } => {
            let mut pads = vec![0; 2 * rank];
            pads[*axis] = *before;
            pads[rank + axis] = *after;
            plain.given([sizes(&pads), Integers::Absent])
        }
        Op::ConstantOfShape { shape, of } => plain.with([zero(*of)]).given([known(shape)]),
        Op::RotaryEmbedding { heads } => plain.with([integer("num_heads", *heads as i64)]).microsoft(),
        Op::SimplifiedLayerNormalization { epsilon } => {
            plain.with([integer("axis", -1), float("epsilon", *epsilon), integer("stash_type", 1)])
        }
        Op::Neg
        | Op::Sqrt
        | Op::Reciprocal
        | Op::Exp
        | Op::Log
        | Op::Sigmoid
        | Op::Tanh
        | Op::Softplus
        | Op::Relu
        | Op::Add
        | Op::Sub
        | Op::Mul
        | Op::Div
        | Op::Pow
        | Op::Equal
        | Op::Less
        | Op::LessOrEqual
        | Op::And
        | Op::Or
        | Op::Not
        | Op::Where
        | Op::MatMul => plain,
    }
}

fn sizes(numbers: &[usize]) -> Integers {
    Integers::List(numbers.iter().map(|number| *number as i64).collect())
}

fn known(shape: &[Dim]) -> Integers {
    Integers::List(shape.iter().filter_map(|dim| dim.size()).map(|size| size as i64).collect())
}

fn attribute(name: &str, kind: i32) -> Attribute {
    Attribute { name: name.to_owned(), kind, ..Attribute::default() }
}

fn float(name: &str, number: f32) -> Attribute {
    Attribute { f: Some(number), ..attribute(name, 1) }
}

fn integer(name: &str, number: i64) -> Attribute {
    Attribute { i: Some(number), ..attribute(name, 2) }
}

fn flag(name: &str, on: bool) -> Attribute {
    integer(name, i64::from(on))
}

fn text(name: &str, text: &str) -> Attribute {
    Attribute { s: Some(text.as_bytes().to_vec()), ..attribute(name, 3) }
}

fn integers(name: &str, numbers: Vec<i64>) -> Attribute {
    Attribute { ints: numbers, ..attribute(name, 7) }
}

fn zero(of: Type) -> Attribute {
    let tensor =
        Tensor { dims: vec![1], data_type: of.onnx(), raw_data: Some(vec![0; of.bytes()]), ..Tensor::default() };
    Attribute { t: Some(tensor), ..attribute("value", 4) }
}

//! The gradient of each operation: one rule per operation, in a table.
//!
//! A rule is given the node and the gradients of its outputs, and gives those of its inputs, each in its input's shape;
//! none for inputs that carry no gradient (indices, conditions, tables).

mod arrange;
mod elementwise;
mod index;
mod product;
mod reduce;

use super::{Dim, Graph, Node, Op, Value};

/// Gradients of a node's inputs.
pub(super) type Parts = Result<Vec<Option<Value>>, String>;

type Apply = fn(&Graph, &Node, &[Option<Value>]) -> Parts;

/// What is known of an operation's gradient.
pub(super) enum Rule {
    /// It is zero wherever it exists: comparisons, indices.
    None,
    /// How it is computed.
    Some(Apply),
}

/// The table.
pub(super) fn of(op: &Op) -> Rule {
    Rule::Some(match op {
        Op::Equal
        | Op::Less
        | Op::LessOrEqual
        | Op::And
        | Op::Or
        | Op::Not
        | Op::ArgMax { .. }
        | Op::ConstantOfShape { .. } => return Rule::None,
        Op::Neg => elementwise::neg,
        Op::Sqrt => elementwise::sqrt,
        Op::Reciprocal => elementwise::reciprocal,
        Op::Exp => elementwise::exp,
        Op::Log => elementwise::log,
        Op::Sigmoid => elementwise::sigmoid,
        Op::Tanh => elementwise::tanh,
        Op::Softplus => elementwise::softplus,
        Op::Relu => elementwise::relu,
        Op::QuickGelu { .. } => elementwise::quick_gelu,
        Op::Cast { .. } => elementwise::cast,
        Op::Add => elementwise::add,
        Op::Sub => elementwise::sub,
        Op::Mul => elementwise::mul,
        Op::Div => elementwise::div,
        Op::Pow => elementwise::pow,
        Op::Where => elementwise::choice,
        Op::Softmax { .. } => reduce::softmax,
        Op::LogSoftmax { .. } => reduce::log_softmax,
        Op::ReduceSum { .. } => reduce::sum,
        Op::ReduceMean { .. } => reduce::mean,
        Op::ReduceMax { .. } => reduce::max,
        Op::ReduceLogSumExp { .. } => reduce::log_sum_exp,
        Op::CumSum { .. } => reduce::running_sum,
        Op::SimplifiedLayerNormalization { .. } => reduce::norm,
        Op::MatMul | Op::FusedMatMul { .. } => product::matmul,
        Op::Gemm { .. } => product::gemm,
        Op::Reshape { .. } | Op::ReshapeLike | Op::Unsqueeze { .. } | Op::Squeeze { .. } => arrange::reshape,
        Op::Transpose { .. } => arrange::transpose,
        Op::Expand { .. } | Op::ExpandLike => arrange::expand,
        Op::Concat { .. } => arrange::concat,
        Op::Split { .. } => arrange::split,
        Op::Slice { .. } => arrange::slice,
        Op::Pad { .. } => arrange::pad,
        Op::Gather => index::gather,
        Op::GatherElements { .. } => index::gather_elements,
        Op::ScatterElements { .. } => index::scatter_elements,
        Op::RotaryEmbedding { .. } => index::rotary,
    })
}

/// The gradient of a node's only output.
fn only(outputs: &[Option<Value>]) -> Result<Value, String> {
    outputs.first().copied().flatten().ok_or_else(|| "its output has none".to_owned())
}

/// The attribute of another operation than the table says; cannot happen.
fn misplaced(op: &Op) -> String {
    format!("the rule is not one for {}", op.name())
}

impl Graph {
    /// Undoes a broadcast: sums over the axes along which `like` was repeated.
    fn unbroadcast(&self, gradient: Value, like: Value) -> Value {
        let (from, to) = (self.shape(gradient), self.shape(like));
        if from == to {
            return gradient;
        }
        let lead = from.len() - to.len();
        let repeated =
            |axis: &usize| *axis < lead || (to[axis - lead] == Dim::Fixed(1) && from[*axis] != Dim::Fixed(1));
        let axes: Vec<i64> = (0..from.len()).filter(repeated).map(|axis| axis as i64).collect();
        let summed = if axes.is_empty() { gradient } else { self.reduce_sum(gradient, &axes, true) };
        self.reshape_like(summed, like)
    }
}

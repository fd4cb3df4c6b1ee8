//! Types and shapes of results from those of operands. Checks what ONNX Runtime would find only when a session runs.

mod arrange;
mod elementwise;
mod index;
mod product;
mod reduce;

pub(super) use elementwise::broadcast;

use super::{Dim, Op, Type};

/// Type and shape of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) of: Type,
    pub(super) shape: Vec<Dim>,
}

/// What the operation's results are, or what does not fit.
pub(super) fn infer(op: &Op, inputs: &[&Typed]) -> Result<Vec<Typed>, String> {
    match op {
        Op::SimplifiedLayerNormalization { .. } => reduce::norm(operands(inputs)?),
        Op::Split { axis, parts } => arrange::split(operand(inputs)?, *axis, parts),
        _ => Ok(vec![single(op, inputs)?]),
    }
}

fn single(op: &Op, inputs: &[&Typed]) -> Result<Typed, String> {
    match op {
        Op::Neg
        | Op::Sqrt
        | Op::Reciprocal
        | Op::Exp
        | Op::Log
        | Op::Sigmoid
        | Op::Tanh
        | Op::Softplus
        | Op::Relu
        | Op::QuickGelu { .. } => elementwise::unary(operand(inputs)?),
        Op::Cast { to } => Ok(Typed { of: *to, shape: operand(inputs)?.shape.clone() }),
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Pow => elementwise::arithmetic(operands(inputs)?),
        Op::Equal | Op::Less | Op::LessOrEqual => elementwise::comparison(operands(inputs)?),
        Op::And | Op::Or => elementwise::logic(operands(inputs)?),
        Op::Not => elementwise::not(operand(inputs)?),
        Op::Where => elementwise::choice(operands(inputs)?),
        Op::Softmax { axis } | Op::LogSoftmax { axis } => reduce::along(operand(inputs)?, *axis, true),
        Op::CumSum { axis, .. } => reduce::along(operand(inputs)?, *axis, false),
        Op::ReduceSum { axes, keep }
        | Op::ReduceMean { axes, keep }
        | Op::ReduceMax { axes, keep }
        | Op::ReduceLogSumExp { axes, keep } => reduce::over(operand(inputs)?, axes, *keep),
        Op::ArgMax { axis } => {
            let reduced = reduce::over(operand(inputs)?, &[*axis], true)?;
            Ok(Typed { of: Type::I64, ..reduced })
        }
        Op::MatMul => product::matmul(operands(inputs)?, false, false),
        Op::FusedMatMul { transpose_a, transpose_b, .. } => {
            product::matmul(operands(inputs)?, *transpose_a, *transpose_b)
        }
        Op::Gemm { transpose_a, transpose_b, .. } => product::gemm(inputs, *transpose_a, *transpose_b),
        Op::Reshape { shape } => arrange::reshape(operand(inputs)?, shape),
        Op::ReshapeLike => arrange::reshape_like(operands(inputs)?),
        Op::Transpose { permutation } => arrange::transpose(operand(inputs)?, permutation),
        Op::Expand { shape } => arrange::expand(operand(inputs)?, shape),
        Op::ExpandLike => {
            let [x, like] = operands(inputs)?;
            arrange::expand(x, &like.shape)
        }
        Op::Unsqueeze { axes } => arrange::unsqueeze(operand(inputs)?, axes),
        Op::Squeeze { axes } => arrange::squeeze(operand(inputs)?, axes),
        Op::Concat { axis } => arrange::concat(inputs, *axis),
        Op::Slice { axis, start, end } => arrange::slice(operand(inputs)?, *axis, *start, *end),
        Op::Pad { axis, before, after } => arrange::pad(operand(inputs)?, *axis, *before, *after),
        Op::Gather => index::gather(operands(inputs)?),
        Op::GatherElements { axis } => index::gather_elements(operands(inputs)?, *axis),
        Op::ScatterElements { axis } => index::scatter_elements(operands(inputs)?, *axis),
        Op::ConstantOfShape { shape, of } => Ok(Typed { of: *of, shape: shape.clone() }),
        Op::RotaryEmbedding { heads } => index::rotary(operands(inputs)?, *heads),
        Op::SimplifiedLayerNormalization { .. } | Op::Split { .. } => Err("has several results".to_owned()),
    }
}

fn operands<'a, const N: usize>(inputs: &[&'a Typed]) -> Result<[&'a Typed; N], String> {
    <[&Typed; N]>::try_from(inputs).map_err(|_| format!("takes {N} operands, got {}", inputs.len()))
}

fn operand<'a>(inputs: &[&'a Typed]) -> Result<&'a Typed, String> {
    operands::<1>(inputs).map(|[x]| x)
}

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}

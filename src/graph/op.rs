//! The operations, by their ONNX names, with their attributes.
//!
//! What ONNX takes as constant inputs (axes, target shapes, bounds) are attributes here: rules read them directly, and
//! `onnx` turns them into inputs.

use super::{Dim, Type};

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident $({ $($(#[$field_doc:meta])* $field:ident: $kind:ty),* $(,)? })?,)*) => {
        /// One operation of a graph.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Op {
            $($(#[$doc])* $name $({ $($(#[$field_doc])* $field: $kind),* })?,)*
        }

        impl Op {
            /// The names of all operations.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// The operation's name: its ONNX type, but for the two that follow another tensor's shape.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => stringify!($name),)*
                }
            }
        }
    };
}

operations! {
    /// `-x`.
    Neg,
    /// Square root.
    Sqrt,
    /// `1/x`.
    Reciprocal,
    /// `e^x`.
    Exp,
    /// Natural logarithm.
    Log,
    /// `1/(1+e^-x)`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `ln(1+e^x)`.
    Softplus,
    /// `max(x, 0)`.
    Relu,
    /// `x * sigmoid(alpha * x)` (com.microsoft); with alpha 1 this is SiLU.
    QuickGelu {
        /// Slope inside the sigmoid.
        alpha: f32,
    },
    /// Conversion to another type.
    Cast {
        /// The type wanted.
        to: Type,
    },
    /// `a + b`, broadcast.
    Add,
    /// `a - b`, broadcast.
    Sub,
    /// `a * b`, broadcast.
    Mul,
    /// `a / b`, broadcast.
    Div,
    /// `a ^ b`, broadcast.
    Pow,
    /// `a == b`, broadcast.
    Equal,
    /// `a < b`, broadcast.
    Less,
    /// `a <= b`, broadcast.
    LessOrEqual,
    /// Both, broadcast.
    And,
    /// Either, broadcast.
    Or,
    /// The contrary.
    Not,
    /// `b` where `a` holds, `c` elsewhere, broadcast.
    Where,
    /// Softmax along an axis.
    Softmax {
        /// The axis.
        axis: usize,
    },
    /// Logarithm of the softmax along an axis.
    LogSoftmax {
        /// The axis.
        axis: usize,
    },
    /// Sum over axes.
    ReduceSum {
        /// The axes, ascending.
        axes: Vec<usize>,
        /// Whether they stay, with size one.
        keep: bool,
    },
    /// Mean over axes.
    ReduceMean {
        /// The axes, ascending.
        axes: Vec<usize>,
        /// Whether they stay, with size one.
        keep: bool,
    },
    /// Greatest over axes.
    ReduceMax {
        /// The axes, ascending.
        axes: Vec<usize>,
        /// Whether they stay, with size one.
        keep: bool,
    },
    /// Logarithm of the sum of exponentials over axes.
    ReduceLogSumExp {
        /// The axes, ascending.
        axes: Vec<usize>,
        /// Whether they stay, with size one.
        keep: bool,
    },
    /// Index of the greatest along an axis, which stays with size one.
    ArgMax {
        /// The axis.
        axis: usize,
    },
    /// Running sum along an axis.
    CumSum {
        /// The axis.
        axis: usize,
        /// From the end.
        reverse: bool,
    },
    /// Product of matrices in the last two axes; the axes before are broadcast.
    MatMul,
    /// `alpha * A * B + C` of matrices, each of the first two transposed or not; C may be left out and is broadcast.
    Gemm {
        /// Whether A is stored transposed.
        transpose_a: bool,
        /// Whether B is stored transposed.
        transpose_b: bool,
        /// Factor of the product.
        alpha: f32,
    },
    /// `alpha * A * B` as `MatMul`, each transposed in its last two axes or not (com.microsoft).
    FusedMatMul {
        /// Whether A is stored transposed.
        transpose_a: bool,
        /// Whether B is stored transposed.
        transpose_b: bool,
        /// Factor of the product.
        alpha: f32,
    },
    /// The same elements in another shape.
    Reshape {
        /// As in ONNX: 0 keeps the axis of that place, one -1 takes what is left.
        shape: Vec<i64>,
    },
    /// The first operand in the shape of the second.
    ReshapeLike,
    /// Axes in another order.
    Transpose {
        /// Axis of the operand for each axis of the result.
        permutation: Vec<usize>,
    },
    /// Broadcast to a known shape.
    Expand {
        /// The shape wanted; all sizes are known.
        shape: Vec<Dim>,
    },
    /// The first operand broadcast to the shape of the second.
    ExpandLike,
    /// New axes of size one.
    Unsqueeze {
        /// Their places in the result, ascending.
        axes: Vec<usize>,
    },
    /// Without these axes of size one.
    Squeeze {
        /// Their places in the operand, ascending.
        axes: Vec<usize>,
    },
    /// Joined along an axis.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// Cut into consecutive parts along an axis.
    Split {
        /// The axis.
        axis: usize,
        /// Size of each part.
        parts: Vec<usize>,
    },
    /// `start..end` of an axis.
    Slice {
        /// The axis.
        axis: usize,
        /// First index.
        start: usize,
        /// Index after the last.
        end: usize,
    },
    /// Zeros before and after along an axis.
    Pad {
        /// The axis.
        axis: usize,
        /// Zeros before.
        before: usize,
        /// Zeros after.
        after: usize,
    },
    /// Slices of the first axis by index.
    Gather,
    /// One element per index, along an axis.
    GatherElements {
        /// The axis.
        axis: usize,
    },
    /// The third operand added to the first, at the indices along an axis.
    ScatterElements {
        /// The axis.
        axis: usize,
    },
    /// Zeros.
    ConstantOfShape {
        /// The shape; all sizes are known.
        shape: Vec<Dim>,
        /// The type.
        of: Type,
    },
    /// Rotary position embedding, halves rotated, of `x[R, S, heads*D]`, `positions[R, S]`, `cos[T, D/2]`, `sin[T, D/2]`
    /// (com.microsoft).
    RotaryEmbedding {
        /// Number of heads.
        heads: usize,
    },
    /// `x / sqrt(mean(x^2) + epsilon) * w` over the last axis, and the reciprocal of the root (always `F32`).
    SimplifiedLayerNormalization {
        /// Added under the root.
        epsilon: f32,
    },
}

impl Op {
    /// Number of values the operation writes.
    pub(super) fn outputs(&self) -> usize {
        match self {
            Self::Split { parts, .. } => parts.len(),
            Self::SimplifiedLayerNormalization { .. } => 2,
            _ => 1,
        }
    }

    /// Whether the result's element at a place depends only on the operands' elements at that place.
    pub fn is_elementwise(&self) -> bool {
        matches!(
            self,
            Self::Neg
                | Self::Sqrt
                | Self::Reciprocal
                | Self::Exp
                | Self::Log
                | Self::Sigmoid
                | Self::Tanh
                | Self::Softplus
                | Self::Relu
                | Self::QuickGelu { .. }
                | Self::Cast { .. }
                | Self::Add
                | Self::Sub
                | Self::Mul
                | Self::Div
                | Self::Pow
                | Self::Equal
                | Self::Less
                | Self::LessOrEqual
                | Self::And
                | Self::Or
                | Self::Not
                | Self::Where
        )
    }

    /// Whether the result may share the first operand's memory.
    pub fn is_view(&self) -> bool {
        matches!(self, Self::Reshape { .. } | Self::ReshapeLike | Self::Unsqueeze { .. } | Self::Squeeze { .. })
    }
}

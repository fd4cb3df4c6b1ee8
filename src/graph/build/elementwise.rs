//! Element by element.

use super::super::shape::broadcast;
use super::{Graph, Op, Value};
use crate::graph::Type;

macro_rules! unary {
    ($($(#[$doc:meta])* $method:ident $op:ident)*) => {
        impl Graph {
            $($(#[$doc])* pub fn $method(&self, x: Value) -> Value {
                self.one(Op::$op, &[x])
            })*
        }
    };
}

macro_rules! binary {
    ($($(#[$doc:meta])* $method:ident $op:ident)*) => {
        impl Graph {
            $($(#[$doc])* pub fn $method(&self, a: Value, b: Value) -> Value {
                let (a, b) = self.unexpanded(a, b);
                self.one(Op::$op, &[a, b])
            })*
        }
    };
}

unary! {
    /// `-x`.
    neg Neg
    /// Square root.
    sqrt Sqrt
    /// `1/x`.
    reciprocal Reciprocal
    /// `e^x`.
    exp Exp
    /// Natural logarithm.
    log Log
    /// `1/(1+e^-x)`.
    sigmoid Sigmoid
    /// Hyperbolic tangent.
    tanh Tanh
    /// `ln(1+e^x)`.
    softplus Softplus
    /// `max(x, 0)`.
    relu Relu
    /// The contrary of truth values.
    not Not
}

binary! {
    /// `a + b`, broadcast.
    add Add
    /// `a - b`, broadcast.
    sub Sub
    /// `a * b`, broadcast.
    mul Mul
    /// `a / b`, broadcast.
    div Div
    /// `a ^ b`, broadcast.
    pow Pow
    /// `a == b`, broadcast.
    equal Equal
    /// `a < b`, broadcast.
    less Less
    /// `a <= b`, broadcast.
    less_or_equal LessOrEqual
    /// Both, broadcast.
    and And
    /// Either, broadcast.
    or Or
}

impl Graph {
    /// `x * sigmoid(x)` in one operation.
    pub fn silu(&self, x: Value) -> Value {
        self.one(Op::QuickGelu { alpha: 1.0 }, &[x])
    }

    /// Conversion to another type; none when it has that type already.
    pub fn cast(&self, x: Value, to: Type) -> Value {
        if self.value_type(x) == to { x } else { self.one(Op::Cast { to }, &[x]) }
    }

    /// `yes` where the condition holds, `no` elsewhere, broadcast.
    pub fn where_(&self, condition: Value, yes: Value, no: Value) -> Value {
        self.one(Op::Where, &[condition, yes, no])
    }

    /// `x * number`.
    pub fn scale(&self, x: Value, number: f32) -> Value {
        if (number - 1.0).abs() < f32::EPSILON { x } else { self.mul(x, self.scalar_like(number, x)) }
    }

    /// An operand that was broadcast to a shape which the other operand has anyway is taken as it was before: the
    /// broadcast copy need not exist.
    fn unexpanded(&self, a: Value, b: Value) -> (Value, Value) {
        let bare = |x: Value, other: Value| match self.written_by(x) {
            Some((Op::Expand { shape }, small)) => {
                let other = self.shape(other);
                let same = broadcast(&self.shape(small), &other).is_ok_and(|reached| reached == shape);
                if same { small } else { x }
            }
            _ => x,
        };
        let first = bare(a, b);
        (first, bare(b, first))
    }
}

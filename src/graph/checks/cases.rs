//! One or more cases for every operation: how it is built, on what, and what it means.

use super::array::Array;
use crate::graph::{Dim, Graph, Op, Type, Value};

const A: Dim = Dim::Named("a");
const B: Dim = Dim::Named("b");

type Build = fn(&Graph, &[Value]) -> Value;
type Meaning = fn(&[Array]) -> Array;

/// An operation on operands.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) operands: Vec<Operand>,
    pub(super) build: Build,
    pub(super) meaning: Meaning,
}

/// An operand with its value.
pub(super) struct Operand {
    pub(super) of: Type,
    pub(super) shape: Vec<Dim>,
    pub(super) value: Array,
    /// Whether the gradient is checked.
    pub(super) moves: bool,
}

fn x(shape: &[usize]) -> Operand {
    let salt = 7 + shape.iter().fold(1, |salt, size| salt * 31 + *size as u64);
    Operand {
        of: Type::F32,
        shape: shape.iter().copied().map(Dim::Fixed).collect(),
        value: Array::scattered(shape, salt),
        moves: true,
    }
}

fn positive(shape: &[usize]) -> Operand {
    let x = x(shape);
    Operand { value: x.value.map(|x| 1.0 + x.abs()), ..x }
}

fn integers(shape: &[usize], numbers: &[usize]) -> Operand {
    let data = numbers.iter().map(|number| *number as f64).collect();
    Operand { of: Type::I64, moves: false, value: Array { shape: shape.to_vec(), data }, ..x(shape) }
}

fn truth(shape: &[usize]) -> Operand {
    let x = x(shape);
    Operand { of: Type::Bool, moves: false, value: x.value.map(|x| f64::from(u8::from(x > 0.0))), ..x }
}

fn still(operand: Operand) -> Operand {
    Operand { moves: false, ..operand }
}

fn named(operand: Operand, shape: [Dim; 2]) -> Operand {
    Operand { shape: shape.to_vec(), ..operand }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softmax(line: &[f64]) -> Vec<f64> {
    let sum: f64 = line.iter().map(|x| x.exp()).sum();
    line.iter().map(|x| x.exp() / sum).collect()
}

fn greatest(line: &[f64]) -> f64 {
    line.iter().copied().fold(f64::MIN, f64::max)
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn index(x: f64) -> usize {
    x as usize
}

macro_rules! cases {
    ($($name:literal ($($operand:expr),* $(,)?) $build:expr => $meaning:expr;)*) => {
        vec![$(Case { name: $name, operands: vec![$($operand),*], build: $build, meaning: $meaning }),*]
    };
}

#[allow(clippy::too_many_lines, reason = "a table")]
pub(super) fn all() -> Vec<Case> {
    cases! {
        "neg" (x(&[2, 3])) |g, v| g.neg(v[0]) => |a| a[0].map(|x| -x);
        "sqrt" (positive(&[2, 3])) |g, v| g.sqrt(v[0]) => |a| a[0].map(f64::sqrt);
        "reciprocal" (positive(&[2, 3])) |g, v| g.reciprocal(v[0]) => |a| a[0].map(f64::recip);
        "exp" (x(&[2, 3])) |g, v| g.exp(v[0]) => |a| a[0].map(f64::exp);
        "log" (positive(&[2, 3])) |g, v| g.log(v[0]) => |a| a[0].map(f64::ln);
        "sigmoid" (x(&[2, 3])) |g, v| g.sigmoid(v[0]) => |a| a[0].map(sigmoid);
        "tanh" (x(&[2, 3])) |g, v| g.tanh(v[0]) => |a| a[0].map(f64::tanh);
        "softplus" (x(&[2, 3])) |g, v| g.softplus(v[0]) => |a| a[0].map(|x| x.exp().ln_1p());
        "relu" (x(&[2, 3])) |g, v| g.relu(v[0]) => |a| a[0].map(|x| x.max(0.0));
        "silu" (x(&[2, 3])) |g, v| g.silu(v[0]) => |a| a[0].map(|x| x * sigmoid(x));
        "quick gelu" (x(&[2, 3])) |g, v| g.one(Op::QuickGelu { alpha: 1.7 }, v) => |a| a[0].map(|x| x * sigmoid(1.7 * x));
        "cast there and back" (x(&[2, 3])) |g, v| g.cast(g.cast(v[0], Type::F16), Type::F32) => |a| a[0].clone();
        "add" (x(&[2, 3]), x(&[2, 3])) |g, v| g.add(v[0], v[1]) => |a| a[0].with(&a[1], |a, b| a + b);
        "add, broadcast" (x(&[2, 1, 3]), x(&[4, 1])) |g, v| g.add(v[0], v[1]) => |a| a[0].with(&a[1], |a, b| a + b);
        "sub, broadcast" (x(&[3]), x(&[2, 3])) |g, v| g.sub(v[0], v[1]) => |a| a[0].with(&a[1], |a, b| a - b);
        "mul, broadcast" (x(&[2, 1, 3]), x(&[4, 1])) |g, v| g.mul(v[0], v[1]) => |a| a[0].with(&a[1], |a, b| a * b);
        "mul with itself" (x(&[2, 3])) |g, v| g.mul(v[0], v[0]) => |a| a[0].map(|x| x * x);
        "mul with an expanded one" (x(&[2, 3]), x(&[3])) |g, v| g.mul(v[0], g.expand(v[1], &g.shape(v[0])))
            => |a| a[0].with(&a[1], |a, b| a * b);
        "scale" (x(&[2, 3])) |g, v| g.scale(v[0], -2.5) => |a| a[0].map(|x| -2.5 * x);
        "div, broadcast" (x(&[2, 3]), positive(&[2, 1])) |g, v| g.div(v[0], v[1]) => |a| a[0].with(&a[1], |a, b| a / b);
        "pow, broadcast" (positive(&[2, 3]), x(&[3])) |g, v| g.pow(v[0], v[1]) => |a| a[0].with(&a[1], f64::powf);
        "equal" (integers(&[3], &[1, 2, 3]), integers(&[2, 1], &[2, 3])) |g, v| g.cast(g.equal(v[0], v[1]), Type::F32)
            => |a| a[0].with(&a[1], |a, b| flag((a - b).abs() < 0.5));
        "less" (x(&[2, 3]), x(&[3])) |g, v| g.cast(g.less(v[0], v[1]), Type::F32) => |a| a[0].with(&a[1], |a, b| flag(a < b));
        "less or equal" (integers(&[3], &[1, 2, 3]), integers(&[1], &[2])) |g, v| g.cast(g.less_or_equal(v[0], v[1]), Type::F32)
            => |a| a[0].with(&a[1], |a, b| flag(a <= b));
        "and" (truth(&[2, 3]), truth(&[3])) |g, v| g.cast(g.and(v[0], v[1]), Type::F32) => |a| a[0].with(&a[1], |a, b| a * b);
        "or" (truth(&[2, 3]), truth(&[3])) |g, v| g.cast(g.or(v[0], v[1]), Type::F32) => |a| a[0].with(&a[1], f64::max);
        "not" (truth(&[2, 3])) |g, v| g.cast(g.not(v[0]), Type::F32) => |a| a[0].map(|x| 1.0 - x);
        "where, broadcast" (truth(&[2, 3]), x(&[3]), x(&[4, 1, 1])) |g, v| g.where_(v[0], v[1], v[2]) => |a| {
            Array::from_fn(&[4, 2, 3], |at| if a[0].spread(at) > 0.5 { a[1].spread(at) } else { a[2].spread(at) })
        };
        "softmax" (x(&[2, 3, 2])) |g, v| g.softmax(v[0], -1) => |a| a[0].lines(2, softmax);
        "softmax in the middle" (x(&[2, 3, 2])) |g, v| g.softmax(v[0], 1) => |a| a[0].lines(1, softmax);
        "log softmax" (x(&[2, 3])) |g, v| g.log_softmax(v[0], 1) => |a| a[0].lines(1, softmax).map(f64::ln);
        "sum" (x(&[2, 3, 4])) |g, v| g.reduce_sum(v[0], &[0, 2], false) => |a| a[0].reduce(&[0, 2], false, |l| l.iter().sum());
        "sum of everything" (x(&[2, 3])) |g, v| g.sum_all(v[0]) => |a| a[0].reduce(&[0, 1], false, |l| l.iter().sum());
        "mean, axis kept" (x(&[2, 3, 4])) |g, v| g.reduce_mean(v[0], &[-1], true)
            => |a| a[0].reduce(&[2], true, |l| l.iter().sum::<f64>() / l.len() as f64);
        "max" (x(&[2, 3, 4])) |g, v| g.reduce_max(v[0], &[1], false) => |a| a[0].reduce(&[1], false, greatest);
        "log sum exp" (x(&[2, 3, 4])) |g, v| g.reduce_log_sum_exp(v[0], &[2], true)
            => |a| a[0].reduce(&[2], true, |l| l.iter().map(|x| x.exp()).sum::<f64>().ln());
        "argmax" (x(&[2, 5])) |g, v| g.cast(g.arg_max(v[0], 1), Type::F32) => |a| a[0].reduce(&[1], true, |l| {
            l.iter().position(|x| (*x - greatest(l)).abs() < 1e-12).map_or(-1.0, |at| at as f64)
        });
        "running sum" (x(&[2, 4])) |g, v| g.cumulative_sum(v[0], 1)
            => |a| a[0].lines(1, |l| (0..l.len()).map(|end| l[..=end].iter().sum()).collect());
        "matmul, broadcast" (x(&[2, 1, 3, 4]), x(&[5, 4, 2])) |g, v| g.matmul(v[0], v[1]) => |a| a[0].times(&a[1]);
        "matmul of matrices" (x(&[3, 4]), x(&[4, 2])) |g, v| g.matmul(v[0], v[1]) => |a| a[0].times(&a[1]);
        "gemm" (x(&[3, 4]), x(&[4, 2])) |g, v| g.gemm(v[0], v[1], None, false, false, 0.5)
            => |a| a[0].times(&a[1]).map(|x| 0.5 * x);
        "gemm, first transposed" (x(&[4, 3]), x(&[4, 2]), x(&[2])) |g, v| g.gemm(v[0], v[1], Some(v[2]), true, false, 1.0)
            => |a| a[0].swapped().times(&a[1]).with(&a[2], |a, b| a + b);
        "gemm, both transposed" (x(&[4, 3]), x(&[2, 4]), x(&[3, 1])) |g, v| g.gemm(v[0], v[1], Some(v[2]), true, true, 2.0)
            => |a| a[0].swapped().times(&a[1].swapped()).map(|x| 2.0 * x).with(&a[2], |a, b| a + b);
        "linear" (x(&[3, 4]), x(&[2, 4]), x(&[3, 2])) |g, v| g.linear(v[0], v[1], Some(v[2]))
            => |a| a[0].times(&a[1].swapped()).with(&a[2], |a, b| a + b);
        "fused matmul" (x(&[2, 3, 4]), x(&[2, 4, 5])) |g, v| g.fused_matmul(v[0], v[1], false, false, 0.3)
            => |a| a[0].times(&a[1]).map(|x| 0.3 * x);
        "fused matmul, first transposed" (x(&[2, 4, 3]), x(&[2, 4, 5])) |g, v| g.fused_matmul(v[0], v[1], true, false, 1.0)
            => |a| a[0].swapped().times(&a[1]);
        "fused matmul, second transposed" (x(&[2, 3, 4]), x(&[2, 5, 4])) |g, v| g.fused_matmul(v[0], v[1], false, true, 1.5)
            => |a| a[0].times(&a[1].swapped()).map(|x| 1.5 * x);
        "fused matmul, both transposed" (x(&[2, 4, 3]), x(&[2, 5, 4])) |g, v| g.fused_matmul(v[0], v[1], true, true, 1.0)
            => |a| a[0].swapped().times(&a[1].swapped());
        "reshape" (x(&[2, 6])) |g, v| g.reshape(v[0], &[0, 3, -1]) => |a| a[0].reshaped(&[2, 3, 2]);
        "reshape of a reshape" (x(&[2, 6])) |g, v| g.reshape(g.reshape(v[0], &[3, 4]), &[12]) => |a| a[0].reshaped(&[12]);
        "reshape like" (named(x(&[4, 3]), [B, A]), named(still(x(&[3, 4])), [A, B])) |g, v| g.reshape_like(v[0], v[1]) => |a| a[0].reshaped(&[3, 4]);
        "expand like" (named(x(&[1, 4]), [Dim::Fixed(1), B]), named(still(x(&[3, 4])), [A, B])) |g, v| g.expand_like(v[0], v[1])
            => |a| Array::from_fn(&[3, 4], |at| a[0].spread(at));
        "transpose" (x(&[2, 3, 4])) |g, v| g.transpose(v[0], &[2, 0, 1])
            => |a| Array::from_fn(&[4, 2, 3], |at| a[0].at(&[at[1], at[2], at[0]]));
        "transpose twice" (x(&[2, 3, 4])) |g, v| g.transpose(g.transpose(v[0], &[2, 0, 1]), &[1, 0, 2])
            => |a| Array::from_fn(&[2, 4, 3], |at| a[0].at(&[at[0], at[2], at[1]]));
        "expand" (x(&[3, 1])) |g, v| g.exp(g.expand(v[0], &[2.into(), 3.into(), 4.into()]))
            => |a| Array::from_fn(&[2, 3, 4], |at| a[0].spread(at).exp());
        "unsqueeze" (x(&[2, 3])) |g, v| g.unsqueeze(v[0], &[0, -1]) => |a| a[0].reshaped(&[1, 2, 3, 1]);
        "squeeze" (x(&[2, 1, 3])) |g, v| g.squeeze(v[0], &[1]) => |a| a[0].reshaped(&[2, 3]);
        "concat" (x(&[2, 3]), x(&[2, 1])) |g, v| g.concat(&[v[0], v[1]], 1)
            => |a| Array::from_fn(&[2, 4], |at| if at[1] < 3 { a[0].at(at) } else { a[1].at(&[at[0], at[1] - 3]) });
        "split, one part read" (x(&[2, 5])) |g, v| g.split(v[0], 1, &[2, 3])[1] => |a| Array::from_fn(&[2, 3], |at| a[0].at(&[at[0], at[1] + 2]));
        "split, all parts read" (x(&[2, 4])) |g, v| { let parts = g.split(v[0], -1, &[2, 2]); g.mul(parts[0], parts[1]) }
            => |a| Array::from_fn(&[2, 2], |at| a[0].at(at) * a[0].at(&[at[0], at[1] + 2]));
        "slice" (x(&[2, 5])) |g, v| g.slice(v[0], 1, 1, 3) => |a| Array::from_fn(&[2, 2], |at| a[0].at(&[at[0], at[1] + 1]));
        "pad" (x(&[2, 2])) |g, v| g.pad(v[0], 1, 1, 2)
            => |a| Array::from_fn(&[2, 5], |at| if (1..3).contains(&at[1]) { a[0].at(&[at[0], at[1] - 1]) } else { 0.0 });
        "gather" (x(&[4, 2]), integers(&[2, 3], &[3, 0, 3, 1, 3, 0])) |g, v| g.gather(v[0], v[1])
            => |a| Array::from_fn(&[2, 3, 2], |at| a[0].at(&[index(a[1].at(&at[..2])), at[2]]));
        "gather elements" (x(&[2, 4]), integers(&[2, 3], &[3, 0, 3, 1, 1, 0])) |g, v| g.gather_elements(v[0], v[1], 1)
            => |a| Array::from_fn(&[2, 3], |at| a[0].at(&[at[0], index(a[1].at(at))]));
        "scatter elements" (x(&[2, 4]), integers(&[2, 3], &[3, 0, 3, 1, 1, 0]), x(&[2, 3])) |g, v| g.scatter_add_elements(v[0], v[1], v[2], 1)
            => |a| Array::from_fn(&[2, 4], |at| a[0].at(at) + (0..3).filter(|k| index(a[1].at(&[at[0], *k])) == at[1]).map(|k| a[2].at(&[at[0], k])).sum::<f64>());
        "scatter rows" (x(&[4, 2]), integers(&[3], &[3, 0, 3]), x(&[3, 2])) |g, v| g.scatter_add(v[0], v[1], v[2])
            => |a| Array::from_fn(&[4, 2], |at| a[0].at(at) + (0..3).filter(|k| index(a[1].at(&[*k])) == at[0]).map(|k| a[2].at(&[k, at[1]])).sum::<f64>());
        "zeros" (x(&[2, 3])) |g, v| g.add(v[0], g.zeros(Type::F32, &[2.into(), 3.into()])) => |a| a[0].clone();
        "rotary" (x(&[1, 3, 8]), integers(&[1, 3], &[4, 0, 2]), still(x(&[5, 2])), still(x(&[5, 2]))) |g, v| g.rotary(v[0], v[1], v[2], v[3], 2)
            => |a| Array::from_fn(&[1, 3, 8], |at| {
                let position = index(a[1].at(&at[..2]));
                let (within, half) = (at[2] % 4 % 2, at[2] % 4 / 2);
                let (cos, sin) = (a[2].at(&[position, within]), a[3].at(&[position, within]));
                let other = a[0].at(&[0, at[1], if half == 0 { at[2] + 2 } else { at[2] - 2 }]);
                a[0].at(at) * cos + if half == 0 { -other * sin } else { other * sin }
            });
        "rms norm" (x(&[2, 3, 4]), x(&[4])) |g, v| g.rms_norm(v[0], v[1], 1e-3) => rms_norm;
        "rms norm of primitives" (x(&[2, 3, 4]), x(&[4])) |g, v| g.rms_norm_primitive(v[0], v[1], 1e-3) => rms_norm;
        "sum of products" (x(&[3, 4]), x(&[4, 3]), x(&[4])) |g, v| {
            let first = g.gemm(v[0], v[1], None, false, false, 1.0);
            let second = g.gemm(v[1], v[0], None, true, true, 1.0);
            let weighted = g.mul(v[0], v[2]);
            g.add(g.add(first, second), g.gemm(weighted, v[1], None, false, false, 1.0))
        } => |a| {
            let (x, y) = (&a[0], &a[1]);
            let twice = x.times(y).with(&y.swapped().times(&x.swapped()), |a, b| a + b);
            twice.with(&x.with(&a[2], |a, b| a * b).times(y), |a, b| a + b)
        };
    }
}

fn rms_norm(a: &[Array]) -> Array {
    let normed = a[0].lines(2, |line| {
        let mean = line.iter().map(|x| x * x).sum::<f64>() / line.len() as f64;
        line.iter().map(|x| x / (mean + 1e-3).sqrt()).collect()
    });
    normed.with(&a[1], |a, b| a * b)
}

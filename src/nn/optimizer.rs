//! The optimizer's graphs, over flat parts of any size `n`.

use crate::graph::{Dim, Graph, Type, Value};

const ANY: [Dim; 1] = [Dim::Named("n")];
const ONE: [Dim; 1] = [Dim::Fixed(1)];

/// AdamW (Loshchilov and Hutter, arXiv 1711.05101): `p`, `g`, `m`, `v` `[n]` to `p_out`, `m_out`, `v_out`, each of which may
/// be in place. Single numbers, which change from step to step: `clip`, which the gradient is multiplied by; `rate`,
/// learning rate over `1 - beta1^t`; `root`, one over the square root of `1 - beta2^t`; `keep`, one minus learning rate
/// times weight decay.
pub fn adamw(beta1: f32, beta2: f32, epsilon: f32) -> Graph {
    let g = Graph::new("adamw");
    let [p, gradient, m, v] = ["p", "g", "m", "v"].map(|name| g.input(name, Type::F32, &ANY));
    let [clip, rate, root, keep] = ["clip", "rate", "root", "keep"].map(|name| g.input(name, Type::F32, &ONE));
    let gradient = g.mul(gradient, clip);
    let blend = |old: Value, new: Value, beta: f32| g.add(g.scale(old, beta), g.scale(new, 1.0 - beta));
    let first = blend(m, gradient, beta1);
    let second = blend(v, g.mul(gradient, gradient), beta2);
    let spread = g.add(g.mul(g.sqrt(second), root), g.scalar(epsilon));
    g.output("m_out", first);
    g.output("v_out", second);
    g.output("p_out", g.sub(g.mul(p, keep), g.div(g.mul(first, rate), spread)));
    g
}

/// What [`adamw`] may write in place.
pub const ADAMW_IN_PLACE: [(&str, &str); 3] = [("p", "p_out"), ("m", "m_out"), ("v", "v_out")];

/// `g` `[n]` to `sum` `[1]`, the sum of its squares.
pub fn sum_of_squares() -> Graph {
    let g = Graph::new("sum_of_squares");
    let x = g.input("g", Type::F32, &ANY);
    g.output("sum", g.reduce_sum(g.mul(x, x), &[0], true));
    g
}

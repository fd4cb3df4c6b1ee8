//! The token embedding.

use super::config::ModelConfig;
use super::shape::BatchShape;
use crate::graph::{Graph, Type, dims};

/// `ids` `[tokens]` and `embedding` to `x` `[tokens, hidden]`.
pub fn embed(config: &ModelConfig, shape: BatchShape) -> Graph {
    let g = Graph::new("embed");
    let ids = g.input("ids", Type::I64, &dims([shape.tokens()]));
    let table = g.input("embedding", Type::F32, &dims([config.vocab_size, config.hidden_size]));
    g.output("x", g.gather(table, ids));
    g
}

/// `ids` `[tokens]`, `dx` and `sum` to `grad`, the running sum of the embedding's gradients, which may be in place.
pub fn embed_backward(config: &ModelConfig, shape: BatchShape) -> Graph {
    let g = Graph::new("embed.backward");
    let ids = g.input("ids", Type::I64, &dims([shape.tokens()]));
    let dx = g.input("dx", Type::F32, &dims([shape.tokens(), config.hidden_size]));
    let sum = g.input("sum", Type::F32, &dims([config.vocab_size, config.hidden_size]));
    g.output("grad", g.scatter_add(sum, ids, dx));
    g
}

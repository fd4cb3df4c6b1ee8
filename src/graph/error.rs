//! What is told when a graph cannot be built.

/// A graph that cannot be built, differentiated, cut or written: the operation, what it was given, and why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("graph {graph}: {op} of {}: {message}", shown(.shapes))]
pub struct GraphError {
    /// The graph's name.
    pub graph: String,
    /// The operation, by its ONNX name, or the call that failed.
    pub op: String,
    /// Types and shapes of the operands, such as `f32[4, 3]`.
    pub shapes: Vec<String>,
    /// What does not fit.
    pub message: String,
}

fn shown(shapes: &[String]) -> String {
    if shapes.is_empty() { "no operands".to_owned() } else { shapes.join(" and ") }
}

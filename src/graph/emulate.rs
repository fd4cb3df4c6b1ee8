//! bfloat16 where there are no kernels for it.

use super::element::decode_bf16;
use super::nodes::{Payload, Source};
use super::{Graph, GraphError, Op, Type, Value};

impl Graph {
    /// The same graph without kernels for `BF16`: operations on such values take and give `F32`, and each result is rounded
    /// to what `BF16` holds. That is also what kernels for it do, which sum in `F32`. Inputs and outputs keep their types.
    ///
    /// # Errors
    /// A mistake made while building; a weight of type `BF16` whose bytes are not in the graph.
    pub fn emulate_bf16(&self) -> Result<Self, GraphError> {
        self.finish()?;
        let part = Self::new(self.name());
        let rounded = |value: Value| part.cast(part.cast(value, Type::BF16), Type::F32);
        let body = self.body.borrow();
        let mut copies: Vec<Option<Value>> = vec![None; body.values.len()];
        for (slot, copy) in body.values.iter().zip(&mut copies) {
            let narrow = slot.typed.of == Type::BF16;
            *copy = match &slot.source {
                Source::Input(name) => {
                    let input = part.input(name, slot.typed.of, &slot.typed.shape);
                    Some(if narrow { part.cast(input, Type::F32) } else { input })
                }
                Source::Constant { payload: Payload::Bytes(bytes), .. } if narrow => {
                    let sizes: Vec<usize> = slot.typed.shape.iter().filter_map(|dim| dim.size()).collect();
                    Some(part.floats(&decode_bf16(bytes), &sizes))
                }
                Source::Constant { .. } if narrow => {
                    return Err(self.error("emulate_bf16", &[], "a weight's bytes are not in the graph"));
                }
                source @ Source::Constant { .. } => {
                    Some(part.body.borrow_mut().push(slot.typed.clone(), source.clone()))
                }
                Source::Node { .. } | Source::Broken => None,
            };
        }
        for node in &body.nodes {
            let inputs: Vec<Value> = node.inputs.iter().filter_map(|value| copies[value.index()]).collect();
            let made = match node.op {
                Op::Cast { to: Type::BF16 } => vec![part.cast(inputs[0], Type::F32)],
                Op::Cast { to } => vec![part.cast(inputs[0], to)],
                Op::ConstantOfShape { ref shape, of: Type::BF16 } => vec![part.zeros(Type::F32, shape)],
                ref op => part.apply(op.clone(), &inputs),
            };
            for (value, made) in node.outputs.iter().zip(made) {
                let narrow = body.typed(*value).of == Type::BF16;
                copies[value.index()] = Some(if narrow { rounded(made) } else { made });
            }
        }
        for (name, value) in &body.outputs {
            if let Some(copy) = copies[value.index()] {
                part.output(name, part.cast(copy, body.typed(*value).of));
            }
        }
        part.finish()?;
        Ok(part)
    }
}

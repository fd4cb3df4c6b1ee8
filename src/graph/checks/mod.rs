//! Every operation on ONNX Runtime against its plain meaning, and its gradient against finite differences of that.
#![allow(clippy::unwrap_used)]

mod array;
mod cases;

use std::collections::BTreeSet;

use array::Array;
use cases::{Case, Operand};

use super::rules::{self, Rule};
use super::{Graph, Op, Type, Value, dims, gradients};
use crate::runtime::{Runtime, Tensor, testing::runtime};

fn tensor(runtime: &Runtime, of: Type, array: &Array) -> Tensor {
    let tensor = runtime.tensor(of, &array.shape).unwrap();
    match of {
        Type::F32 => tensor.write_f32(&array.data.iter().map(|x| *x as f32).collect::<Vec<_>>()).unwrap(),
        Type::I64 => tensor.write_i64(&array.data.iter().map(|x| *x as i64).collect::<Vec<_>>()).unwrap(),
        _ => tensor.write_bool(&array.data.iter().map(|x| *x > 0.5).collect::<Vec<_>>()).unwrap(),
    }
    tensor
}

fn built(case: &Case) -> (Graph, Vec<Value>, Value) {
    let graph = Graph::new(case.name);
    let operand = |(at, operand): (usize, &Operand)| graph.input(&format!("x{at}"), operand.of, &operand.shape);
    let inputs: Vec<Value> = case.operands.iter().enumerate().map(operand).collect();
    let y = (case.build)(&graph, &inputs);
    (graph, inputs, y)
}

fn values(case: &Case) -> Vec<Array> {
    case.operands.iter().map(|operand| operand.value.clone()).collect()
}

fn assert_close(name: &str, what: &str, found: &[f32], wanted: &[f64], tolerance: f64) {
    assert_eq!(found.len(), wanted.len(), "{name}: {what}");
    for (found, wanted) in found.iter().zip(wanted) {
        let error = (f64::from(*found) - wanted).abs();
        assert!(error <= tolerance * (1.0 + wanted.abs()), "{name}: {what}: {found} is not {wanted}");
    }
}

fn tolerance(case: &Case) -> f64 {
    if case.name.starts_with("cast") { 1e-3 } else { 2e-6 }
}

#[test]
fn every_operation_computes_what_it_means() {
    let runtime = runtime();
    for case in cases::all() {
        let (graph, _, y) = built(&case);
        graph.output("y", y);
        let wanted = (case.meaning)(&values(&case));
        let tensors: Vec<(String, Tensor)> = case
            .operands
            .iter()
            .enumerate()
            .map(|(at, operand)| (format!("x{at}"), tensor(&runtime, operand.of, &operand.value)))
            .collect();
        let inputs: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let y = runtime.tensor(Type::F32, &wanted.shape).unwrap();
        runtime.session(&graph).unwrap().run(&inputs, &[("y", &y)]).unwrap();
        assert_close(case.name, "forward", &y.read_f32().unwrap(), &wanted.data, tolerance(&case));
    }
}

#[test]
fn every_gradient_is_the_slope() {
    let runtime = runtime();
    for case in cases::all() {
        let (graph, inputs, y) = built(&case);
        let arrays = values(&case);
        let shape = (case.meaning)(&arrays).shape;
        let seed = graph.input("dy", Type::F32, &graph.shape(y));
        let moving: Vec<usize> = (0..inputs.len()).filter(|at| case.operands[*at].moves).collect();
        let wrt: Vec<Value> = moving.iter().map(|at| inputs[*at]).collect();
        let found = gradients(&graph, &[(y, seed)], &wrt).unwrap();
        // Comparisons: nothing flows back.
        if found.iter().all(Option::is_none) {
            continue;
        }
        let dy = Array::scattered(&shape, 99);
        let mut outputs = Vec::new();
        for (at, gradient) in moving.iter().zip(&found) {
            graph.output(&format!("d{at}"), gradient.unwrap());
            outputs.push((format!("d{at}"), runtime.tensor(Type::F32, &arrays[*at].shape).unwrap()));
        }
        let mut tensors: Vec<(String, Tensor)> = case
            .operands
            .iter()
            .enumerate()
            .map(|(at, operand)| (format!("x{at}"), tensor(&runtime, operand.of, &operand.value)))
            .collect();
        tensors.push(("dy".to_owned(), tensor(&runtime, Type::F32, &dy)));
        let given: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let taken: Vec<(&str, &Tensor)> = outputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        runtime.session(&graph).unwrap().run(&given, &taken).unwrap();
        for (at, (name, tensor)) in moving.iter().zip(&outputs) {
            let slopes = slopes(&case, &arrays, *at, &dy);
            assert_close(case.name, name, &tensor.read_f32().unwrap(), &slopes, 10.0 * tolerance(&case));
        }
    }
}

/// The slope of `sum(dy * y)` along every element of an operand, by central differences.
fn slopes(case: &Case, arrays: &[Array], at: usize, dy: &Array) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let loss = |arrays: &[Array]| (case.meaning)(arrays).data.iter().zip(&dy.data).map(|(y, dy)| y * dy).sum::<f64>();
    let slope = |element: usize| {
        let moved = |by: f64| {
            let mut arrays = arrays.to_vec();
            arrays[at].data[element] += by;
            loss(&arrays)
        };
        (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
    };
    (0..arrays[at].data.len()).map(slope).collect()
}

#[test]
fn no_operation_is_without_a_case_or_a_rule() {
    let mut seen = BTreeSet::new();
    for case in cases::all() {
        let (graph, inputs, y) = built(&case);
        let carries = graph.nodes().iter().all(|node| matches!(rules::of(&node.op), Rule::Some(_)));
        seen.extend(graph.nodes().iter().map(|node| node.op.name()));
        let seed = graph.input("dy", Type::F32, &graph.shape(y));
        let moving: Vec<Value> = (0..inputs.len()).filter(|at| case.operands[*at].moves).map(|at| inputs[at]).collect();
        let found = gradients(&graph, &[(y, seed)], &moving).unwrap();
        assert!(!carries || found.iter().all(Option::is_some), "{}: an operand without a gradient", case.name);
    }
    let missing: Vec<&&str> = Op::NAMES.iter().filter(|name| !seen.contains(**name)).collect();
    assert!(missing.is_empty(), "without a case: {missing:?}");
}

#[test]
fn a_mistake_names_the_graph_the_operation_and_the_shapes() {
    let graph = Graph::new("layer");
    let a = graph.input("a", Type::F32, &dims([2, 3]));
    let b = graph.input("b", Type::F32, &dims([4, 5]));
    let product = graph.matmul(a, b);
    // What follows a mistake is not blamed.
    graph.output("y", graph.add(product, a));
    let error = graph.to_onnx().unwrap_err().to_string();
    for part in ["layer", "MatMul", "f32[2, 3]", "f32[4, 5]", "3 against 4"] {
        assert!(error.contains(part), "{part:?} in {error}");
    }
}

#[test]
fn a_gradient_through_the_reciprocal_root_is_refused_by_name() {
    let graph = Graph::new("norm");
    let x = graph.input("x", Type::F32, &dims([2, 4]));
    let w = graph.input("w", Type::F32, &dims([4]));
    let inverse = graph.apply(Op::SimplifiedLayerNormalization { epsilon: 1e-6 }, &[x, w])[1];
    let seed = graph.input("dy", Type::F32, &graph.shape(inverse));
    let error = gradients(&graph, &[(inverse, seed)], &[x]).unwrap_err().to_string();
    assert!(error.contains("SimplifiedLayerNormalization") && error.contains("no gradient"), "{error}");
}

#[test]
fn sums_of_products_cost_no_addition() {
    let graph = Graph::new("sum");
    let (a, b) = (graph.input("a", Type::F32, &dims([3, 4])), graph.input("b", Type::F32, &dims([4, 2])));
    let running = graph.input("running", Type::F32, &dims([3, 2]));
    let first = graph.gemm(a, b, None, false, false, 1.0);
    graph.output("sum", graph.accumulate(running, first));
    let part = graph.extract("part", &[], &[("sum", graph.outputs()[0].1)]).unwrap();
    let kinds: Vec<&str> = part.nodes().iter().map(|node| node.op.name()).collect();
    assert_eq!(kinds, ["Gemm"]);
    part.check_in_place("running", "sum").unwrap();
    assert!(part.check_in_place("a", "sum").unwrap_err().to_string().contains("differ in type or shape"));
}

#[test]
fn what_is_still_read_is_not_written_over() {
    let graph = Graph::new("step");
    let (p, g) = (graph.input("p", Type::F32, &dims([4])), graph.input("g", Type::F32, &dims([4])));
    let stepped = graph.sub(p, g);
    graph.output("p_out", stepped);
    graph.output("old", graph.mul(p, g));
    assert!(graph.check_in_place("p", "p_out").unwrap_err().to_string().contains("after the output is written"));
    let fine = Graph::new("step");
    let (p, g) = (fine.input("p", Type::F32, &dims([4])), fine.input("g", Type::F32, &dims([4])));
    fine.output("p_out", fine.sub(p, fine.mul(p, g)));
    fine.check_in_place("p", "p_out").unwrap();
    assert!(fine.check_in_place("q", "p_out").unwrap_err().to_string().contains("no such input"));
}

#[test]
fn a_cut_graph_computes_again_what_it_is_not_given() {
    let runtime = runtime();
    let graph = Graph::new("whole");
    let x = graph.input("x", Type::F32, &dims([3]));
    let (a, dy) = (graph.exp(x), graph.input("dy", Type::F32, &dims([3])));
    let y = graph.mul(a, x);
    let dx = gradients(&graph, &[(y, dy)], &[x]).unwrap()[0].unwrap();
    let again = graph.extract("again", &[], &[("dx", dx)]).unwrap();
    let saved = graph.extract("saved", &[("a", a)], &[("dx", dx)]).unwrap();
    let names = |graph: &Graph| graph.inputs().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(
        (names(&again), names(&saved)),
        (vec!["x".into(), "dy".into()], vec!["a".into(), "x".into(), "dy".into()])
    );
    let numbers = |numbers: [f32; 3]| {
        let tensor = runtime.tensor(Type::F32, &[3]).unwrap();
        tensor.write_f32(&numbers).unwrap();
        tensor
    };
    let (x, dy, out) = (numbers([0.0, 1.0, -1.0]), numbers([1.0, 2.0, 3.0]), numbers([0.0; 3]));
    let a = numbers([0.0_f32, 1.0, -1.0].map(f32::exp));
    runtime.session(&again).unwrap().run(&[("x", &x), ("dy", &dy)], &[("dx", &out)]).unwrap();
    let first = out.read_f32().unwrap();
    runtime.session(&saved).unwrap().run(&[("x", &x), ("dy", &dy), ("a", &a)], &[("dx", &out)]).unwrap();
    assert_close("cut", "again", &first, &[1.0, 4.0 * 1.0_f64.exp(), 0.0], 1e-6);
    assert_close(
        "cut",
        "saved",
        &out.read_f32().unwrap(),
        &first.iter().map(|x| f64::from(*x)).collect::<Vec<_>>(),
        1e-6,
    );
}

#[test]
fn emulated_bf16_rounds_operands_and_results_as_the_format_does() {
    let rounded = |x: f64| half::bf16::from_f64(x).to_f64();
    let runtime = runtime();
    let graph = Graph::new("narrow");
    let (x, w) = (graph.input("x", Type::F32, &dims([3, 5])), graph.input("w", Type::BF16, &dims([5, 2])));
    let narrow = graph.cast(x, Type::BF16);
    let product = graph.matmul(narrow, w);
    let half = graph.mul(product, graph.scalar_like(0.3, product));
    graph.output("y", graph.cast(half, Type::F32));
    graph.output("saved", half);
    let emulated = graph.emulate_bf16().unwrap();
    let types = |graph: &Graph| -> Vec<Type> {
        graph.outputs().into_iter().map(|(_, value)| graph.value_type(value)).collect()
    };
    assert_eq!(types(&emulated), [Type::F32, Type::BF16]);
    let (x, w) = (Array::scattered(&[3, 5], 1), Array::scattered(&[5, 2], 2));
    let product = x.map(rounded).times(&w.map(rounded)).map(rounded);
    let wanted = product.map(|y| rounded(y * rounded(0.3)));
    let (given, wide) = (tensor(&runtime, Type::F32, &x), tensor(&runtime, Type::F32, &w));
    let narrow = runtime.tensor(Type::BF16, &[5, 2]).unwrap();
    let cast = Graph::new("cast");
    cast.output("to", cast.cast(cast.input("from", Type::F32, &dims([5, 2])), Type::BF16));
    runtime.session(&cast).unwrap().run(&[("from", &wide)], &[("to", &narrow)]).unwrap();
    let (y, saved) = (runtime.tensor(Type::F32, &[3, 2]).unwrap(), runtime.tensor(Type::BF16, &[3, 2]).unwrap());
    let session = runtime.session(&emulated).unwrap();
    session.run(&[("x", &given), ("w", &narrow)], &[("y", &y), ("saved", &saved)]).unwrap();
    assert_close("narrow", "emulated", &y.read_f32().unwrap(), &wanted.data, 1e-9);
}

#[test]
fn equal_indices_add_up_on_several_threads() {
    let (rows, slots, width) = (4096, 3, 64);
    let graph = Graph::new("collisions");
    let sum = graph.input("sum", Type::F32, &dims([slots, width]));
    let ids = graph.input("ids", Type::I64, &dims([rows]));
    let ones = graph.input("ones", Type::F32, &dims([rows, width]));
    graph.output("y", graph.scatter_add(sum, ids, ones));
    let runtime = runtime();
    let place = |row: usize| row * row % slots;
    let ids = tensor(&runtime, Type::I64, &Array::from_fn(&[rows], |at| place(at[0]) as f64));
    let ones = tensor(&runtime, Type::F32, &Array::from_fn(&[rows, width], |_| 1.0));
    let sum = runtime.tensor(Type::F32, &[slots, width]).unwrap();
    let session = runtime.session_in_place(&graph, &[("sum", "y")]).unwrap();
    session.run(&[("sum", &sum), ("ids", &ids), ("ones", &ones)], &[("y", &sum)]).unwrap();
    // Whole numbers, so that no order of adding makes a difference.
    let wanted = (0..slots).flat_map(|slot| {
        let count = (0..rows).filter(|row| place(*row) == slot).count();
        std::iter::repeat_n(count as f32, width)
    });
    assert_eq!(sum.read_f32().unwrap(), wanted.collect::<Vec<_>>());
}

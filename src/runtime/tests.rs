#![allow(clippy::unwrap_used)]

use super::testing::{library, runtime};
use super::{Device, Runtime, RuntimeError, RuntimeSettings};
use crate::graph::{Graph, Type, dims};

fn step() -> Graph {
    let graph = Graph::new("step");
    let (p, g) = (graph.input("p", Type::F32, &dims([2, 2])), graph.input("g", Type::F32, &dims([2, 2])));
    graph.output("p_out", graph.sub(p, g));
    graph
}

#[test]
fn parts_of_one_buffer_are_read_and_written_where_they_lie() {
    let runtime = runtime();
    let session = runtime.session_in_place(&step(), &[("p", "p_out")]).unwrap();
    let all = runtime.tensor(Type::F32, &[6]).unwrap();
    all.write_f32(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let (p, g) = (all.view(1, &[2, 2]).unwrap(), runtime.tensor(Type::F32, &[2, 2]).unwrap());
    g.write_f32(&[0.5; 4]).unwrap();
    for _ in 0..2 {
        session.run(&[("p", &p), ("g", &g)], &[("p_out", &p)]).unwrap();
    }
    assert_eq!(all.read_f32().unwrap(), [1.0, 1.0, 2.0, 3.0, 4.0, 6.0]);
    assert!(all.view(4, &[3]).is_err());
}

#[test]
fn what_was_not_declared_is_not_written_over() {
    let runtime = runtime();
    let session = runtime.session(&step()).unwrap();
    let all = runtime.tensor(Type::F32, &[8]).unwrap();
    let (p, g) = (all.view(0, &[2, 2]).unwrap(), runtime.tensor(Type::F32, &[2, 2]).unwrap());
    for out in [p.clone(), all.view(2, &[2, 2]).unwrap()] {
        let error = session.run(&[("p", &p), ("g", &g)], &[("p_out", &out)]).unwrap_err().to_string();
        assert_eq!(error, r#"session "step": output "p_out" lies over input "p""#);
    }
    session.run(&[("p", &p), ("g", &g)], &[("p_out", &all.view(4, &[2, 2]).unwrap())]).unwrap();
}

#[test]
fn what_is_missing_or_misshapen_is_named() {
    let runtime = runtime();
    let session = runtime.session(&step()).unwrap();
    let (p, wrong) = (runtime.tensor(Type::F32, &[2, 2]).unwrap(), runtime.tensor(Type::F32, &[4]).unwrap());
    let error = session.run(&[("p", &p)], &[("p_out", &p)]).unwrap_err().to_string();
    assert_eq!(error, r#"session "step": input "g" is missing; it is f32[2, 2]"#);
    let error = session.run(&[("p", &p), ("g", &wrong)], &[("p_out", &p)]).unwrap_err().to_string();
    assert_eq!(error, r#"session "step": input "g" is f32[2, 2], not f32[4]"#);
    let error = session.run(&[("p", &p), ("g", &p)], &[("q", &p)]).unwrap_err().to_string();
    assert_eq!(error, r#"session "step": there is no output "q""#);
    assert!(p.write_f32(&[0.0; 3]).is_err() && p.read_i64().is_err());
}

#[test]
fn a_device_that_is_not_there_is_an_error_that_lists_what_is() {
    let settings = RuntimeSettings { device: Device::Cuda(0), threads: Some(2), library: library() };
    let Err(error) = Runtime::open(&settings) else { return };
    assert!(matches!(error, RuntimeError::NoDevice { .. }), "{error}");
    assert!(error.to_string().contains("this library has cpu"), "{error}");
}

#[test]
fn other_settings_in_one_process_are_refused() {
    let _open = runtime();
    let settings = RuntimeSettings { device: Device::Cpu, threads: Some(3), library: library() };
    assert!(matches!(Runtime::open(&settings), Err(RuntimeError::OpenOtherwise { threads: 2, .. })));
}

#[test]
fn a_lack_of_memory_is_told_apart() {
    let place = "session \"head\"";
    let memory = RuntimeError::told(place, "bfc_arena.cc: Failed to allocate memory for requested buffer of size 99");
    assert!(matches!(memory, RuntimeError::OutOfMemory { .. }));
    assert!(matches!(RuntimeError::told(place, "NOT_IMPLEMENTED"), RuntimeError::Failed { .. }));
}

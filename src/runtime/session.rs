//! One graph, ready to run.

use std::ffi::CString;

use ort::value::ValueType;

use super::raw::{self, View};
use super::{RuntimeError, Tensor};
use crate::graph::Type;

/// A graph that ONNX Runtime has loaded, with what it wants and gives.
pub struct Session {
    name: String,
    ort: ort::session::Session,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    in_place: Vec<(String, String)>,
}

/// An input or output.
struct Port {
    name: String,
    c_name: CString,
    of: Type,
    /// None where a run tells the size.
    shape: Vec<Option<usize>>,
}

impl Port {
    fn fits(&self, tensor: &Tensor) -> bool {
        let mut sizes = self.shape.iter().zip(tensor.shape());
        tensor.element_type() == self.of
            && tensor.shape().len() == self.shape.len()
            && sizes.all(|(wanted, size)| wanted.is_none_or(|wanted| wanted == *size))
    }

    fn shown(&self) -> String {
        let sizes: Vec<String> =
            self.shape.iter().map(|size| size.map_or("?".to_owned(), |size| size.to_string())).collect();
        format!("{}[{}]", self.of, sizes.join(", "))
    }
}

impl Session {
    pub(super) fn new(
        name: &str,
        session: ort::session::Session,
        in_place: &[(&str, &str)],
    ) -> Result<Self, RuntimeError> {
        let ports = |outlets: &[ort::value::Outlet]| {
            let all = outlets.iter().map(|outlet| port(outlet.name(), outlet.dtype()));
            all.collect::<Result<Vec<_>, _>>()
                .map_err(|message| RuntimeError::Misused { session: name.to_owned(), message })
        };
        let (inputs, outputs) = (ports(session.inputs())?, ports(session.outputs())?);
        let in_place = in_place.iter().map(|(input, output)| ((*input).to_owned(), (*output).to_owned())).collect();
        Ok(Self { name: name.to_owned(), ort: session, inputs, outputs, in_place })
    }

    /// The graph's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn ort(&self) -> &ort::session::Session {
        &self.ort
    }

    /// Runs the graph on tensors where they lie. All inputs of the graph must be among `inputs`, others there are
    /// ignored; outputs that are not among `outputs` are not computed.
    ///
    /// # Errors
    /// When something is missing, misshapen or overlaps otherwise than the session allows; or ONNX Runtime fails.
    pub fn run(&self, inputs: &[(&str, &Tensor)], outputs: &[(&str, &Tensor)]) -> Result<(), RuntimeError> {
        let read = self.inputs.iter().map(|port| self.chosen(port, "input", inputs)).collect::<Result<Vec<_>, _>>()?;
        let mut written = Vec::with_capacity(outputs.len());
        for (name, _) in outputs {
            let port = self.outputs.iter().find(|port| port.name == *name);
            let port = port.ok_or_else(|| self.misused(format!("there is no output {name:?}")))?;
            written.push(self.chosen(port, "output", outputs)?);
        }
        self.check_overlaps(&read, &written)?;
        let given: Vec<(&CString, &View)> = read.iter().map(|(port, tensor)| (&port.c_name, tensor.raw())).collect();
        let taken: Vec<(&CString, &View)> = written.iter().map(|(port, tensor)| (&port.c_name, tensor.raw())).collect();
        raw::run(&self.ort, &given, &taken)
            .map_err(|message| RuntimeError::told(&format!("session {:?}", self.name), &message))
    }

    fn chosen<'a>(
        &self,
        port: &'a Port,
        kind: &str,
        given: &[(&str, &'a Tensor)],
    ) -> Result<(&'a Port, &'a Tensor), RuntimeError> {
        let Some((_, tensor)) = given.iter().find(|(name, _)| *name == port.name) else {
            return Err(self.misused(format!("{kind} {:?} is missing; it is {}", port.name, port.shown())));
        };
        if !port.fits(tensor) {
            return Err(self.misused(format!("{kind} {:?} is {}, not {tensor:?}", port.name, port.shown())));
        }
        Ok((port, tensor))
    }

    fn check_overlaps(&self, read: &[(&Port, &Tensor)], written: &[(&Port, &Tensor)]) -> Result<(), RuntimeError> {
        for (at, (port, tensor)) in written.iter().enumerate() {
            if let Some((other, _)) = written[..at].iter().find(|(_, other)| tensor.overlap(other).0) {
                return Err(self.misused(format!("outputs {:?} and {:?} overlap", other.name, port.name)));
            }
            for (input, other) in read {
                let (overlap, same) = tensor.overlap(other);
                let declared = self.in_place.iter().any(|(from, to)| *from == input.name && *to == port.name);
                if overlap && !(same && declared) {
                    let message = format!("output {:?} lies over input {:?}", port.name, input.name);
                    return Err(self.misused(message));
                }
            }
        }
        Ok(())
    }

    fn misused(&self, message: String) -> RuntimeError {
        RuntimeError::Misused { session: self.name.clone(), message }
    }
}

fn port(name: &str, of: &ValueType) -> Result<Port, String> {
    let ValueType::Tensor { ty, shape, .. } = of else { return Err(format!("{name:?} is not a tensor")) };
    let of = Type::ALL.into_iter().find(|of| raw::element(*of) == *ty);
    let of = of.ok_or_else(|| format!("{name:?} has elements of type {ty}, which is not known here"))?;
    let c_name = CString::new(name).map_err(|_| format!("{name:?} has a zero byte"))?;
    let shape = shape.iter().map(|size| usize::try_from(*size).ok()).collect();
    Ok(Port { name: name.to_owned(), c_name, of, shape })
}

//! Tensors: memory on a device with a type and a shape, whole or a part of a larger one.

use std::fmt;
use std::rc::Rc;

use super::raw::{Memory, View};
use super::{Runtime, RuntimeError};
use crate::graph::Type;

/// Elements of device memory that are zeroed at a time.
const ZEROED: usize = 1 << 22;

/// A tensor. Cloning and viewing share memory; writing is seen by all.
#[derive(Clone)]
pub struct Tensor {
    view: Rc<View>,
    of: Type,
    shape: Vec<usize>,
    runtime: Runtime,
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.of, self.shape)
    }
}

impl Tensor {
    pub(super) fn new(runtime: &Runtime, memory: Memory, of: Type, shape: &[usize]) -> Result<Self, RuntimeError> {
        Self::part(runtime, &Rc::new(memory), 0, of, shape)
    }

    fn part(
        runtime: &Runtime,
        memory: &Rc<Memory>,
        start: usize,
        of: Type,
        shape: &[usize],
    ) -> Result<Self, RuntimeError> {
        let place = || format!("a tensor {of}{shape:?}");
        let view = View::new(memory, start, of, shape).ok_or_else(|| RuntimeError::Misused {
            session: place(),
            message: format!("it does not fit into {} bytes from byte {start} on", memory.bytes),
        })?;
        let view = view.map_err(|message| RuntimeError::told(&place(), &message))?;
        Ok(Self { view: Rc::new(view), of, shape: shape.to_vec(), runtime: runtime.clone() })
    }

    /// The type of the elements.
    pub fn element_type(&self) -> Type {
        self.of
    }

    /// The sizes of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the memory is the host's.
    pub fn on_host(&self) -> bool {
        self.view.on_host()
    }

    /// A part of the same memory, from element `start` of this tensor on, in another shape.
    ///
    /// # Errors
    /// When the part is not all inside.
    pub fn view(&self, start: usize, shape: &[usize]) -> Result<Self, RuntimeError> {
        let elements: usize = shape.iter().product();
        if start + elements > self.elements() {
            return Err(RuntimeError::Misused {
                session: format!("a view of {self:?}"),
                message: format!("{elements} elements from {start} on are not all inside"),
            });
        }
        let start = self.view.start() + start * self.of.bytes();
        Self::part(&self.runtime, self.view.memory(), start, self.of, shape)
    }

    /// A part of the same memory with a type of its own, from byte `start` of this tensor on.
    ///
    /// # Errors
    /// When the part is not all inside, or does not begin where its type can.
    pub fn part_at(&self, start: usize, of: Type, shape: &[usize]) -> Result<Self, RuntimeError> {
        Self::part(&self.runtime, self.view.memory(), self.view.start() + start, of, shape)
    }

    /// Writes all elements.
    ///
    /// # Errors
    /// When the type is another, the number of elements is another, or the device fails.
    pub fn write_f32(&self, numbers: &[f32]) -> Result<(), RuntimeError> {
        self.expect(Type::F32, numbers.len())?;
        self.write(&numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>())
    }

    /// Writes all elements.
    ///
    /// # Errors
    /// As [`Tensor::write_f32`].
    pub fn write_i64(&self, numbers: &[i64]) -> Result<(), RuntimeError> {
        self.expect(Type::I64, numbers.len())?;
        self.write(&numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>())
    }

    /// Writes all elements.
    ///
    /// # Errors
    /// As [`Tensor::write_f32`].
    pub fn write_bool(&self, flags: &[bool]) -> Result<(), RuntimeError> {
        self.expect(Type::Bool, flags.len())?;
        self.write(&flags.iter().map(|flag| u8::from(*flag)).collect::<Vec<_>>())
    }

    /// Reads all elements.
    ///
    /// # Errors
    /// When the type is another or the device fails.
    pub fn read_f32(&self) -> Result<Vec<f32>, RuntimeError> {
        self.expect(Type::F32, self.elements())?;
        let bytes = self.read()?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    /// Reads all elements.
    ///
    /// # Errors
    /// As [`Tensor::read_f32`].
    pub fn read_i64(&self) -> Result<Vec<i64>, RuntimeError> {
        self.expect(Type::I64, self.elements())?;
        let bytes = self.read()?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect())
    }

    /// Sets all elements to zero.
    ///
    /// # Errors
    /// When the device fails.
    pub fn zero(&self) -> Result<(), RuntimeError> {
        if self.on_host() {
            self.view.zero();
            return Ok(());
        }
        // Copied from a small part of the device's own memory: the bus is slow, and the host may have no room.
        let (all, part) = (self.elements(), self.elements().clamp(1, ZEROED));
        let zeros = self.runtime.device_tensor(self.of, &[part])?;
        zeros.copy_from(&self.runtime.host_tensor(self.of, &[part])?)?;
        for start in (0..all).step_by(part) {
            let count = part.min(all - start);
            self.view(start, &[count])?.copy_from(&zeros.view(0, &[count])?)?;
        }
        Ok(())
    }

    /// Copies all elements of another tensor of the same type and number of elements, wherever it lies.
    ///
    /// # Errors
    /// When they differ, or the device fails.
    pub fn copy_from(&self, other: &Self) -> Result<(), RuntimeError> {
        self.expect(other.of, other.elements())?;
        if self.on_host() && other.on_host() {
            self.view.copy_from(&other.view);
            return Ok(());
        }
        let flat = [self.elements()];
        self.runtime.move_elements(&other.view(0, &flat)?, &self.view(0, &flat)?)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), RuntimeError> {
        if self.on_host() {
            self.view.write(bytes);
            return Ok(());
        }
        let host = self.runtime.host_tensor(self.of, &self.shape)?;
        host.view.write(bytes);
        self.copy_from(&host)
    }

    fn read(&self) -> Result<Vec<u8>, RuntimeError> {
        if self.on_host() {
            return Ok(self.view.read());
        }
        let host = self.runtime.host_tensor(self.of, &self.shape)?;
        host.copy_from(self)?;
        Ok(host.view.read())
    }

    fn expect(&self, of: Type, elements: usize) -> Result<(), RuntimeError> {
        if self.of == of && self.elements() == elements {
            return Ok(());
        }
        let message = format!("there are {elements} numbers of type {of}");
        Err(RuntimeError::Misused { session: format!("a tensor {self:?}"), message })
    }

    pub(super) fn raw(&self) -> &View {
        &self.view
    }

    /// Whether both have memory in common, and whether it is the very same range.
    pub(super) fn overlap(&self, other: &Self) -> (bool, bool) {
        let (a, b) = (&self.view, &other.view);
        if !Rc::ptr_eq(a.memory(), b.memory()) {
            return (false, false);
        }
        let apart = a.start() + a.bytes() <= b.start() || b.start() + b.bytes() <= a.start();
        (!apart, a.start() == b.start() && a.bytes() == b.bytes())
    }
}

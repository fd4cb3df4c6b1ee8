//! The unsafe part: what `ort` has no safe way for.
//!
//! `ort` binds only tensors that own their memory. Training binds thousands of weights that are slices of one buffer, and
//! outputs over inputs, so values over existing memory are made here, and sessions are run on them, through ONNX
//! Runtime's C interface. What makes it sound:
//! - A [`View`] keeps its memory alive, and its range was checked against it.
//! - Memory is read and written through raw pointers only; no Rust reference into it ever exists.
//! - Neither type is `Send` or `Sync`: no two threads meet in one memory.
#![expect(unsafe_code, reason = "the C interface; see above")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::rc::Rc;

use ort::AsPointer;
use ort::memory::Allocator;
use ort::sys;
use ort::value::{DynTensor, TensorElementType};

use crate::graph::Type;

/// The version that the library in a file says it has. Nothing of `ort` is touched before this has succeeded: `ort`
/// panics later on when its library is unusable.
pub(super) fn version(path: &Path) -> Result<String, String> {
    // SAFETY: loading runs the library's initialisers. The file is one that the user named or installed as ONNX Runtime,
    // and is about to be loaded in any case.
    let library = unsafe { libloading::Library::new(path) }.map_err(|error| error.to_string())?;
    // SAFETY: this is the function's type in every version of ONNX Runtime.
    let base = unsafe { library.get::<unsafe extern "C" fn() -> *const sys::OrtApiBase>(b"OrtGetApiBase\0") }
        .map_err(|_| "it has no OrtGetApiBase".to_owned())?;
    // SAFETY: the function takes nothing; its result is static or null, and the string in it is static.
    let version = unsafe {
        base()
            .as_ref()
            .map(|base| (base.GetVersionString)())
            .filter(|text| !text.is_null())
            .map(|text| CStr::from_ptr(text))
    };
    let version = version.and_then(|text| text.to_str().ok()).map(str::to_owned);
    version.ok_or_else(|| "it does not tell its version".to_owned())
}

/// The error that a call gave, if any.
fn outcome(status: sys::OrtStatusPtr) -> Result<(), String> {
    if status.0.is_null() {
        return Ok(());
    }
    let api = ort::api();
    // SAFETY: the status is not null, its message lives as long as it does, and it is released once.
    unsafe {
        let message = CStr::from_ptr((api.GetErrorMessage)(status.0)).to_string_lossy().into_owned();
        (api.ReleaseStatus)(status.0);
        Err(message)
    }
}

/// The execution providers that the loaded library was built with.
pub(super) fn providers() -> Result<Vec<String>, String> {
    let (mut names, mut count) = (ptr::null_mut::<*mut c_char>(), 0);
    // SAFETY: both are written by the call, the names are NUL-terminated, and all are released once, after they were copied.
    unsafe {
        outcome((ort::api().GetAvailableProviders)(&raw mut names, &raw mut count))?;
        let copied = (0..usize::try_from(count).unwrap_or(0))
            .map(|at| CStr::from_ptr(*names.add(at)).to_string_lossy().into_owned())
            .collect();
        outcome((ort::api().ReleaseAvailableProviders)(names, count))?;
        Ok(copied)
    }
}

/// One arena for all sessions' host memory, which grows by what is asked for and not by doubling.
pub(super) fn share_arena(environment: &ort::environment::Environment) -> Result<(), String> {
    let keys = [c"arena_extend_strategy".as_ptr()];
    let values = [1_usize]; // kSameAsRequested
    let mut config = ptr::null_mut();
    let info = ort::memory::MemoryInfo::new(
        ort::memory::AllocationDevice::CPU,
        0,
        ort::memory::AllocatorType::Arena,
        ort::memory::MemoryType::Default,
    )
    .map_err(|error| error.to_string())?;
    // SAFETY: keys and values live through the call that reads them; the config is released once, after it was copied.
    unsafe {
        outcome((ort::api().CreateArenaCfgV2)(keys.as_ptr(), values.as_ptr(), 1, &raw mut config))?;
        let done = (ort::api().CreateAndRegisterAllocator)(environment.ptr().cast_mut(), info.ptr(), config);
        (ort::api().ReleaseArenaCfg)(config);
        outcome(done)
    }
}

/// Memory on a device.
pub(super) struct Memory {
    /// Owns it.
    owner: DynTensor,
    start: *mut u8,
    pub(super) bytes: usize,
    pub(super) on_host: bool,
}

impl Memory {
    /// Zeroed where it is host memory.
    pub(super) fn new(allocator: &Allocator, of: Type, elements: usize) -> Result<Self, String> {
        // An empty tensor has no memory; a view of it must point somewhere all the same.
        let mut owner =
            DynTensor::new(allocator, element(of), [elements.max(1)]).map_err(|error| error.message().to_owned())?;
        let start = owner.data_ptr_mut().cast::<u8>();
        let on_host = owner.memory_info().is_cpu_accessible();
        Ok(Self { owner, start, bytes: elements * of.bytes(), on_host })
    }
}

/// A typed, shaped part of a memory.
pub(super) struct View {
    memory: Rc<Memory>,
    value: NonNull<sys::OrtValue>,
    start: usize,
    bytes: usize,
}

impl View {
    /// The part from byte `start` on. None when it is not all inside.
    pub(super) fn new(memory: &Rc<Memory>, start: usize, of: Type, shape: &[usize]) -> Option<Result<Self, String>> {
        let bytes = shape.iter().try_fold(of.bytes(), |product, size| product.checked_mul(*size))?;
        if start.checked_add(bytes)? > memory.bytes || !start.is_multiple_of(of.bytes()) {
            return None;
        }
        let shape: Vec<i64> = shape.iter().map(|size| *size as i64).collect();
        let mut value = ptr::null_mut();
        // SAFETY: the range lies in the memory (checked above), which `memory` keeps alive for as long as the value.
        let made = outcome(unsafe {
            (ort::api().CreateTensorWithDataAsOrtValue)(
                memory.owner.memory_info().ptr(),
                memory.start.add(start).cast::<c_void>(),
                bytes,
                shape.as_ptr(),
                shape.len(),
                element(of).into(),
                &raw mut value,
            )
        });
        Some(made.and_then(|()| match NonNull::new(value) {
            Some(value) => Ok(Self { memory: Rc::clone(memory), value, start, bytes }),
            None => Err("a value of nothing".to_owned()),
        }))
    }

    pub(super) fn on_host(&self) -> bool {
        self.memory.on_host
    }

    pub(super) fn memory(&self) -> &Rc<Memory> {
        &self.memory
    }

    pub(super) fn start(&self) -> usize {
        self.start
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Copies host memory out.
    pub(super) fn read(&self) -> Vec<u8> {
        assert!(self.memory.on_host, "only host memory is read");
        let mut bytes = vec![0; self.bytes];
        // SAFETY: the range lies in host memory that is alive; the vector is as long and another allocation.
        unsafe { ptr::copy_nonoverlapping(self.memory.start.add(self.start), bytes.as_mut_ptr(), self.bytes) };
        bytes
    }

    /// Copies into host memory; the lengths must be equal.
    pub(super) fn write(&self, bytes: &[u8]) {
        assert!(self.memory.on_host && bytes.len() == self.bytes, "only host memory is written, and all of it");
        // SAFETY: as in `read`; nobody holds a reference into the memory.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.memory.start.add(self.start), self.bytes) };
    }

    /// Copies between host memories; the lengths must be equal.
    pub(super) fn copy_from(&self, other: &Self) {
        assert!(self.memory.on_host && other.memory.on_host && self.bytes == other.bytes, "host to host, all of it");
        // SAFETY: as in `read`; `copy` allows the ranges to overlap.
        unsafe {
            ptr::copy(other.memory.start.add(other.start), self.memory.start.add(self.start), self.bytes);
        }
    }

    /// Zeroes host memory.
    pub(super) fn zero(&self) {
        assert!(self.memory.on_host, "only host memory is zeroed");
        // SAFETY: as in `write`; zero bytes are a number in every type.
        unsafe { ptr::write_bytes(self.memory.start.add(self.start), 0, self.bytes) };
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the value was made by `new` and is released once; its memory is released after it.
        unsafe { (ort::api().ReleaseValue)(self.value.as_ptr()) };
    }
}

/// Runs a session on existing memory. The caller has checked names, types, shapes and overlaps.
pub(super) fn run(
    session: &ort::session::Session,
    inputs: &[(&CString, &View)],
    outputs: &[(&CString, &View)],
) -> Result<(), String> {
    let input_names: Vec<*const c_char> = inputs.iter().map(|(name, _)| name.as_ptr()).collect();
    let input_values: Vec<*const sys::OrtValue> =
        inputs.iter().map(|(_, view)| view.value.as_ptr().cast_const()).collect();
    let output_names: Vec<*const c_char> = outputs.iter().map(|(name, _)| name.as_ptr()).collect();
    let mut output_values: Vec<*mut sys::OrtValue> = outputs.iter().map(|(_, view)| view.value.as_ptr()).collect();
    // SAFETY: names and values outlive the call; outputs that are not null are written where they lie and stay ours.
    // `Run` may be called on a shared session (it is documented as safe for concurrent use).
    outcome(unsafe {
        (ort::api().Run)(
            session.ptr().cast_mut(),
            ptr::null(),
            input_names.as_ptr(),
            input_values.as_ptr(),
            inputs.len(),
            output_names.as_ptr(),
            outputs.len(),
            output_values.as_mut_ptr(),
        )
    })
}

pub(super) fn element(of: Type) -> TensorElementType {
    match of {
        Type::F32 => TensorElementType::Float32,
        Type::F16 => TensorElementType::Float16,
        Type::BF16 => TensorElementType::Bfloat16,
        Type::I64 => TensorElementType::Int64,
        Type::Bool => TensorElementType::Bool,
    }
}

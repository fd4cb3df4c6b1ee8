//! The process's ONNX Runtime, and a device in it.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use ort::environment::{Environment, GlobalThreadPoolOptions};
use ort::ep::{self, ExecutionProviderDispatch};
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::raw::{self, Memory};
use super::{Device, Library, RuntimeError, Session, Tensor};
use crate::env::ORT_PLUGINS;
use crate::graph::{Dim, Graph, Type};

/// How to compute.
#[derive(Clone, Debug)]
pub struct RuntimeSettings {
    /// Where.
    pub device: Device,
    /// Threads of the processor; none: one per core.
    pub threads: Option<usize>,
    /// The library, as [`super::find_library`] found it.
    pub library: Library,
}

/// What the process has opened: ONNX Runtime has one environment, with one thread pool.
struct Opened {
    path: PathBuf,
    threads: usize,
    environment: Environment,
}

static OPENED: Mutex<Option<Opened>> = Mutex::new(None);

/// A device of the process's ONNX Runtime. Cheap to clone; stays on its thread.
#[derive(Clone)]
pub struct Runtime {
    inner: Rc<Inner>,
}

struct Inner {
    environment: Environment,
    device: Device,
    host: Allocator,
    device_memory: OnceCell<Allocator>,
    /// By [`Type::ALL`].
    movers: [OnceCell<Session>; Type::ALL.len()],
}

impl Runtime {
    /// Opens the library, once per process, and a device.
    ///
    /// # Errors
    /// When the library cannot be opened, is open with other settings, or does not have the device.
    pub fn open(settings: &RuntimeSettings) -> Result<Self, RuntimeError> {
        let environment = environment(settings)?;
        let runtime = Self {
            inner: Rc::new(Inner {
                environment,
                device: settings.device.clone(),
                host: Allocator::default(),
                device_memory: OnceCell::new(),
                movers: std::array::from_fn(|_| OnceCell::new()),
            }),
        };
        runtime.check_device()?;
        Ok(runtime)
    }

    /// The processor, of the same library with the same threads.
    #[must_use]
    pub fn on_processor(&self) -> Self {
        Self {
            inner: Rc::new(Inner {
                environment: self.inner.environment.clone(),
                device: Device::Cpu,
                host: Allocator::default(),
                device_memory: OnceCell::new(),
                movers: std::array::from_fn(|_| OnceCell::new()),
            }),
        }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.inner.device
    }

    /// The execution providers of the library and of its plugins, by their names in ONNX Runtime.
    ///
    /// # Errors
    /// When the library does not tell.
    pub fn providers(&self) -> Result<Vec<String>, RuntimeError> {
        let mut all = raw::providers().map_err(|message| RuntimeError::told("listing its providers", &message))?;
        for device in self.inner.environment.devices() {
            if let Ok(name) = device.ep()
                && !all.iter().any(|other| other == name)
            {
                all.push(name.to_owned());
            }
        }
        Ok(all)
    }

    /// A session that runs a graph.
    ///
    /// # Errors
    /// When the graph has a mistake or ONNX Runtime refuses it.
    pub fn session(&self, graph: &Graph) -> Result<Session, RuntimeError> {
        self.session_in_place(graph, &[])
    }

    /// A session that may write each of these outputs over the input beside it.
    ///
    /// # Errors
    /// As [`Runtime::session`], and when the graph reads such an input after its output is written.
    pub fn session_in_place(&self, graph: &Graph, pairs: &[(&str, &str)]) -> Result<Session, RuntimeError> {
        for (input, output) in pairs {
            graph.check_in_place(input, output)?;
        }
        let onnx = graph.to_onnx()?;
        let session = self.commit(graph.name(), |mut builder| builder.commit_from_memory(&onnx))?;
        Session::new(graph.name(), session, pairs)
    }

    /// A session that runs an ONNX file, whose weights may lie beside it.
    ///
    /// # Errors
    /// When ONNX Runtime refuses it.
    pub fn session_of_file(&self, name: &str, file: &Path) -> Result<Session, RuntimeError> {
        Session::new(name, self.commit(name, |mut builder| builder.commit_from_file(file))?, &[])
    }

    fn commit(
        &self,
        name: &str,
        load: impl FnOnce(SessionBuilder) -> ort::Result<ort::session::Session>,
    ) -> Result<ort::session::Session, RuntimeError> {
        let build = || -> ort::Result<ort::session::Session> {
            let mut builder = ort::session::Session::builder(&self.inner.environment)?
                .with_optimization_level(GraphOptimizationLevel::All)?
                .with_parallel_execution(false)?
                .with_memory_pattern(true)?
                .with_env_allocators()?
                .with_log_id(name)?;
            if let Some(device) = self.plugin_device() {
                builder = builder.with_devices([device], None)?;
            } else if let Some(provider) = provider(&self.inner.device) {
                builder = builder.with_execution_providers([provider.error_on_failure()])?;
            }
            load(builder)
        };
        build().map_err(|error| RuntimeError::told(&format!("session {name:?}"), error.message()))
    }

    /// The device, where a plugin brings it.
    fn plugin_device(&self) -> Option<ort::device::Device<'_>> {
        let Device::Other { provider, index } = &self.inner.device else { return None };
        let name = Device::PROVIDERS.iter().find(|(short, _)| short == provider).map(|(_, name)| *name)?;
        let mut own = self.inner.environment.devices().filter(|device| device.ep().is_ok_and(|found| found == name));
        own.nth(*index as usize)
    }

    /// A zeroed tensor on the device.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn tensor(&self, of: Type, shape: &[usize]) -> Result<Tensor, RuntimeError> {
        let tensor = self.device_tensor(of, shape)?;
        tensor.zero()?;
        Ok(tensor)
    }

    /// A tensor on the device with whatever lies there.
    pub(super) fn device_tensor(&self, of: Type, shape: &[usize]) -> Result<Tensor, RuntimeError> {
        match self.inner.device {
            Device::Cuda(index) => self.allocate(self.device_memory(index)?, of, shape),
            Device::Cpu | Device::Other { .. } => self.host_tensor(of, shape),
        }
    }

    /// A zeroed tensor in host memory.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn host_tensor(&self, of: Type, shape: &[usize]) -> Result<Tensor, RuntimeError> {
        self.allocate(&self.inner.host, of, shape)
    }

    fn allocate(&self, allocator: &Allocator, of: Type, shape: &[usize]) -> Result<Tensor, RuntimeError> {
        let memory = Memory::new(allocator, of, shape.iter().product())
            .map_err(|message| RuntimeError::told(&format!("a tensor {of}{shape:?}"), &message))?;
        Tensor::new(self, memory, of, shape)
    }

    /// Copies between devices, by a graph that does nothing: every provider can do that.
    pub(super) fn move_elements(&self, from: &Tensor, to: &Tensor) -> Result<(), RuntimeError> {
        self.mover(from.element_type())?.run(&[("from", from)], &[("to", to)])
    }

    fn mover(&self, of: Type) -> Result<&Session, RuntimeError> {
        let kept = &self.inner.movers[Type::ALL.iter().position(|other| *other == of).unwrap_or(0)];
        if let Some(session) = kept.get() {
            return Ok(session);
        }
        let graph = Graph::new("move");
        graph.output("to", graph.input("from", of, &[Dim::Named("elements")]));
        let session = self.session(&graph)?;
        Ok(kept.get_or_init(|| session))
    }

    fn device_memory(&self, index: u32) -> Result<&Allocator, RuntimeError> {
        if let Some(allocator) = self.inner.device_memory.get() {
            return Ok(allocator);
        }
        let session = self.mover(Type::F32)?;
        let allocator =
            MemoryInfo::new(AllocationDevice::CUDA, index as i32, AllocatorType::Device, MemoryType::Default)
                .and_then(|info| Allocator::new(session.ort(), info))
                .map_err(|error| RuntimeError::told("the device's memory", error.message()))?;
        Ok(self.inner.device_memory.get_or_init(|| allocator))
    }

    fn check_device(&self) -> Result<(), RuntimeError> {
        let providers = self.providers()?;
        let available: Vec<String> = (Device::PROVIDERS.iter())
            .filter(|(_, name)| providers.iter().any(|provider| provider == name))
            .map(|(short, _)| (*short).to_owned())
            .collect();
        let wanted = self.inner.device.provider();
        let no_device = |reason: String| RuntimeError::NoDevice {
            wanted: self.inner.device.to_string(),
            reason,
            available: available.clone(),
        };
        if !available.iter().any(|short| short == wanted) {
            return Err(no_device(format!("the library was built without {wanted}")));
        }
        // The provider may be built in and yet have no device to drive.
        if self.inner.device != Device::Cpu {
            self.mover(Type::F32).map_err(|error| no_device(error.to_string()))?;
        }
        Ok(())
    }
}

fn environment(settings: &RuntimeSettings) -> Result<Environment, RuntimeError> {
    let threads = settings.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Opened { path, threads: count, environment }) = &*opened {
        if *path == settings.library.path && *count == threads {
            return Ok(environment.clone());
        }
        return Err(RuntimeError::OpenOtherwise { path: path.clone(), threads: *count });
    }
    let path = &settings.library.path;
    let bad = |message: String| RuntimeError::BadLibrary { path: path.clone(), message };
    let builder = ort::init_from(path).map_err(|error| bad(error.to_string()))?;
    let open = || -> ort::Result<Environment> {
        let pool = GlobalThreadPoolOptions::default().with_intra_threads(threads)?.with_inter_threads(1)?;
        let environment = builder
            .with_name(env!("CARGO_PKG_NAME"))
            .with_telemetry(false)
            .with_global_thread_pool(pool.with_spin_control(true)?)
            .build()?;
        environment.set_log_level(ort::logging::LogLevel::Error);
        Ok(environment)
    };
    let environment = open().map_err(|error| bad(error.message().to_owned()))?;
    raw::share_arena(&environment).map_err(bad)?;
    for plugin in plugins() {
        let name = plugin.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        environment
            .register_ep_library(name, &plugin)
            .map_err(|error| RuntimeError::BadPlugin { path: plugin.clone(), message: error.message().to_owned() })?;
    }
    *opened = Some(Opened { path: path.clone(), threads, environment: environment.clone() });
    Ok(environment)
}

/// The plugin libraries that the environment names.
fn plugins() -> Vec<PathBuf> {
    let named = std::env::var_os(ORT_PLUGINS).unwrap_or_default();
    std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()).collect()
}

fn provider(device: &Device) -> Option<ExecutionProviderDispatch> {
    match device {
        Device::Cpu => None,
        // TF32 keeps 10 bits of a product's operands: f32 means f32.
        Device::Cuda(index) => Some(ep::CUDA::default().with_device_id(*index as i32).with_tf32(false).build()),
        Device::Other { provider, index } => match provider.as_str() {
            "coreml" => Some(ep::CoreML::default().build()),
            "directml" => Some(ep::DirectML::default().with_device_id(*index as i32).build()),
            "migraphx" => Some(ep::MIGraphX::default().with_device_id(*index as i32).build()),
            "openvino" => Some(ep::OpenVINO::default().build()),
            "rocm" => Some(ep::ROCm::default().with_device_id(*index as i32).build()),
            "webgpu" => Some(ep::WebGPU::default().build()),
            _ => None,
        },
    }
}

//! What computes: the processor, a GPU, or another execution provider by its name.

use std::fmt;
use std::str::FromStr;

/// A device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// A CUDA device by its number.
    Cuda(u32),
    /// A device of another execution provider. Tensors stay in host memory and are copied for each run.
    Other {
        /// The provider's short name, one of [`Device::PROVIDERS`].
        provider: String,
        /// Number of the device.
        index: u32,
    },
}

impl Device {
    /// Short names of execution providers and their names in ONNX Runtime.
    pub const PROVIDERS: [(&'static str, &'static str); 8] = [
        ("cpu", "CPUExecutionProvider"),
        ("cuda", "CUDAExecutionProvider"),
        ("coreml", "CoreMLExecutionProvider"),
        ("directml", "DmlExecutionProvider"),
        ("migraphx", "MIGraphXExecutionProvider"),
        ("openvino", "OpenVINOExecutionProvider"),
        ("rocm", "ROCMExecutionProvider"),
        ("webgpu", "WebGpuExecutionProvider"),
    ];

    /// Whether both results of `SimplifiedLayerNormalization` are known to be right on it. The WebGPU provider 0.4 writes
    /// the second one wrong, without an error.
    pub fn fuses_norms(&self) -> bool {
        matches!(self, Self::Cpu | Self::Cuda(_))
    }

    /// The short name of the device's provider.
    pub fn provider(&self) -> &str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda(_) => "cuda",
            Self::Other { provider, .. } => provider,
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Other { provider, index } => write!(f, "{provider}:{index}"),
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, index) = text.split_once(':').unwrap_or((text, "0"));
        let index = index.parse().map_err(|_| format!("{text:?}: {index:?} is not the number of a device"))?;
        match name {
            "cpu" if text == "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(index)),
            other if other != "cpu" && Self::PROVIDERS.iter().any(|(short, _)| *short == other) => {
                Ok(Self::Other { provider: other.to_owned(), index })
            }
            _ => {
                let names: Vec<&str> = Self::PROVIDERS.iter().skip(1).map(|(short, _)| *short).collect();
                Err(format!("{text:?} is not a device: use cpu, or NAME:NUMBER with one of {}", names.join(", ")))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_they_are_written() {
        for text in ["cpu", "cuda:0", "cuda:3", "webgpu:1"] {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda(0));
        assert_eq!("cuda:x".parse::<Device>().unwrap_err(), r#""cuda:x": "x" is not the number of a device"#);
        assert!("gpu".parse::<Device>().unwrap_err().contains("use cpu, or NAME:NUMBER with one of cuda, coreml"));
    }
}

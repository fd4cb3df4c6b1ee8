//! Types of a tensor's elements.

use std::fmt;

use half::{bf16, f16};

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// 32-bit floating point.
    F32,
    /// IEEE 16-bit floating point.
    F16,
    /// 16-bit floating point with the exponent of `F32`.
    BF16,
    /// 64-bit signed integer.
    I64,
    /// Truth value, one byte.
    Bool,
}

impl Type {
    /// All types.
    pub const ALL: [Self; 5] = [Self::F32, Self::F16, Self::BF16, Self::I64, Self::Bool];

    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::I64 => 8,
            Self::Bool => 1,
        }
    }

    /// Whether values of this type carry gradients.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::BF16)
    }

    /// The number of this type in ONNX's `TensorProto.DataType`.
    pub fn onnx(self) -> i32 {
        match self {
            Self::F32 => 1,
            Self::I64 => 7,
            Self::Bool => 9,
            Self::F16 => 10,
            Self::BF16 => 16,
        }
    }

    /// The bytes of `numbers` in this type, little-endian; nearest values where it is coarser than `f32`.
    pub fn encode(self, numbers: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => numbers.iter().flat_map(|n| n.to_le_bytes()).collect(),
            Self::F16 => numbers.iter().flat_map(|n| f16::from_f32(*n).to_le_bytes()).collect(),
            Self::BF16 => numbers.iter().flat_map(|n| bf16::from_f32(*n).to_le_bytes()).collect(),
            Self::I64 => numbers.iter().flat_map(|n| (*n as i64).to_le_bytes()).collect(),
            Self::Bool => numbers.iter().map(|n| u8::from(*n != 0.0)).collect(),
        }
    }
}

/// The numbers that bytes of type `BF16` stand for.
pub(super) fn decode_bf16(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect()
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::I64 => "i64",
            Self::Bool => "bool",
        })
    }
}

//! One safetensors file: read tensor by tensor as f32, written tensor by tensor without holding all in memory.
//!
//! A file's header is believed only as far as its length goes: an announced header longer than the file, offsets that
//! overlap, leave gaps or lie beyond the end, and shapes that overflow are all refused before memory is taken for them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo as Info};

use super::error::FolderError;

/// The longest header that is read, as in the reference implementation.
const LONGEST_HEADER: u64 = 100_000_000;
/// Bytes that are converted at once.
const PIECE: usize = 1 << 20;

/// The name and shape of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// A safetensors file that is open for reading.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    /// Where the tensors' bytes begin.
    start: u64,
}

impl TensorFile {
    /// Opens a file and checks its header against its length.
    ///
    /// # Errors
    /// When it is not there, no safetensors file, or damaged.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError::Read { path: path.to_owned(), source };
        let damaged = |problem: String| FolderError::Damaged { path: path.to_owned(), problem };
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut prefix = [0; 8];
        if length < 8 {
            return Err(damaged(format!("it has {length} bytes, too few for a safetensors file")));
        }
        file.read_exact(&mut prefix).map_err(failed)?;
        let header_length = u64::from_le_bytes(prefix);
        if header_length > LONGEST_HEADER || header_length > length - 8 {
            return Err(damaged(format!("it announces a header of {header_length} bytes, but has {length} in all")));
        }
        let mut header = vec![0; header_length as usize];
        file.read_exact(&mut header).map_err(failed)?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|error| damaged(format!("its header is invalid: {error}")))?;
        let start = 8 + header_length;
        let expected = start + metadata.data_len() as u64;
        if expected != length {
            return Err(damaged(format!("its tensors end at byte {expected}, but it has {length} bytes")));
        }
        Ok(Self { path: path.to_owned(), file, metadata, start })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names and shapes, by name.
    pub fn tensors(&self) -> Vec<TensorInfo> {
        let mut all: Vec<_> = (self.metadata.tensors().into_iter())
            .map(|(name, info)| TensorInfo { name, shape: info.shape.clone() })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The tensor's numbers as f32; none where there is no such tensor.
    ///
    /// # Errors
    /// When it cannot be read or is of another format than F32, F16 or BF16.
    pub fn read(&mut self, name: &str) -> Result<Option<Vec<f32>>, FolderError> {
        let Some(info) = self.metadata.info(name) else { return Ok(None) };
        let decode: fn(&[u8]) -> f32 = match info.dtype {
            Dtype::F32 => |bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            Dtype::F16 => |bytes| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
            Dtype::BF16 => |bytes| bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
            other => {
                let (path, name, found) = (self.path.clone(), name.to_owned(), format!("{other:?}"));
                return Err(FolderError::Type { path, name, found });
            }
        };
        let width = info.dtype.bitsize() / 8;
        let (from, to) = info.data_offsets;
        let failed = |source| FolderError::Read { path: self.path.clone(), source };
        self.file.seek(SeekFrom::Start(self.start + from as u64)).map_err(failed)?;
        let mut numbers = Vec::with_capacity((to - from) / width);
        let mut piece = vec![0; PIECE.min(to - from)];
        let mut left = to - from;
        while left > 0 {
            let bytes = &mut piece[..left.min(PIECE)];
            self.file.read_exact(bytes).map_err(failed)?;
            numbers.extend(bytes.chunks_exact(width).map(decode));
            left -= bytes.len();
        }
        Ok(Some(numbers))
    }
}

/// Writes a safetensors file of f32 tensors, each asked of `numbers` when its turn comes, in the order given.
///
/// # Errors
/// When writing fails, or `numbers` does.
pub fn write_tensors<E: From<io::Error>>(
    out: &mut (impl Write + ?Sized),
    tensors: &[TensorInfo],
    mut numbers: impl FnMut(usize) -> Result<Vec<f32>, E>,
) -> Result<(), E> {
    let mut at = 0;
    let infos = (tensors.iter())
        .map(|tensor| {
            let from = at;
            at += tensor.shape.iter().product::<usize>() * 4;
            let info = Info { dtype: Dtype::F32, shape: tensor.shape.clone(), data_offsets: (from, at) };
            (tensor.name.clone(), info)
        })
        .collect();
    // Loaders of `transformers` ask for the format.
    let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(about), infos).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&metadata).map_err(io::Error::other)?;
    // Tensors begin at a multiple of 8 bytes, as the format recommends.
    header.resize(header.len().next_multiple_of(8), b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    let mut bytes = Vec::with_capacity(PIECE);
    for (index, tensor) in tensors.iter().enumerate() {
        let numbers = numbers(index)?;
        if numbers.len() != tensor.shape.iter().product::<usize>() {
            let problem = format!("tensor {} of shape {:?} has {} numbers", tensor.name, tensor.shape, numbers.len());
            return Err(io::Error::other(problem).into());
        }
        for piece in numbers.chunks(PIECE / 4) {
            bytes.clear();
            bytes.extend(piece.iter().flat_map(|number| number.to_le_bytes()));
            out.write_all(&bytes)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use safetensors::tensor::TensorView;

    use super::*;

    fn info(name: &str, shape: &[usize]) -> TensorInfo {
        TensorInfo { name: name.to_owned(), shape: shape.to_vec() }
    }

    fn written() -> Vec<u8> {
        let mut bytes = Vec::new();
        let tensors = [info("b", &[2, 3]), info("a", &[0]), info("c", &[1])];
        write_tensors::<io::Error>(&mut bytes, &tensors, |index| {
            Ok(match index {
                0 => vec![1.0, -2.0, 3.5, f32::MIN_POSITIVE, f32::NAN, 6.0],
                1 => Vec::new(),
                _ => vec![7.0],
            })
        })
        .unwrap();
        bytes
    }

    fn open(bytes: &[u8]) -> Result<TensorFile, FolderError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        fs::write(&path, bytes).unwrap();
        TensorFile::open(&path)
    }

    #[test]
    fn what_is_written_is_read_back_bit_for_bit_by_us_and_by_the_reference() {
        let bytes = written();
        let reference = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(reference.tensor("b").unwrap().shape(), [2, 3]);
        let mut file = open(&bytes).unwrap();
        assert_eq!(file.tensors(), [info("a", &[0]), info("b", &[2, 3]), info("c", &[1])]);
        let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let expected = vec![1.0, -2.0, 3.5, f32::MIN_POSITIVE, f32::NAN, 6.0];
        assert_eq!(bits(file.read("b").unwrap().unwrap()), bits(expected));
        assert_eq!(file.read("c").unwrap(), Some(vec![7.0]));
        assert_eq!(file.read("d").unwrap(), None);
    }

    #[test]
    fn half_precision_tensors_are_read_as_f32_and_integers_are_refused_by_name() {
        let half: Vec<u8> = [1.5_f32, -0.25].iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        let brain: Vec<u8> = [3.0_f32, -1e30].iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
        let views = [
            ("half", TensorView::new(Dtype::F16, vec![2], &half).unwrap()),
            ("brain", TensorView::new(Dtype::BF16, vec![2], &brain).unwrap()),
            ("count", TensorView::new(Dtype::I16, vec![2], &half).unwrap()),
        ];
        let mut file = open(&safetensors::serialize(views, None).unwrap()).unwrap();
        assert_eq!(file.read("half").unwrap(), Some(vec![1.5, -0.25]));
        assert_eq!(file.read("brain").unwrap(), Some(vec![3.0, bf16::from_f32(-1e30).to_f32()]));
        let error = file.read("count").unwrap_err().to_string();
        assert!(error.contains("tensor count is I16; weights must be F32, F16 or BF16"), "{error}");
    }

    #[test]
    fn a_file_cut_anywhere_is_damaged_and_says_so() {
        let bytes = written();
        for length in 0..bytes.len() {
            let error = open(&bytes[..length]).unwrap_err();
            assert!(matches!(error, FolderError::Damaged { .. }), "{length}: {error}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(matches!(open(&longer).unwrap_err(), FolderError::Damaged { .. }));
    }

    #[test]
    fn hostile_headers_are_refused_before_memory_is_taken() {
        let header = |json: &str| [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &[0; 16]].concat();
        let tensor = |shape: &str, offsets: &str| format!(r#""dtype":"F32","shape":{shape},"data_offsets":{offsets}"#);
        let overlapping = format!("{{\"a\":{{{}}},\"b\":{{{}}}}}", tensor("[2]", "[0,8]"), tensor("[3]", "[4,16]"));
        let cases = [
            [&u64::MAX.to_le_bytes()[..], &[b'{'; 64]].concat(),
            [&99_999_999_u64.to_le_bytes()[..], &[b'{'; 64]].concat(),
            header("not json"),
            header(&overlapping),
            header(&format!("{{\"a\":{{{}}}}}", tensor("[4]", "[16,0]"))),
            header(&format!("{{\"a\":{{{}}}}}", tensor("[5]", "[0,16]"))),
            header(&format!("{{\"a\":{{{}}}}}", tensor("[9223372036854775807,16]", "[0,16]"))),
            header(&format!("{{\"a\":{{{}}}}}", tensor("[1000000000000]", "[0,4000000000000]"))),
            header(&format!("{{\"a\":{{{}}}}}", tensor("[1]", "[12,16]"))),
        ];
        for (number, bytes) in cases.iter().enumerate() {
            let error = open(bytes).unwrap_err();
            assert!(matches!(error, FolderError::Damaged { .. }), "case {number}: {error}");
        }
    }

    #[test]
    fn numbers_that_do_not_fill_their_shape_are_an_error() {
        let mut bytes = Vec::new();
        let error = write_tensors::<io::Error>(&mut bytes, &[info("a", &[3])], |_| Ok(vec![1.0])).unwrap_err();
        assert!(error.to_string().contains("tensor a of shape [3] has 1 numbers"));
    }
}

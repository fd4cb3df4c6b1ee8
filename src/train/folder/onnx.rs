//! `score.onnx`: the scorer that any ONNX Runtime runs, its weights inside or beside it.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::error::FolderError;
use super::write::Numbers;
use crate::graph::Type;
use crate::nn::{ModelConfig, Parameter, score_model, scored_parameters};

/// The file's name.
pub const ONNX: &str = "score.onnx";
/// The file with its weights, where they do not lie inside. ONNX Runtime looks for it beside the other.
pub const ONNX_DATA: &str = "score.onnx.data";
/// Most bytes of weights in one file: protobuf ends at 2 GB, and the graph takes some of that.
pub const MOST_INSIDE: u64 = (1 << 31) - (256 << 20);

/// Weights begin at multiples of this, as the format recommends, so that they can be mapped into memory.
const PAGE: u64 = 4096;

fn bytes(parameter: &Parameter) -> u64 {
    4 * parameter.elements() as u64
}

/// Writes the scorer into an existing folder, on disk when this returns. `numbers` is asked for each parameter in turn, so
/// that one is in memory at a time. Weights of more than `inside` bytes in all lie in [`ONNX_DATA`].
///
/// # Errors
/// When a file cannot be written, or `numbers` fails.
pub fn write_scorer(
    disk: &dyn Disk,
    folder: &Path,
    config: &ModelConfig,
    inside: u64,
    numbers: &mut Numbers<'_>,
) -> Result<(), FolderError> {
    let parameters = scored_parameters(config);
    let apart = parameters.iter().map(bytes).sum::<u64>() > inside.min(MOST_INSIDE);
    let mut end = 0;
    let graph = score_model::<FolderError>(config, |graph, parameter| {
        if !apart {
            return Ok(graph.later_weight(&parameter.name, Type::F32, &parameter.shape));
        }
        let start = u64::next_multiple_of(end, PAGE);
        end = start + bytes(parameter);
        Ok(graph.external_weight(&parameter.name, Type::F32, &parameter.shape, ONNX_DATA, start))
    })?;
    let pieces = graph.onnx_pieces()?;
    let mut parts = File::create(disk, folder.join(ONNX))?;
    parts.write(&pieces.head)?;
    for weight in &pieces.weights {
        let parameter = parameters.iter().find(|parameter| parameter.name == weight.name);
        parts.write(&weight.lead)?;
        parts.weight(parameter.ok_or_else(|| unknown(&weight.name))?, numbers)?;
    }
    parts.sync()?;
    if !apart {
        return Ok(());
    }
    let mut data = File::create(disk, folder.join(ONNX_DATA))?;
    let mut written = 0;
    for parameter in &parameters {
        let start = u64::next_multiple_of(written, PAGE);
        data.write(&vec![0; (start - written) as usize])?;
        data.weight(parameter, numbers)?;
        written = start + bytes(parameter);
    }
    data.sync()
}

fn unknown(name: &str) -> FolderError {
    FolderError::Source { name: name.to_owned(), source: "the graph names it, and the configuration does not".into() }
}

/// A file whose failures name it.
struct File {
    path: PathBuf,
    file: Box<dyn super::disk::DiskFile>,
}

impl File {
    fn create(disk: &dyn Disk, path: PathBuf) -> Result<Self, FolderError> {
        match disk.create(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(FolderError::Write { path, source }),
        }
    }

    fn told(&self, done: io::Result<()>) -> Result<(), FolderError> {
        done.map_err(|source| FolderError::Write { path: self.path.clone(), source })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), FolderError> {
        let done = self.file.write_all(bytes);
        self.told(done)
    }

    fn weight(&mut self, parameter: &Parameter, numbers: &mut Numbers<'_>) -> Result<(), FolderError> {
        const PIECE: usize = 1 << 18;
        let failed = |source| FolderError::Source { name: parameter.name.clone(), source };
        let found = numbers(parameter).map_err(failed)?;
        if found.len() != parameter.elements() {
            return Err(failed(format!("it has {} numbers", found.len()).into()));
        }
        found.chunks(PIECE).try_for_each(|piece| self.write(&Type::F32.encode(piece)))
    }

    fn sync(mut self) -> Result<(), FolderError> {
        let done = self.file.sync();
        self.told(done)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::super::disk::{FullAfter, LocalDisk};
    use super::*;
    use crate::nn::Preset;
    use crate::runtime::testing::runtime;
    use crate::runtime::{RuntimeError, Tensor};

    fn numbers(parameter: &Parameter) -> Vec<f32> {
        let salt = parameter.name.len() as f32;
        (0..parameter.elements()).map(|n| 0.05 * (n as f32 * 0.7 + salt).sin()).collect()
    }

    fn config() -> ModelConfig {
        ModelConfig { num_layers: 2, max_positions: 64, ..Preset::Tiny.config(50) }
    }

    fn write(inside: u64) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        write_scorer(&LocalDisk, folder.path(), &config(), inside, &mut |parameter| Ok(numbers(parameter))).unwrap();
        folder
    }

    /// The rewards that ONNX Runtime reads out of the file.
    fn rewards(folder: &tempfile::TempDir) -> Vec<f32> {
        let runtime = runtime();
        let session = runtime.session_of_file("score", &folder.path().join(ONNX)).unwrap();
        let given = |numbers: &[i64]| -> Result<Tensor, RuntimeError> {
            let tensor = runtime.tensor(Type::I64, &[2, 3])?;
            tensor.write_i64(numbers)?;
            Ok(tensor)
        };
        let (ids, mask) = (given(&[1, 2, 3, 4, 5, 0]).unwrap(), given(&[1, 1, 1, 1, 1, 0]).unwrap());
        let found = runtime.tensor(Type::F32, &[2]).unwrap();
        session.run(&[("input_ids", &ids), ("attention_mask", &mask)], &[("rewards", &found)]).unwrap();
        found.read_f32().unwrap()
    }

    #[test]
    fn weights_inside_and_beside_the_file_give_the_same_rewards_and_both_are_those_of_a_whole_graph() {
        let graph = score_model::<RuntimeError>(&config(), |graph, parameter| {
            let bytes = Type::F32.encode(&numbers(parameter));
            Ok(graph.weight(&parameter.name, Type::F32, &parameter.shape, bytes))
        });
        let whole = tempfile::tempdir().unwrap();
        fs::write(whole.path().join(ONNX), graph.unwrap().to_onnx().unwrap()).unwrap();
        let (inside, beside) = (write(MOST_INSIDE), write(1000));
        let length = |folder: &tempfile::TempDir, name| fs::metadata(folder.path().join(name)).map(|file| file.len());
        assert!(length(&inside, ONNX_DATA).is_err());
        assert_eq!(length(&inside, ONNX).unwrap(), length(&whole, ONNX).unwrap());
        let weights: u64 = scored_parameters(&config()).iter().map(bytes).sum();
        assert!(length(&beside, ONNX).unwrap() < length(&inside, ONNX).unwrap() - weights + 8192);
        assert!(length(&beside, ONNX_DATA).unwrap() >= weights);
        let wanted = rewards(&whole);
        assert!(wanted[0].is_finite() && wanted[0].to_bits() != wanted[1].to_bits(), "{wanted:?}");
        assert_eq!(rewards(&inside), wanted);
        assert_eq!(rewards(&beside), wanted);
    }

    #[test]
    fn a_full_disk_is_told_by_the_file_that_did_not_fit() {
        let folder = tempfile::tempdir().unwrap();
        for (room, name) in [(100, ONNX), (100_000, ONNX_DATA)] {
            let disk = FullAfter::new(room);
            let written = write_scorer(&disk, folder.path(), &config(), 0, &mut |parameter| Ok(numbers(parameter)));
            let error = written.unwrap_err();
            assert!(matches!(&error, FolderError::Write { path, .. } if path.ends_with(name)), "{error}");
        }
    }
}

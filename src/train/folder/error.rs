//! What can be wrong with a model's folder.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::graph::GraphError;
use crate::nn::ConfigError;

/// A tensor of another shape than the configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// The tensor.
    pub name: String,
    /// Its shape in the file.
    pub found: Vec<usize>,
    /// The shape that the configuration asks for.
    pub expected: Vec<usize>,
}

/// All that does not fit between a configuration and the tensors beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Tensors that are asked for and not there.
    pub missing: Vec<String>,
    /// Tensors that are there and not asked for.
    pub extra: Vec<String>,
    /// Tensors of another shape.
    pub misshapen: Vec<Misshapen>,
}

impl Mismatch {
    /// Whether everything fits.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty() && self.misshapen.is_empty()
    }
}

/// The most names that a message lists of each kind.
const LISTED: usize = 12;

fn list(names: &[String]) -> String {
    let more = names.len().saturating_sub(LISTED);
    let shown = names[..names.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.missing.is_empty() {
            parts.push(format!("missing: {}", list(&self.missing)));
        }
        if !self.misshapen.is_empty() {
            let shapes: Vec<String> = (self.misshapen.iter())
                .map(|tensor| format!("{} is {:?} and must be {:?}", tensor.name, tensor.found, tensor.expected))
                .collect();
            parts.push(format!("of another shape: {}", list(&shapes)));
        }
        if !self.extra.is_empty() {
            parts.push(format!("unknown: {}", list(&self.extra)));
        }
        f.write_str(&parts.join("; "))
    }
}

/// Why a model's folder could not be read or written.
#[derive(Debug, Error)]
pub enum FolderError {
    /// A file that is not there, or cannot be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that could not be written; nothing under its final name was touched.
    #[error("writing {}: {source}; what was there before is as it was", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that should be JSON of a certain form.
    #[error("{}: {problem}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A configuration that is not supported.
    #[error("{}: {source}", path.display())]
    Config {
        /// The folder.
        path: PathBuf,
        /// Which key, and why.
        source: ConfigError,
    },
    /// No weights.
    #[error(
        "{} holds neither model.safetensors nor model.safetensors.index.json{hint}", path.display()
    )]
    NoWeights {
        /// The folder.
        path: PathBuf,
        /// What to do, where it is known.
        hint: &'static str,
    },
    /// A safetensors file that is damaged, or no such file.
    #[error("{}: {problem}; it is damaged or was not copied whole: fetch it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor of a number format that weights do not have here.
    #[error("{}: tensor {name} is {found}; weights must be F32, F16 or BF16", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its format.
        found: String,
    },
    /// Tensors that do not fit the configuration.
    #[error("{} does not fit its config.json: {mismatch}", path.display())]
    Mismatch {
        /// The folder.
        path: PathBuf,
        /// All that does not fit.
        mismatch: Mismatch,
    },
    /// Weights that could not be had from what computes.
    #[error("reading tensor {name} from the device: {source}")]
    Source {
        /// The tensor.
        name: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A graph that cannot be built.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

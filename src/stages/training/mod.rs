//! Training and measuring as the command line and the stages both do it: pairs from anywhere, a model folder in, a model
//! folder out, rows in the database beside it.
//!
//! Invariants: what cannot work is refused before anything is computed, as [`WrongInput`]; a training that ends early
//! leaves a checkpoint that the same call goes on from. How a model is trained is for `train` and `eval` to know.

mod adapter;
mod base;
mod choice;
mod contamination;
mod measure;
mod record;
mod run;
mod score;
mod source;

pub use adapter::{Adapter, PLAIN, adapter_of};
pub use choice::{PairChoice, Split};
pub use contamination::refuse_contaminated;
pub use measure::Computing;
pub use record::Recorder;
pub use run::{Told, brief, line, plan, refused, run};
pub use score::{Scored, score};
pub use source::{PairSource, Pairs, check_source, source_of};

pub use crate::train::FINISHED;

use std::path::PathBuf;
use std::sync::Arc;

use crate::nn::Preset;
use crate::train::{Start, TrainSettings, training_mark};

/// Something that was asked for cannot be: the command or a file is wrong, and nothing was done.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongInput(pub String);

/// What a training starts from.
#[derive(Clone, Debug)]
pub enum Base {
    /// A model's folder.
    Folder(PathBuf),
    /// A fresh model.
    Fresh {
        /// Its size.
        preset: Preset,
        /// Tokens in its vocabulary, at most.
        vocab: Option<usize>,
        /// Folder of the model whose tokenizer it takes; else one is learned from the pairs.
        tokenizer: Option<PathBuf>,
        /// Decides its weights.
        seed: u64,
    },
}

/// One training.
#[derive(Clone, Debug)]
pub struct Job {
    /// Name of the stage, or of the folder.
    pub name: String,
    /// What it starts from.
    pub base: Base,
    /// Folder of the trained model.
    pub out: PathBuf,
    /// How to train.
    pub settings: TrainSettings,
    /// Where the pairs come from, in words.
    pub source: String,
    /// Pairs to train on.
    pub pairs: Arc<Pairs>,
    /// Pairs to measure on while it trains.
    pub held_out: Arc<Pairs>,
    /// What to do about checkpoints.
    pub start: Start,
    /// The data folder, where an ONNX Runtime library may lie.
    pub library_dir: PathBuf,
}

impl Job {
    /// Tells what is trained on, and the training that made the model (or tokenizer) that it starts from, from others.
    pub fn mark(&self) -> String {
        let from = match &self.base {
            Base::Folder(folder) => Some(folder),
            Base::Fresh { tokenizer, .. } => tokenizer.as_ref(),
        };
        match from.map(|folder| training_mark(folder)).unwrap_or_default() {
            base if base.is_empty() => self.pairs.mark.clone(),
            base => format!("{} {base}", self.pairs.mark),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn job(base: Base) -> Job {
        Job {
            name: String::new(),
            base,
            out: PathBuf::new(),
            settings: TrainSettings::default(),
            source: String::new(),
            pairs: Arc::new(Pairs { mark: "pairs".to_owned(), ..Pairs::default() }),
            held_out: Arc::default(),
            start: Start::Fresh,
            library_dir: PathBuf::new(),
        }
    }

    #[test]
    fn the_mark_follows_the_training_that_made_the_model_or_tokenizer_to_start_from() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().to_owned(), folder.path().join("untrained"));
        let fresh = |tokenizer| job(Base::Fresh { preset: Preset::Tiny, vocab: None, tokenizer, seed: 0 }).mark();
        let marks = || [job(Base::Folder(path.clone())).mark(), fresh(Some(path.clone()))];
        assert_eq!([job(Base::Folder(other)).mark(), fresh(None)], ["pairs", "pairs"]);
        std::fs::write(path.join(FINISHED), "once").unwrap();
        let once = marks();
        assert!(once.iter().all(|mark| mark.starts_with("pairs ")), "{once:?}");
        assert_eq!(marks(), once);
        std::fs::write(path.join(FINISHED), "anew").unwrap();
        assert!(marks().iter().zip(&once).all(|(now, before)| now != before));
    }
}

//! A trained model that scores answers.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TrainError;
use super::data::{BatchSettings, Counts, Dataset, Encoded, Encoder, EncoderSettings, Layout, Pair, Truncation};
use super::device;
use super::folder::ModelFolder;
use super::model::Model;
use super::trainer::{measure, prepare};
use crate::eval::PairReward;
use crate::nn::Precision;

/// How to score.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScoreSettings {
    /// Where to compute: cpu, cuda:0, ...
    pub device: String,
    /// Threads of the processor; all cores if left out.
    pub threads: Option<usize>,
    /// Most tokens of a prompt with one answer.
    pub max_length: usize,
    /// Most tokens that are computed at once.
    pub micro_tokens: usize,
    /// Whether an end token closes every answer, where the model has one; as it was trained.
    pub append_eos: bool,
}

impl Default for ScoreSettings {
    fn default() -> Self {
        Self { device: "cpu".to_owned(), threads: None, max_length: 1024, micro_tokens: 4096, append_eos: true }
    }
}

/// A model, ready to score.
pub struct Scorer {
    model: Model,
    encoder: Encoder,
    batches: BatchSettings,
}

impl Scorer {
    /// Opens a model's folder; `library_dir` is the data folder, where ONNX Runtime may lie.
    ///
    /// # Errors
    /// When the folder or the device cannot be used, or the model has no reward head.
    pub fn open(folder: &Path, library_dir: &Path, settings: &ScoreSettings) -> Result<Self, TrainError> {
        let mut found = ModelFolder::open(folder)?;
        if !found.has_reward_head() {
            return Err(TrainError::NoRewardHead { path: folder.to_owned() });
        }
        let config = found.config().clone();
        let encoding = EncoderSettings {
            max_length: settings.max_length.min(config.max_positions),
            truncation: Truncation::Drop,
            append_end: settings.append_eos && config.eos_token_id.is_some(),
        };
        let encoder = Encoder::load(folder, &config, encoding)?;
        let runtime = prepare::runtime(&settings.device, settings.threads, library_dir)?;
        device::check(&runtime, Precision::F32)?;
        let model =
            Model::scorer(&runtime, &config, |parameter| -> Result<_, TrainError> { Ok(found.read(parameter, 0)?) })?;
        let batches = BatchSettings {
            layout: Layout::Packed { row_length: encoding.max_length },
            micro_tokens: settings.micro_tokens,
            lm: false,
            sorted: false,
            pad: encoder.pad(),
        };
        Ok(Self { model, encoder, batches })
    }

    /// The model's tokenizer.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Rewards of answers: `[text][answer]`. A few hundred texts at once pack well.
    ///
    /// # Errors
    /// When the device fails or has too little memory.
    pub fn scores(&mut self, texts: &[Encoded]) -> Result<Vec<Vec<f32>>, TrainError> {
        measure::scores(&mut self.model, texts, &self.batches).map_err(|error| self.failed(error))
    }

    /// Rewards of pairs, but for those that do not fit, which the counts tell.
    ///
    /// # Errors
    /// As [`Scorer::scores`]; when the tokenizer fails.
    pub fn rewards(&mut self, pairs: &[Pair]) -> Result<(Vec<PairReward>, Counts), TrainError> {
        let mut dataset = Dataset::default();
        dataset.extend(pairs, &self.encoder)?;
        let rewards = measure::rewards(&mut self.model, &dataset.pairs, &self.batches);
        Ok((rewards.map_err(|error| self.failed(error))?, dataset.counts))
    }

    fn failed(&self, error: crate::runtime::RuntimeError) -> TrainError {
        let most = self.batches.micro_tokens;
        TrainError::computing("scoring", || format!("lower micro_tokens (now {most})"), error)
    }
}

//! Before the first step: pairs become tokens, settings a schedule, and the start a model.

use std::path::{Path, PathBuf};

use crate::nn::{LossSettings, ModelConfig, Parameter, Precision, Saving};
use crate::runtime::{Device, Runtime, RuntimeSettings, find_library};
use crate::train::checkpoint::{self, Checkpoint, CheckpointError, RunState};
use crate::train::data::{BatchSettings, Dataset, Encoder, EncoderSettings, Layout, Tokenised};
use crate::train::folder::ModelFolder;
use crate::train::model::{Model, ModelSettings};
use crate::train::settings::SettingError;
use crate::train::{
    Activations, Arrangement, ComputePrecision, RunPlan, Schedule, Start, TrainError, TrainJob, TrainSettings,
    training_mark,
};

/// Opens the device that settings name.
pub(in crate::train) fn runtime(
    device: &str,
    threads: Option<usize>,
    library_dir: &Path,
) -> Result<Runtime, TrainError> {
    let device: Device = device.parse().map_err(|problem| SettingError { name: "device", problem })?;
    let open = || Runtime::open(&RuntimeSettings { device, threads, library: find_library(library_dir)? });
    open().map_err(TrainError::Device)
}

/// Settings that a decay run may change: they shape its end alone.
const DECAY_FREE: [&str; 6] = ["schedule", "decay_share", "decay_shape", "minimum_share", "epochs", "max_steps"];

/// A job that is ready to begin.
pub(super) struct Prepared {
    pub(super) config: ModelConfig,
    pub(super) train: Dataset,
    pub(super) held_out: Dataset,
    pub(super) schedule: Schedule,
    pub(super) epoch_steps: u64,
    pub(super) batches: BatchSettings,
    /// A hash of the training pairs as tokens.
    pub(super) data: String,
    /// The mark of the training that made the model to start from.
    pub(super) base: String,
    /// What the run goes on from.
    pub(super) state: Option<RunState>,
    /// Where to find it.
    pub(super) checkpoint: Option<PathBuf>,
    settings: TrainSettings,
    source: Source,
    stale: bool,
}

enum Source {
    Model(Box<ModelFolder>),
    Checkpoint(Box<Checkpoint>),
}

impl Prepared {
    pub(super) fn new(job: &TrainJob<'_>) -> Result<Self, TrainError> {
        let settings = job.settings;
        settings.check()?;
        let folder = ModelFolder::open(job.model)?;
        let config = folder.config().clone();
        if settings.max_length > config.max_positions {
            let problem =
                format!("{} is more than the model's {} positions", settings.max_length, config.max_positions);
            return Err(SettingError { name: "max_length", problem }.into());
        }
        let encoding = EncoderSettings {
            max_length: settings.max_length,
            truncation: settings.truncation,
            append_end: settings.append_eos,
        };
        let encoder = Encoder::load(job.model, &config, encoding)?;
        let [mut train, mut held_out] = [Dataset::default(), Dataset::default()];
        train.extend(job.pairs, &encoder)?;
        held_out.extend(job.held_out, &encoder)?;
        if train.pairs.is_empty() {
            let counts = train.counts;
            return Err(TrainError::NoPairs { read: counts.read, too_long: counts.too_long, empty: counts.empty });
        }
        let epoch_steps = train.pairs.len().div_ceil(settings.batch_pairs) as u64;
        let (data, base) = (hash(&train.pairs), training_mark(job.model));
        let schedule = settings.schedule(settings.total_steps(epoch_steps), config.hidden_size);
        let layout = match settings.arrangement {
            Arrangement::Packed => Layout::Packed { row_length: settings.max_length },
            Arrangement::Padded => Layout::Padded,
        };
        let batches = BatchSettings {
            layout,
            micro_tokens: settings.micro_tokens,
            lm: settings.lm_weight() > 0.0,
            sorted: false,
            pad: encoder.pad(),
        };
        let mut prepared = Self {
            config,
            train,
            held_out,
            schedule,
            epoch_steps,
            batches,
            data,
            base,
            state: None,
            checkpoint: None,
            settings: settings.clone(),
            source: Source::Model(Box::new(folder)),
            stale: false,
        };
        prepared.begin(job)?;
        Ok(prepared)
    }

    fn begin(&mut self, job: &TrainJob<'_>) -> Result<(), TrainError> {
        let newest = checkpoint::newest(job.out)?;
        let from = match (job.start, newest) {
            (Start::Fresh | Start::DecayFrom(_), Some((step, _))) => {
                return Err(CheckpointError::Occupied { path: job.out.to_owned(), step }.into());
            }
            (Start::Resume, None) => return Err(CheckpointError::None { path: job.out.to_owned() }.into()),
            (Start::DecayFrom(path), None) => path.clone(),
            (Start::Fresh | Start::ResumeIfPossible, None) => return Ok(()),
            (Start::Resume | Start::ResumeIfPossible, Some((_, path))) => path,
        };
        let decays = matches!(job.start, Start::DecayFrom(_));
        let opened = Checkpoint::open(&from).and_then(|found| {
            let (ignored, base): (&[&str], _) =
                if decays { (&DECAY_FREE, None) } else { (&[], Some(self.base.as_str())) };
            match found.state.difference(job.settings, &self.data, base, ignored) {
                Some(difference) => Err(CheckpointError::OtherRun { path: from.clone(), difference }),
                None => Ok(found),
            }
        });
        let found = match opened {
            Ok(found) => found,
            Err(_) if matches!(job.start, Start::ResumeIfPossible) => {
                self.stale = true;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let state = found.state.clone();
        self.schedule = if decays {
            let decayed = state.schedule.decayed_from(state.step, job.settings.decay_share);
            decayed.ok_or_else(|| CheckpointError::NotStable {
                path: from.clone(),
                step: state.step,
                kind: serde_json::to_value(state.schedule.kind).map_or_else(|_| String::new(), |kind| kind.to_string()),
                phase: state.schedule.phase(state.step).as_str(),
            })?
        } else {
            state.schedule.clone()
        };
        (self.state, self.checkpoint, self.source) = (Some(state), Some(from), Source::Checkpoint(Box::new(found)));
        Ok(())
    }

    /// Removes checkpoints of another run, once nothing can be wrong any more.
    pub(super) fn clear(&self, job: &TrainJob<'_>) -> Result<(), TrainError> {
        if self.stale { Ok(checkpoint::keep::remove_all(job.out)?) } else { Ok(()) }
    }

    /// The number format of the layers' computation.
    pub(super) fn precision(&self, runtime: &Runtime) -> Result<Precision, TrainError> {
        Ok(match self.settings.precision {
            ComputePrecision::F32 => Precision::F32,
            ComputePrecision::Bf16 if *runtime.device() == Device::Cpu => {
                let problem = "bf16 needs a device that computes with it, such as cuda:0; cpu has f32, and bf16_emulated to try it";
                return Err(SettingError { name: "precision", problem: problem.to_owned() }.into());
            }
            ComputePrecision::Bf16 => Precision::Bf16,
            ComputePrecision::Bf16Emulated => Precision::Bf16Emulated,
        })
    }

    /// The model with its weights, and its moments where it goes on.
    pub(super) fn load(&mut self, runtime: &Runtime) -> Result<Model, TrainError> {
        let settings = &self.settings;
        let precision = self.precision(runtime)?;
        let saving = match settings.activations {
            Activations::Recompute => Saving::Recompute,
            Activations::Save => Saving::Save,
        };
        let losses = LossSettings {
            rm_coef: settings.rm_weight(),
            lm_coef: settings.lm_weight(),
            centre_coef: settings.centre_coef,
            margin: settings.margin,
        };
        let how = ModelSettings {
            losses,
            precision,
            saving,
            weights_on_host: settings.weights_on_host,
            optimizer_on_host: settings.optimizer_on_host,
        };
        let (seed, source) = (settings.seed, &mut self.source);
        let model = Model::load(runtime, &self.config, how, |parameter: &Parameter| -> Result<_, TrainError> {
            Ok(match source {
                Source::Model(folder) => folder.read(parameter, seed)?,
                Source::Checkpoint(checkpoint) => checkpoint.model.read(parameter, seed)?,
            })
        })?;
        if let Source::Checkpoint(checkpoint) = source {
            for parameter in self.config.parameters() {
                model.write_moments(&parameter, &checkpoint.moments(&parameter)?)?;
            }
        }
        Ok(model)
    }

    pub(super) fn done(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.step)
    }

    pub(super) fn plan(&self) -> RunPlan {
        RunPlan {
            parameters: self.config.parameters().iter().map(|parameter| parameter.elements() as u64).sum(),
            pairs: self.train.pairs.len() as u64,
            held_out: self.held_out.pairs.len() as u64,
            epoch_steps: self.epoch_steps,
            total_steps: self.schedule.total_steps,
            done_steps: self.done(),
            schedule: self.schedule.clone(),
            counts: self.train.counts,
            held_out_counts: self.held_out.counts,
        }
    }
}

fn hash(pairs: &[Tokenised]) -> String {
    let mut hasher = blake3::Hasher::new();
    for pair in pairs {
        for tokens in [&pair.prompt, &pair.chosen, &pair.rejected] {
            hasher.update(&(tokens.len() as u64).to_le_bytes());
            for token in tokens {
                hasher.update(&token.to_le_bytes());
            }
        }
        hasher.update(&pair.margin.to_le_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

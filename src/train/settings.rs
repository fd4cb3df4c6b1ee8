//! What a run may be told: its settings as written, their checks, and what an unset one stands for.
//!
//! Defaults are those of the published runs (CodePMP, arXiv 2410.02229) where those do not depend on the model's size;
//! the learning rate does ([`TrainSettings::peak_rate`]). Settings that change the loss curve are told apart from those
//! that do not ([`TrainSettings::changed`]): a run resumes on another device or with other checkpoints, but not with
//! another batch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::data::Truncation;
use super::folder::onnx::MOST_INSIDE;
use super::schedule::{DecayShape, Schedule, ScheduleKind};
use super::spacing;

/// What a model is trained for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Preference model pretraining: the reward loss and the language model's loss on chosen answers.
    #[default]
    Pmp,
    /// Reward model finetuning: the reward loss alone.
    Rm,
}

impl Objective {
    /// The word for it, as in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pmp => "pmp",
            Self::Rm => "rm",
        }
    }
}

/// How pairs lie in a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Arrangement {
    /// Several pairs to a row, each prompt once.
    #[default]
    Packed,
    /// Two rows to a pair, padded to the longest.
    Padded,
}

/// The number format of the layers' computation; weights and optimizer state are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ComputePrecision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with f32's range, on devices that have it.
    Bf16,
    /// The same numbers on kernels for f32: shows what bf16 does to a run, where no device has it. Not faster.
    Bf16Emulated,
}

/// What the forward pass keeps for the backward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Activations {
    /// The layers' inputs; the rest is computed again (activation checkpointing): least memory.
    #[default]
    Recompute,
    /// Everything: faster.
    Save,
}

/// Settings of a training run.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainSettings {
    /// pmp (reward and language model loss) or rm (reward loss alone).
    pub objective: Objective,
    /// Weight of the reward loss; unset: 1.
    pub rm_coef: Option<f32>,
    /// Weight of the language model's loss on chosen answers; unset: 1 for pmp, 0 for rm.
    pub lm_coef: Option<f32>,
    /// Weight of the term that draws the two rewards of a pair towards a sum of zero.
    pub centre_coef: f32,
    /// Whether a pair's own margin is subtracted from the difference of its rewards.
    pub margin: bool,

    /// Seeds the order of pairs and a fresh reward head.
    pub seed: u64,
    /// Passes over the pairs.
    pub epochs: u32,
    /// Ends the run after so many optimizer steps, if that is sooner.
    pub max_steps: Option<u64>,
    /// Pairs of an optimizer step.
    pub batch_pairs: usize,
    /// Most tokens computed at once; a step's pairs are spread over as many micro-batches as that takes.
    pub micro_tokens: usize,
    /// Most tokens of a prompt with one answer.
    pub max_length: usize,
    /// What becomes of longer pairs: drop, cut_prompt (the prompt loses its beginning) or cut_answer (answers lose their
    /// ends); each is counted.
    pub truncation: Truncation,
    /// Whether an end-of-text token closes every answer.
    pub append_eos: bool,
    /// packed (several pairs to a row, each prompt once) or padded.
    pub arrangement: Arrangement,

    /// The peak learning rate; unset: by objective and model size.
    pub learning_rate: Option<f64>,
    /// The rate that decay tends to, as a share of the peak.
    pub minimum_share: f64,
    /// constant, linear, cosine or wsd; unset: wsd for pmp, cosine for rm.
    pub schedule: Option<ScheduleKind>,
    /// Share of the steps that the rate rises for.
    pub warmup_share: f64,
    /// Share of the steps at the end that a wsd schedule falls for.
    pub decay_share: f64,
    /// How a wsd schedule falls.
    pub decay_shape: DecayShape,
    /// Decoupled weight decay, on all but norms and biases; unset: 0.1 for pmp, 0 for rm.
    pub weight_decay: Option<f32>,
    /// AdamW's decay of the first moment.
    pub beta1: f32,
    /// AdamW's decay of the second moment.
    pub beta2: f32,
    /// AdamW's epsilon.
    pub epsilon: f32,
    /// Largest global norm of the gradient; 0 turns clipping off.
    pub clip: f32,

    /// f32, bf16 (compute only; weights stay f32), or bf16_emulated (the same numbers on any device; not faster).
    pub precision: ComputePrecision,
    /// recompute (least memory) or save (faster).
    pub activations: Activations,
    /// Keeps the optimizer's state in host memory.
    pub optimizer_on_host: bool,
    /// Keeps the layers' weights in host memory.
    pub weights_on_host: bool,
    /// Where to compute: cpu, cuda:0, ...
    pub device: String,
    /// Threads of the CPU device; unset: all cores.
    pub threads: Option<usize>,

    /// Steps between checkpoints to resume from; unset: a twentieth of the run.
    pub checkpoint_every: Option<u64>,
    /// How many of the newest checkpoints to keep; at least 1.
    pub keep_last: usize,
    /// The first step of the geometrically spaced checkpoints, which are kept for good; unset: none is kept for good.
    pub geometric_first: Option<u64>,
    /// The factor between geometrically spaced checkpoints.
    pub geometric_factor: f64,
    /// Steps between measurements on held-out pairs; unset: at the start and the end alone.
    pub evaluate_every: Option<u64>,
    /// Whether the finished model is also written as an ONNX file, `score.onnx`.
    pub export_onnx: bool,
    /// Most bytes of weights that lie inside `score.onnx`; those of a larger model lie beside it, in `score.onnx.data`.
    pub onnx_single_file_bytes: u64,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            objective: Objective::Pmp,
            rm_coef: None,
            lm_coef: None,
            centre_coef: 0.0,
            margin: false,
            seed: 0,
            epochs: 1,
            max_steps: None,
            batch_pairs: 16,
            micro_tokens: 4096,
            max_length: 1024,
            truncation: Truncation::Drop,
            append_eos: true,
            arrangement: Arrangement::Packed,
            learning_rate: None,
            minimum_share: 0.0,
            schedule: None,
            warmup_share: 0.03,
            decay_share: 0.1,
            decay_shape: DecayShape::Linear,
            weight_decay: None,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            clip: 1.0,
            precision: ComputePrecision::F32,
            activations: Activations::Recompute,
            optimizer_on_host: false,
            weights_on_host: false,
            device: "cpu".to_owned(),
            threads: None,
            checkpoint_every: None,
            keep_last: 1,
            geometric_first: None,
            geometric_factor: spacing::FACTOR,
            evaluate_every: None,
            export_onnx: true,
            onnx_single_file_bytes: MOST_INSIDE,
        }
    }
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("setting `{name}`: {problem}")]
pub struct SettingError {
    /// The setting's name as written.
    pub name: &'static str,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

/// Settings that may differ between a run and its resumption: they do not move the loss curve.
const FREE: [&str; 11] = [
    "device",
    "threads",
    "optimizer_on_host",
    "weights_on_host",
    "checkpoint_every",
    "keep_last",
    "geometric_first",
    "geometric_factor",
    "evaluate_every",
    "export_onnx",
    "onnx_single_file_bytes",
];

impl TrainSettings {
    /// The defaults of an objective.
    pub fn of(objective: Objective) -> Self {
        Self { objective, ..Self::default() }
    }

    /// Weight of the reward loss.
    pub fn rm_weight(&self) -> f32 {
        self.rm_coef.unwrap_or(1.0)
    }

    /// Weight of the language model's loss.
    pub fn lm_weight(&self) -> f32 {
        self.lm_coef.unwrap_or(match self.objective {
            Objective::Pmp => 1.0,
            Objective::Rm => 0.0,
        })
    }

    /// Decoupled weight decay.
    pub fn decay(&self) -> f32 {
        self.weight_decay.unwrap_or(match self.objective {
            Objective::Pmp => 0.1,
            Objective::Rm => 0.0,
        })
    }

    /// The schedule's kind.
    pub fn schedule_kind(&self) -> ScheduleKind {
        self.schedule.unwrap_or(match self.objective {
            Objective::Pmp => ScheduleKind::Wsd,
            Objective::Rm => ScheduleKind::Cosine,
        })
    }

    /// The peak learning rate for a model of `hidden_size`. Unset, it is 0.064 / `hidden_size`, a rule that suits small
    /// models trained from scratch (1e-3 at 64, 2.5e-4 at 256), and from the width of the published base models on
    /// (1536) the published rates of 1e-6 for pmp and 3e-7 for rm, which suit pretrained ones. Finetuning takes three
    /// tenths of the rate of pretraining at any width.
    pub fn peak_rate(&self, hidden_size: usize) -> f64 {
        self.learning_rate.unwrap_or_else(|| {
            let pretraining = if hidden_size >= 1536 { 1e-6 } else { 0.064 / hidden_size.max(1) as f64 };
            match self.objective {
                Objective::Pmp => pretraining,
                Objective::Rm => 0.3 * pretraining,
            }
        })
    }

    /// Steps of a run whose epochs have `epoch_steps` each.
    pub fn total_steps(&self, epoch_steps: u64) -> u64 {
        let all = epoch_steps * u64::from(self.epochs);
        self.max_steps.map_or(all, |most| all.min(most))
    }

    /// The learning rates of a run of `total_steps`; warm-up and decay are rounded to whole steps.
    pub fn schedule(&self, total_steps: u64, hidden_size: usize) -> Schedule {
        let share = |share: f64| (share * total_steps as f64).round() as u64;
        let peak = self.peak_rate(hidden_size);
        Schedule {
            kind: self.schedule_kind(),
            decay_shape: self.decay_shape,
            peak,
            minimum: peak * self.minimum_share,
            warmup_steps: share(self.warmup_share),
            decay_steps: share(self.decay_share),
            total_steps,
        }
    }

    /// Steps after which a checkpoint is written, for a run of `total_steps`; never zero.
    pub fn checkpoint_interval(&self, total_steps: u64) -> u64 {
        self.checkpoint_every.unwrap_or(total_steps.div_ceil(20)).max(1)
    }

    /// Checks every setting by itself.
    ///
    /// # Errors
    /// The first setting that cannot be.
    pub fn check(&self) -> Result<(), SettingError> {
        let wrong = |name, problem: &str| Err(SettingError { name, problem: problem.to_owned() });
        let coefficients =
            [("rm_coef", self.rm_weight()), ("lm_coef", self.lm_weight()), ("centre_coef", self.centre_coef)];
        for (name, value) in coefficients {
            if !(value.is_finite() && value >= 0.0) {
                return wrong(name, "must be zero or more");
            }
        }
        if self.rm_weight() == 0.0 && self.lm_weight() == 0.0 {
            return wrong("rm_coef", "rm_coef and lm_coef are both 0, so there is no loss; set one of them");
        }
        for (name, value) in
            [("batch_pairs", self.batch_pairs), ("micro_tokens", self.micro_tokens), ("keep_last", self.keep_last)]
        {
            if value == 0 {
                return wrong(name, "must be 1 or more");
            }
        }
        for (name, value) in [
            ("max_steps", self.max_steps),
            ("checkpoint_every", self.checkpoint_every),
            ("geometric_first", self.geometric_first),
            ("evaluate_every", self.evaluate_every),
            ("threads", self.threads.map(|threads| threads as u64)),
        ] {
            if value == Some(0) {
                return wrong(name, "must be 1 or more; leave it out for the default");
            }
        }
        if self.epochs == 0 {
            return wrong("epochs", "must be 1 or more");
        }
        if self.max_length < 4 {
            return wrong("max_length", "must be 4 tokens or more");
        }
        if self.learning_rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
            return wrong("learning_rate", "must be more than zero; leave it out for one by model size");
        }
        for (name, share) in [("minimum_share", self.minimum_share), ("warmup_share", self.warmup_share)] {
            if !(0.0..=1.0).contains(&share) {
                return wrong(name, "is a share: from 0 to 1");
            }
        }
        if !(0.0..1.0).contains(&self.decay_share) {
            return wrong("decay_share", "is a share of the steps: from 0 to less than 1");
        }
        if self.schedule_kind() == ScheduleKind::Wsd && self.warmup_share + self.decay_share > 1.0 {
            return wrong("decay_share", "with warmup_share it makes more than the whole run; lower one of them");
        }
        for (name, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return wrong(name, "must be from 0 to less than 1");
            }
        }
        if !(self.epsilon.is_finite() && self.epsilon > 0.0) {
            return wrong("epsilon", "must be more than zero");
        }
        for (name, value) in [("clip", self.clip), ("weight_decay", self.decay())] {
            if !(value.is_finite() && value >= 0.0) {
                return wrong(name, "must be zero or more; 0 turns it off");
            }
        }
        if self.onnx_single_file_bytes > MOST_INSIDE {
            return wrong("onnx_single_file_bytes", "must be at most 1879048192: an ONNX file ends at 2 GB");
        }
        if !(self.geometric_factor.is_finite() && self.geometric_factor > 1.0) {
            return wrong("geometric_factor", "must be more than 1; the published runs use 1.189 (four to a doubling)");
        }
        Ok(())
    }

    /// The names of the settings that move the loss curve and differ from `other`, which a checkpoint holds.
    pub fn changed(&self, other: &Self) -> Vec<String> {
        let (mine, theirs) = (self.curve(), other.curve());
        mine.iter().filter(|(name, value)| theirs.get(*name) != Some(value)).map(|(name, _)| name.clone()).collect()
    }

    /// A hash of the settings that move the loss curve, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        blake3::hash(Value::Object(self.curve()).to_string().as_bytes()).to_hex()[..32].to_owned()
    }

    /// The settings that move the loss curve, unset ones by what they stand for.
    pub fn curve(&self) -> serde_json::Map<String, Value> {
        let resolved = Self {
            rm_coef: Some(self.rm_weight()),
            lm_coef: Some(self.lm_weight()),
            weight_decay: Some(self.decay()),
            schedule: Some(self.schedule_kind()),
            ..self.clone()
        };
        match serde_json::to_value(resolved) {
            Ok(Value::Object(mut all)) => {
                all.retain(|name, _| !FREE.contains(&name.as_str()));
                all
            }
            _ => serde_json::Map::new(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_both_objectives_are_valid_and_are_the_published_ones() {
        let (pmp, rm) = (TrainSettings::of(Objective::Pmp), TrainSettings::of(Objective::Rm));
        pmp.check().unwrap();
        rm.check().unwrap();
        assert_eq!((pmp.rm_weight(), pmp.lm_weight(), pmp.decay()), (1.0, 1.0, 0.1));
        assert_eq!((rm.rm_weight(), rm.lm_weight(), rm.decay()), (1.0, 0.0, 0.0));
        assert_eq!((pmp.schedule_kind(), rm.schedule_kind()), (ScheduleKind::Wsd, ScheduleKind::Cosine));
        assert!((pmp.peak_rate(3584) - 1e-6).abs() < 1e-18);
        assert!((rm.peak_rate(3584) - 3e-7).abs() < 1e-18);
        let schedule = pmp.schedule(1000, 64);
        assert_eq!((schedule.warmup_steps, schedule.decay_steps), (30, 100));
        assert!((schedule.peak - 1e-3).abs() < 1e-12);
    }

    #[test]
    fn a_setting_that_cannot_be_is_named_with_what_would_be_right() {
        type Change = fn(&mut TrainSettings);
        let cases: [(&str, Change); 12] = [
            ("rm_coef", |s| s.rm_coef = Some(f32::NAN)),
            ("rm_coef", |s| (s.rm_coef, s.lm_coef) = (Some(0.0), Some(0.0))),
            ("batch_pairs", |s| s.batch_pairs = 0),
            ("epochs", |s| s.epochs = 0),
            ("max_steps", |s| s.max_steps = Some(0)),
            ("learning_rate", |s| s.learning_rate = Some(-1.0)),
            ("warmup_share", |s| s.warmup_share = 1.5),
            ("decay_share", |s| s.decay_share = 1.0),
            ("decay_share", |s| (s.warmup_share, s.decay_share) = (0.6, 0.5)),
            ("beta2", |s| s.beta2 = 1.0),
            ("clip", |s| s.clip = -1.0),
            ("geometric_factor", |s| s.geometric_factor = 1.0),
        ];
        for (name, change) in cases {
            let mut settings = TrainSettings::default();
            change(&mut settings);
            let error = settings.check().unwrap_err();
            assert_eq!(error.name, name);
            assert!(error.to_string().starts_with(&format!("setting `{name}`: ")));
        }
    }

    #[test]
    fn settings_read_from_a_few_words_and_refuse_unknown_ones() {
        let settings: TrainSettings = serde_json::from_str(r#"{"objective":"rm","batch_pairs":4}"#).unwrap();
        assert_eq!(settings, TrainSettings { batch_pairs: 4, ..TrainSettings::of(Objective::Rm) });
        let error = serde_json::from_str::<TrainSettings>(r#"{"batch":4}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `batch`"), "{error}");
    }

    #[test]
    fn what_moves_the_curve_is_told_apart_from_what_does_not() {
        let settings = TrainSettings::default();
        let moved = TrainSettings { batch_pairs: 17, beta1: 0.8, ..settings.clone() };
        assert_eq!(moved.changed(&settings), ["batch_pairs", "beta1"]);
        assert_ne!(moved.fingerprint(), settings.fingerprint());
        let same = TrainSettings {
            device: "cuda:0".to_owned(),
            keep_last: 9,
            schedule: Some(ScheduleKind::Wsd),
            ..settings.clone()
        };
        assert!(same.changed(&settings).is_empty());
        assert_eq!(same.fingerprint(), settings.fingerprint());
    }

    #[test]
    fn a_run_is_as_long_as_its_epochs_or_its_limit() {
        let mut settings = TrainSettings { epochs: 3, ..TrainSettings::default() };
        assert_eq!(settings.total_steps(7), 21);
        settings.max_steps = Some(10);
        assert_eq!(settings.total_steps(7), 10);
        settings.max_steps = Some(100);
        assert_eq!(settings.total_steps(7), 21);
        assert_eq!(settings.checkpoint_interval(21), 2);
        assert_eq!(settings.checkpoint_interval(0), 1);
    }
}

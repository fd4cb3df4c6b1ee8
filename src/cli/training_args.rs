//! Arguments of `train` and `score` as typed, and the settings that they stand for.

use std::path::PathBuf;

use crate::benchmark::Format;
use crate::stages::WrongInput;
use crate::train::{Activations, Arrangement, ComputePrecision, Objective, ScheduleKind, TrainSettings};
use clap::Args as ClapArgs;

/// Where pairs are taken from.
#[derive(Debug, ClapArgs)]
pub struct DataArgs {
    /// Pairs: a .jsonl, .jsonl.gz, .jsonl.zst or .parquet file with prompt, chosen and rejected; a folder that `export`
    /// wrote; `db` for the latest run; a run; a pipeline's name or file.
    #[arg(long, value_name = "SRC")]
    pub data: String,
    /// Name of the pair stage, where a run has several.
    #[arg(long)]
    pub stage: Option<String>,
    /// At most so many pairs, drawn by chance.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Only pairs of repositories that match this pattern; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub repository: Vec<String>,
    /// No pairs of repositories that match this pattern; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub except_repository: Vec<String>,
    /// No pairs that a decontaminate stage has marked.
    #[arg(long)]
    pub clean: bool,
}

/// What to compute on.
#[derive(Debug, ClapArgs)]
pub struct DeviceArgs {
    /// cpu, cuda:0, or another execution provider of the ONNX Runtime library.
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Threads on the CPU; all cores if left out.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Most tokens of a prompt with one answer.
    #[arg(long, default_value_t = 1024, value_name = "TOKENS")]
    pub max_length: usize,
    /// Most tokens computed at once.
    #[arg(long, default_value_t = 4096, value_name = "TOKENS")]
    pub micro_tokens: usize,
}

/// `codepmp train`
#[derive(Debug, ClapArgs)]
pub struct TrainArgs {
    /// pmp: reward and language-model loss; rm: reward loss alone.
    #[arg(value_enum)]
    pub objective: Objective,
    /// Where pairs are taken from.
    #[command(flatten)]
    pub data: DataArgs,
    /// Format of --data where it is a benchmark's file as published: math-shepherd, logiqa2, reclor, code-ultra-feedback,
    /// reward-bench-2, options. Its rows are turned into pairs.
    #[arg(long, value_name = "NAME")]
    pub format: Option<Format>,
    /// With --format: template of the prompt, e.g. "Question: {{ prompt }}\nAnswer: ".
    #[arg(long, value_name = "TEXT", requires = "format")]
    pub template: Option<String>,
    /// Folder of the model to start from: config.json, tokenizer.json, safetensors.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Folder of the trained model, and of its checkpoints while it trains.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Split to train on; a plain file is one split.
    #[arg(long, default_value = "train", value_parser = ["train", "test", "all"])]
    pub split: String,
    /// Train also on pairs that a decontaminate stage has marked as overlapping with an evaluation set.
    #[arg(long)]
    pub allow_contaminated: bool,
    /// Pairs of the test split to measure on while it trains.
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub held_out: usize,
    /// Passes over the pairs.
    #[arg(long, value_name = "N")]
    pub epochs: Option<u32>,
    /// End after so many optimizer steps.
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,
    /// Pairs of an optimizer step.
    #[arg(long, value_name = "PAIRS")]
    pub batch: Option<usize>,
    /// Most tokens computed at once; lower it when memory is short.
    #[arg(long, value_name = "TOKENS")]
    pub micro_tokens: Option<usize>,
    /// Most tokens of a prompt with one answer.
    #[arg(long, value_name = "TOKENS")]
    pub max_length: Option<usize>,
    /// Peak learning rate.
    #[arg(long, value_name = "RATE")]
    pub lr: Option<f64>,
    /// How the learning rate moves.
    #[arg(long, value_enum)]
    pub schedule: Option<ScheduleKind>,
    /// Share of the steps that the rate rises for.
    #[arg(long, value_name = "SHARE")]
    pub warmup: Option<f64>,
    /// Share of the steps that a wsd schedule falls for.
    #[arg(long, value_name = "SHARE")]
    pub decay: Option<f64>,
    /// Decoupled weight decay.
    #[arg(long, value_name = "RATE")]
    pub weight_decay: Option<f32>,
    /// Several pairs to a row with each prompt once, or two padded rows to a pair.
    #[arg(long, value_enum)]
    pub layout: Option<Arrangement>,
    /// Number format of the layers' computation.
    #[arg(long, value_enum)]
    pub precision: Option<ComputePrecision>,
    /// What the forward pass keeps: little (recompute) or everything (save, faster).
    #[arg(long, value_enum)]
    pub saving: Option<Activations>,
    /// Seeds the order of pairs and a fresh reward head.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// cpu, cuda:0, or another execution provider of the ONNX Runtime library.
    #[arg(long)]
    pub device: Option<String>,
    /// Threads on the CPU; all cores if left out.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Steps between checkpoints.
    #[arg(long, value_name = "STEPS")]
    pub checkpoint_every: Option<u64>,
    /// Steps between measurements on held-out pairs.
    #[arg(long, value_name = "STEPS")]
    pub evaluate_every: Option<u64>,
    /// Any other setting of a `train` stage, e.g. centre_coef=0.01; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Go on from the newest checkpoint in the folder.
    #[arg(long)]
    pub resume: bool,
    /// Decay from this checkpoint of a wsd training, over `--decay` of its steps.
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "resume")]
    pub decay_from: Option<PathBuf>,
    /// Leave the database alone: metrics are printed only.
    #[arg(long)]
    pub no_db: bool,
    /// Check everything and tell what would be trained; do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print steps and result as JSON lines.
    #[arg(long)]
    pub json: bool,
}

/// `codepmp score`
#[derive(Debug, ClapArgs)]
pub struct ScoreArgs {
    /// Folder of the model.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// JSON lines (.jsonl, .gz, .zst; `-`: standard input) with `prompt` and `answer`, or `prompt`, `chosen` and
    /// `rejected`.
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// The same lines with `reward`, or `reward_chosen` and `reward_rejected` (`-`: standard output).
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// What to compute on.
    #[command(flatten)]
    pub device: DeviceArgs,
}

impl TrainArgs {
    /// The settings that the arguments stand for.
    ///
    /// # Errors
    /// An unknown setting or a value that cannot be, with what is allowed.
    pub fn settings(&self) -> anyhow::Result<TrainSettings> {
        let mut settings = serde_json::to_value(TrainSettings::of(self.objective))?;
        for text in &self.set {
            let wrong = || WrongInput(format!("--set {text}: write KEY=VALUE, e.g. centre_coef=0.01"));
            let (key, value) = text.split_once('=').ok_or_else(wrong)?;
            // As in a pipeline file; a bare word is a string.
            let value = format!("value = {value}")
                .parse::<toml::Table>()
                .or_else(|_| format!("value = \"{value}\"").parse::<toml::Table>())
                .map_err(|_| wrong())?;
            settings[key.trim()] = serde_json::to_value(&value["value"])?;
        }
        let mut settings: TrainSettings =
            serde_json::from_value(settings).map_err(|error| WrongInput(format!("--set: {error}")))?;
        macro_rules! take {
            ($($field:ident = $argument:ident),* $(,)?) => {
                $(if let Some(value) = self.$argument.clone() { settings.$field = value; })*
            };
        }
        take!(
            epochs = epochs,
            batch_pairs = batch,
            micro_tokens = micro_tokens,
            max_length = max_length,
            warmup_share = warmup,
            decay_share = decay,
            arrangement = layout,
            precision = precision,
            activations = saving,
            seed = seed,
            device = device,
        );
        settings.max_steps = self.max_steps.or(settings.max_steps);
        settings.learning_rate = self.lr.or(settings.learning_rate);
        settings.schedule = self.schedule.or(settings.schedule);
        settings.weight_decay = self.weight_decay.or(settings.weight_decay);
        settings.threads = self.threads.or(settings.threads);
        settings.checkpoint_every = self.checkpoint_every.or(settings.checkpoint_every);
        settings.evaluate_every = self.evaluate_every.or(settings.evaluate_every);
        settings.check().map_err(|error| WrongInput(error.to_string()))?;
        Ok(settings)
    }
}

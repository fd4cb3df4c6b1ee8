//! Arguments of `eval` as typed.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::training_args::{DataArgs, DeviceArgs};
use crate::benchmark::Format;
use crate::stages::measuring::{DataSettings, Metric};

/// `codepmp eval`
#[derive(Debug, Subcommand)]
pub enum EvalCommand {
    /// Share of pairs whose chosen answer has the higher reward, with a confidence interval.
    Accuracy(AccuracyArgs),
    /// Right answers when the sample with the highest reward among 1, 2, 4, ... 256 is taken, beside votes and chance.
    BestOfN(BestOfNArgs),
    /// Share of questions whose right option has the highest reward.
    Choice(ChoiceArgs),
    /// How two models differ on the same items, with an interval of the difference.
    Compare(CompareArgs),
}

/// How the rows of a benchmark are put to a model.
#[derive(Debug, ClapArgs)]
pub struct BenchmarkArgs {
    /// Format of the file: pairs, options, samples, gsm8k, math, math-shepherd, reclor, logiqa2, code-ultra-feedback,
    /// humaneval, mbpp, reward-bench-2; told from its first row if left out.
    #[arg(long, value_name = "NAME")]
    pub format: Option<Format>,
    /// Template of the prompt that answers are scored to, e.g. "Question: {{ prompt }}\nAnswer: "; as the model was trained.
    #[arg(long, default_value = "{{ prompt }}", value_name = "TEXT")]
    pub template: String,
    /// Draws intervals, and the items that a limit leaves.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

impl BenchmarkArgs {
    /// The settings that the arguments stand for.
    pub fn settings(&self, limit: Option<usize>) -> DataSettings {
        DataSettings { format: self.format, template: self.template.clone(), limit, seed: self.seed }
    }
}

/// What every measurement is told.
#[derive(Debug, ClapArgs)]
pub struct HowArgs {
    /// How a benchmark's rows are put to the model.
    #[command(flatten)]
    pub benchmark: BenchmarkArgs,
    /// What to compute on.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Leave the database alone: the result is printed only.
    #[arg(long)]
    pub no_db: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// A file that models are measured on.
#[derive(Debug, ClapArgs)]
pub struct FileArgs {
    /// A file or folder as published, of a kind that the metric is for: questions with samples, with options, or pairs.
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// At most so many items, drawn by chance.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// The rest.
    #[command(flatten)]
    pub how: HowArgs,
}

/// `codepmp eval accuracy`
#[derive(Debug, ClapArgs)]
pub struct AccuracyArgs {
    /// Folder of the model.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Where pairs are taken from; a benchmark's file that stands for pairs too (see --format).
    #[command(flatten)]
    pub data: DataArgs,
    /// Split to measure on; a plain file is one split.
    #[arg(long, default_value = "test", value_parser = ["train", "test", "all"])]
    pub split: String,
    /// The rest.
    #[command(flatten)]
    pub how: HowArgs,
}

/// `codepmp eval best-of-n`
#[derive(Debug, ClapArgs)]
pub struct BestOfNArgs {
    /// Folder of the model.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Samples of a generator: rows of id (or task_id) and samples, or one sample (or completion) a row.
    #[arg(long, value_name = "FILE")]
    pub samples: Option<PathBuf>,
    /// Questions: GSM8K, MATH, HumanEval, MBPP, or rows of prompt, samples and answer.
    #[command(flatten)]
    pub file: FileArgs,
}

/// `codepmp eval choice`
#[derive(Debug, ClapArgs)]
pub struct ChoiceArgs {
    /// Folder of the model.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Questions: ReClor or LogiQA 2.0, or rows of prompt, options and answer.
    #[command(flatten)]
    pub file: FileArgs,
}

/// `codepmp eval compare`
#[derive(Debug, ClapArgs)]
pub struct CompareArgs {
    /// Folders of the two models: `--model A --model B` gives A less B.
    #[arg(long, value_name = "DIR", required = true)]
    pub model: Vec<PathBuf>,
    /// What is compared.
    #[arg(long, value_enum, default_value = "accuracy")]
    pub metric: Metric,
    /// Samples of a generator, for best-of-n.
    #[arg(long, value_name = "FILE")]
    pub samples: Option<PathBuf>,
    /// What they are compared on.
    #[command(flatten)]
    pub file: FileArgs,
}

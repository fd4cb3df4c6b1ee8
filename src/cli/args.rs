//! Arguments as typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::eval_args::EvalCommand;
use super::training_args::{ScoreArgs, TrainArgs};
use crate::benchmark::Format;
use crate::ids::{BatchId, PairId, RunId};
use crate::nn::Preset;
use crate::simulate::Fault;
use crate::stages::ExportFormat;
use crate::stages::decontaminate::NamedSet;
use crate::store::budget::Caps;

/// Turns Python source into code-preference pairs with OpenAI-compatible models, and keeps every row in Postgres.
///
/// Exit codes: 0 done; 1 done with failed rows or a failed stage, or stopped by a cap; 2 the command or a file is wrong;
/// 130 interrupted.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
pub struct Args {
    /// Folder for the embedded database and whatever else is kept.
    #[arg(long, global = true, env = crate::env::DATA_DIR, default_value = ".codepmp", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a pipeline; what is done already is not done again.
    Run(RunArgs),
    /// Show the stages of a pipeline: their order, and which are fresh, partial or missing.
    Plan(PlanArgs),
    /// Check a pipeline file without touching a database or an endpoint.
    Validate {
        /// Pipeline file.
        file: PathBuf,
    },
    /// Print the JSON Schema of pipeline files.
    Schema,
    /// Show how a run stands; the latest if none is named.
    Status(StatusArgs),
    /// Ask rejected rows of a run's model stages again, then go on with the run.
    Retry(RetryArgs),
    /// Put a model stage's requests into files: for a provider's Batch API, or for vllm run-batch.
    Batch {
        /// What to do.
        #[command(subcommand)]
        command: BatchCommand,
    },
    /// Show a pair side by side, and where it comes from.
    Inspect {
        /// Identifier of the pair.
        pair: PairId,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Run a query, read-only.
    Sql(SqlArgs),
    /// Write the pairs of a pipeline or run to files.
    Export(ExportArgs),
    /// Write a run as one HTML page with every number beside it as JSON.
    Report(ReportArgs),
    /// List pairs that overlap with evaluation sets, as decontaminate stages found; or compare any pairs with sets now.
    Contamination(ContaminationArgs),
    /// Make a fresh model: a tokenizer learned from a corpus, and random weights.
    Init(InitArgs),
    /// Train a preference model on pairs: pretraining (pmp) or reward-model finetuning (rm).
    Train(Box<TrainArgs>),
    /// Give answers rewards.
    Score(ScoreArgs),
    /// Measure a model.
    Eval {
        /// What to measure.
        #[command(subcommand)]
        command: Box<EvalCommand>,
    },
    /// Start, stop and reach the embedded database.
    Db {
        /// What to do with it.
        #[command(subcommand)]
        command: DbCommand,
    },
    /// Serve a simulator of a model: no model, but answers made from real code.
    Simulate(SimulateArgs),
    /// Make a reasoning set: word problems with right and flawed solutions, for curves and best-of-N without a download.
    MakeBenchmark(MakeBenchmarkArgs),
    /// Write the pairs that a benchmark's file stands for to files of pairs, each with the lines that it comes from.
    ConvertBenchmark(ConvertBenchmarkArgs),
    /// Tell what the program finds on this machine.
    Doctor,
}

/// `codepmp make-benchmark`
#[derive(Debug, ClapArgs)]
pub struct MakeBenchmarkArgs {
    /// Folder for `pairs/train.jsonl`, `pairs/test.jsonl`, `samples.jsonl` and `questions.jsonl` (the same without samples).
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Decides everything.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Pairs to train on.
    #[arg(long, default_value_t = 2000, value_name = "N")]
    pub train: usize,
    /// Pairs to measure on.
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub test: usize,
    /// Questions with samples.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub questions: usize,
    /// Samples of each question.
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub samples: usize,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `codepmp convert-benchmark`
#[derive(Debug, ClapArgs)]
pub struct ConvertBenchmarkArgs {
    /// The benchmark's file or folder as published.
    pub file: PathBuf,
    /// Its format: math-shepherd, logiqa2, reclor, code-ultra-feedback, reward-bench-2, options or pairs; told from its
    /// first row if left out.
    #[arg(long, value_name = "NAME")]
    pub format: Option<Format>,
    /// Template of the prompt, e.g. "Question: {{ prompt }}\nAnswer: ".
    #[arg(long, value_name = "TEXT")]
    pub template: Option<String>,
    /// Folder for train.*, test.* and conversion.json, which tells what was left out.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Format of the files.
    #[arg(long = "as", value_enum, default_value = "jsonl", value_name = "FORMAT")]
    pub files: ExportFormat,
    /// Share of the prompts whose pairs are held out.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub test_share: f64,
    /// Decides which are held out.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `codepmp run`
#[derive(Debug, ClapArgs)]
pub struct RunArgs {
    /// Pipeline file.
    pub file: PathBuf,
    /// Only these stages.
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub select: Vec<String>,
    /// So many new rows in each stage, where there are as many; rejected rows do not count.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Check everything, endpoints too, and show the plan with its cost; do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print progress and summary as JSON lines.
    #[arg(long)]
    pub json: bool,
    /// What may be spent.
    #[command(flatten)]
    pub caps: CapArgs,
}

/// Caps on what the calls of the pipeline's stages cost, over all runs and processes on the database. What was spent before
/// counts, so the same command again, or in a second terminal, never spends more. At a cap, calls in flight are finished and
/// committed, the other rows stay to be done, and the exit code is 1. To spend no more than the cap, set `max_tokens`: an
/// answer without it is taken to be as long as the context allows, or 1024 tokens.
#[derive(Clone, Copy, Debug, Default, ClapArgs)]
pub struct CapArgs {
    /// At most so many dollars for the pipeline's stages as they are now, what they have spent before included.
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    pub max_cost: Option<f64>,
    /// At most so many tokens of prompts and answers, what was used before included.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    pub max_tokens: Option<i64>,
}

impl From<CapArgs> for Caps {
    fn from(args: CapArgs) -> Self {
        Self { tokens: args.max_tokens, microdollars: args.max_cost.map(|dollars| (dollars * 1e6).round() as i64) }
    }
}

fn dollars(text: &str) -> Result<f64, String> {
    let amount = text.trim_start_matches('$').parse::<f64>().map_err(|error| error.to_string())?;
    let known = (0.0..1e12).contains(&amount);
    known.then_some(amount).ok_or_else(|| "must be an amount of 0 or more".to_owned())
}

/// `codepmp plan`
#[derive(Debug, ClapArgs)]
pub struct PlanArgs {
    /// Pipeline file.
    pub file: PathBuf,
    /// Form of the output.
    #[arg(long, value_enum, default_value = "text")]
    pub format: PlanFormat,
}

/// Form of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// A table.
    Text,
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
    /// JSON.
    Json,
}

/// `codepmp status`
#[derive(Debug, ClapArgs)]
pub struct StatusArgs {
    /// Run; the latest if left out.
    pub run: Option<RunId>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Show it again every two seconds until the run ends.
    #[arg(long)]
    pub watch: bool,
}

/// `codepmp retry`
#[derive(Debug, ClapArgs)]
pub struct RetryArgs {
    /// Run.
    pub run: RunId,
    /// Only rejections of this class, e.g. truncated.
    #[arg(long)]
    pub class: Option<String>,
    /// Only these rejections, by `rejections.id`.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub rejection: Vec<i64>,
    /// What may be spent.
    #[command(flatten)]
    pub caps: CapArgs,
    /// Print progress and summary as JSON lines.
    #[arg(long)]
    pub json: bool,
}

/// `codepmp batch`
#[derive(Debug, Subcommand)]
pub enum BatchCommand {
    /// Write the rows that a stage has still to do into request files. Until they are imported or released, no run asks for
    /// them. Sizes and the price are the endpoint's setting `batch`.
    Export(BatchExportArgs),
    /// Upload the files of batches and have the provider start on them; all that are not submitted yet, if none is named.
    Submit(BatchArgs),
    /// Ask how batches stand; all that are not imported, if none is named.
    Status(BatchArgs),
    /// Bring answers in: of submitted batches that have ended, or from files that vllm run-batch or a provider made.
    Import {
        /// Which batches.
        #[command(flatten)]
        batches: BatchArgs,
        /// Result files, in any order, of any of the batches.
        #[arg(long, value_name = "FILE", num_args = 1..)]
        results: Vec<PathBuf>,
        /// With --results: there are no more. Requests that no line came for are to be done again.
        #[arg(long, requires = "results")]
        complete: bool,
    },
    /// Give batches up: rows without an answer are to be done again. Submitted ones are cancelled; what the provider has
    /// answered until then is paid for and can still be imported with --results.
    Release {
        /// Batches.
        #[arg(required = true, value_name = "BATCH")]
        batches: Vec<BatchId>,
    },
}

/// Batches by their numbers.
#[derive(Debug, ClapArgs)]
pub struct BatchArgs {
    /// Batches, by `batches.id`.
    #[arg(value_name = "BATCH")]
    pub batches: Vec<BatchId>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `codepmp batch export`
#[derive(Debug, ClapArgs)]
pub struct BatchExportArgs {
    /// Pipeline file.
    pub file: PathBuf,
    /// The model stage.
    #[arg(long)]
    pub stage: String,
    /// Folder for the files, which are kept until the batches are imported.
    #[arg(long, value_name = "DIR", default_value = "batches")]
    pub out: PathBuf,
    /// At most so many requests.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// What may be spent.
    #[command(flatten)]
    pub caps: CapArgs,
}

/// `codepmp sql`
#[derive(Debug, ClapArgs)]
pub struct SqlArgs {
    /// A query: select, with, values or table.
    pub query: String,
    /// Form of the output.
    #[arg(long, value_enum, default_value = "table")]
    pub format: SqlFormat,
}

/// Form of a query's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SqlFormat {
    /// Aligned columns, long values cut.
    Table,
    /// Comma-separated values.
    Csv,
    /// One JSON object a line.
    Json,
}

/// `codepmp export`
#[derive(Debug, ClapArgs)]
pub struct ExportArgs {
    /// Pipeline file or run.
    #[arg(value_name = "FILE|RUN")]
    pub source: String,
    /// File format.
    #[arg(long, value_enum, default_value = "jsonl")]
    pub format: ExportFormat,
    /// Folder for train.* and test.*
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Name of the pair stage, where the pipeline has several.
    #[arg(long)]
    pub stage: Option<String>,
}

/// `codepmp report`
#[derive(Debug, ClapArgs)]
pub struct ReportArgs {
    /// Pipeline file or run; the latest run if left out.
    #[arg(value_name = "FILE|RUN")]
    pub source: Option<String>,
    /// Folder for report.html and report.json.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `codepmp contamination`
#[derive(Debug, ClapArgs)]
pub struct ContaminationArgs {
    /// Pipeline file or run; the latest run if left out.
    #[arg(value_name = "FILE|RUN")]
    pub source: Option<String>,
    /// Compare with this file now, without a stage; behind a colon its format, e.g. math-500.jsonl:math. May be repeated.
    #[arg(long, value_name = "PATH[:FORMAT]", conflicts_with = "source")]
    pub set: Vec<NamedSet>,
    /// With --set: the pairs, as `train` takes them.
    #[arg(long, value_name = "SRC", default_value = "db", requires = "set")]
    pub data: String,
    /// With --set: format of --data, where it is a benchmark's file as published.
    #[arg(long, value_name = "NAME", requires = "set")]
    pub format: Option<Format>,
    /// At most so many overlaps, the largest first.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: i64,
    /// Print all of them as JSON lines.
    #[arg(long)]
    pub json: bool,
}

/// `codepmp init`
#[derive(Debug, ClapArgs)]
pub struct InitArgs {
    /// Size of the model.
    #[arg(long, value_enum)]
    pub preset: Preset,
    /// Folders, archives and files of Python source that the tokenizer learns from.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    pub corpus: Vec<String>,
    /// Folder of the model.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Tokens in the vocabulary, at most; the preset's if left out.
    #[arg(long, value_name = "N")]
    pub vocab: Option<usize>,
    /// Decides the weights.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `codepmp db`
#[derive(Debug, Subcommand)]
pub enum DbCommand {
    /// Start it and leave it running.
    Start,
    /// Stop it.
    Stop {
        /// Also while others use it.
        #[arg(long)]
        force: bool,
    },
    /// Print its URL, password included.
    Url,
    /// Open psql on it; further arguments go to psql.
    Psql {
        /// Arguments for psql.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Bring its tables up to this version.
    Migrate,
}

/// `codepmp simulate`
#[derive(Debug, ClapArgs)]
pub struct SimulateArgs {
    /// Folders, archives and files whose code the simulator knows.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    pub corpus: Vec<String>,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Another seed gives other answers.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Requests that each model admits in any 60 seconds.
    #[arg(long, value_name = "N")]
    pub rpm: Option<u32>,
    /// Tokens that each model admits in any 60 seconds.
    #[arg(long, value_name = "N")]
    pub tpm: Option<u32>,
    /// Mean time to an answer in milliseconds.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub latency: u64,
    /// Probability of a fault, e.g. 500=0.02; may be repeated.
    #[arg(long, value_name = "KIND=P")]
    pub fault: Vec<Fault>,
    /// Append a line of JSON for every request to this file.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Share of the weak model's answers that have bugs.
    #[arg(long, value_name = "SHARE")]
    pub weak_bug_share: Option<f64>,
    /// Share of the strong model's answers that have bugs.
    #[arg(long, value_name = "SHARE")]
    pub strong_bug_share: Option<f64>,
    /// Probability of each unidiomatic habit in a weak answer.
    #[arg(long, value_name = "SHARE")]
    pub weak_habit_share: Option<f64>,
    /// Probability of each unidiomatic habit in a strong answer.
    #[arg(long, value_name = "SHARE")]
    pub strong_habit_share: Option<f64>,
}

//! The command line: arguments as typed, commands, and everything that is printed.

mod args;
mod batch;
mod contamination;
mod convert_benchmark;
mod db;
mod doctor;
mod estimate;
mod eval;
mod eval_args;
mod init;
mod inspect;
mod make_benchmark;
mod output;
mod pipeline;
mod plan;
mod progress;
mod report;
mod run;
mod score;
mod simulate;
mod sql;
mod status;
mod summary;
mod table;
mod train;
mod training_args;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;

use self::args::{Args, Command};
use crate::config::ConfigError;
use crate::shutdown::INTERRUPTED;
use crate::stages::WrongInput;
use crate::store::{Store, StoreError};
use crate::telemetry::one_line;

/// How a command ended, as its exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Done,
    /// Some rows or a stage failed.
    Failed,
    /// The command or a file is wrong.
    Wrong,
    /// It was told to stop.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Wrong => 2,
            Exit::Interrupted => INTERRUPTED,
        })
    }
}

/// Reads the arguments, runs the command, prints what went wrong.
pub fn main() -> ExitCode {
    let args = Args::parse(); // ends with code 2 and a usage text if they are wrong
    crate::telemetry::start(std::io::stderr().is_terminal());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime did not start: {error}");
            return Exit::Failed.into();
        }
    };
    let ended = runtime.block_on(dispatch(args));
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            let wrong = error.chain().any(|cause| {
                cause.is::<ConfigError>()
                    || cause.is::<WrongInput>()
                    || matches!(cause.downcast_ref(), Some(StoreError::Missing { .. }))
            });
            eprintln!("error: {}", one_line(&error));
            if wrong { Exit::Wrong.into() } else { Exit::Failed.into() }
        }
    }
}

async fn dispatch(args: Args) -> anyhow::Result<Exit> {
    let Args { data_dir, command } = args;
    let open = || Store::open(&data_dir);
    match command {
        Command::Run(run) => run::run(run, &data_dir).await,
        Command::Plan(plan) => plan::plan(&plan, &data_dir).await,
        Command::Validate { file } => plan::validate(&file),
        Command::Schema => plan::schema(),
        Command::Status(status) => status::status(&status, &open().await?).await,
        Command::Retry(retry) => run::retry(retry, &data_dir).await,
        Command::Batch { command } => batch::batch(command, &open().await?).await,
        Command::Inspect { pair, json } => inspect::inspect(&open().await?, pair, json).await,
        Command::Sql(query) => sql::sql(&open().await?, &query).await,
        Command::Export(export) => pipeline::export(&open().await?, &export).await,
        Command::Report(args) => report::report(&open().await?, &args).await,
        Command::Contamination(args) if args.set.is_empty() => {
            contamination::contamination(&open().await?, &args).await
        }
        Command::Contamination(args) => contamination::compare(args, &data_dir).await,
        Command::Init(init) => init::init(init).await,
        Command::Train(train) => train::train(*train, &data_dir).await,
        Command::Score(score) => score::score(score, &data_dir).await,
        Command::Eval { command } => eval::eval(*command, &data_dir).await,
        Command::Db { command } => db::db(command, &data_dir).await,
        Command::Simulate(simulate) => simulate::simulate(simulate).await,
        Command::MakeBenchmark(args) => make_benchmark::make_benchmark(args).await,
        Command::ConvertBenchmark(args) => convert_benchmark::convert_benchmark(args).await,
        Command::Doctor => doctor::doctor(&data_dir).await,
    }
}

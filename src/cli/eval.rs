//! `eval`: measures one model.

use super::output::outln;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;

use super::Exit;
use super::train::choice;
use super::training_args::{AccuracyArgs, DeviceArgs, EvalCommand};
use crate::stages::WrongInput;
use crate::stages::training::{self, Computing, PairSource};
use crate::store::Store;
use crate::store::training::NewEvaluation;

/// `codepmp eval`
pub async fn eval(command: EvalCommand, data_dir: &Path) -> anyhow::Result<Exit> {
    match command {
        EvalCommand::Accuracy(args) => accuracy(args, data_dir).await,
    }
}

async fn accuracy(args: AccuracyArgs, data_dir: &Path) -> anyhow::Result<Exit> {
    let store = if args.no_db { None } else { Some(Store::open(data_dir).await?) };
    let source = PairSource::find(&args.data.data, args.data.stage.as_deref(), store.as_ref()).await?;
    let mut choice = choice(&args.data, &args.split, 0)?;
    let mut pairs = source.read(&choice).await?;
    // A file whose rows tell no split is a test set as it is.
    if pairs.is_empty() && matches!(&source, PairSource::Files(path) if path.is_file()) {
        choice.split = training::Split::All;
        pairs = source.read(&choice).await?;
    }
    if pairs.is_empty() {
        return Err(WrongInput(format!("{source} has no pairs in split {}", args.split)).into());
    }
    let pairs = Arc::new(pairs);
    let shutdown = crate::shutdown::on_signals().context("setting up Ctrl-C")?;
    let computing = computing(&args.device);
    let measured = training::accuracy(&args.model, &pairs, &computing, data_dir.to_owned(), &shutdown).await?;
    let Some(measured) = measured else { return Ok(Exit::Interrupted) };
    if let Some(store) = &store {
        let model = std::path::absolute(&args.model)?.to_string_lossy().into_owned();
        let training = store.training_that_made(&model).await?.map(|row| row.id);
        let data = source.to_string();
        store
            .write_evaluation(&NewEvaluation { training, model, data, data_mark: pairs.mark.clone(), ..measured.row() })
            .await?;
    }
    if args.json {
        outln!("{}", json!({ "event": "evaluation", "model": args.model, "evaluation": measured }));
    } else {
        outln!("{}", measured.brief());
    }
    Ok(Exit::Done)
}

/// What to compute on, as the arguments say.
pub fn computing(args: &DeviceArgs) -> Computing {
    Computing {
        device: args.device.clone(),
        threads: args.threads,
        max_length: args.max_length,
        micro_tokens: args.micro_tokens,
        ..Computing::default()
    }
}

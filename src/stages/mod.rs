//! The kinds of stage, one file each: settings, what they may stand on, and the glue to the layers below.
//!
//! The engine runs [`AnyStage`] without knowing its kinds; [`load`] turns a pipeline file into a checked plan.

pub mod batches;
mod chain;
pub mod convert;
mod curves;
pub mod decontaminate;
mod dedupe;
mod describe;
mod endpoints;
mod evaluate;
mod export;
mod filter;
mod forecast;
mod generate;
mod ingest;
mod judge;
mod load;
pub mod measuring;
mod pair;
mod parse;
mod preflight;
mod questions;
mod report;
mod rows;
mod schema;
mod source_answer;
mod train;
pub mod training;
mod wrong;

pub use endpoints::{Endpoint, Services, SimulatorSettings, build_simulator, read_corpus};
pub use export::{ExportFormat, export_pairs};
pub use forecast::{AnswerBasis, Forecast, PromptBasis, PromptCheck, Total, forecast, total};
pub use load::{Loaded, check, load};
pub use preflight::{Checked, Found, check_endpoints};
pub use rows::purse::{CapReached, dollars};
pub use schema::schema;
pub use training::WrongInput;

use std::path::Path;

use crate::engine::{Class, Context, Facets, Stage};

/// A stage of any kind.
#[derive(Debug)]
pub enum AnyStage {
    /// Reads sources into documents.
    Ingest(ingest::Ingest),
    /// Rejects documents by their signals.
    Filter(filter::Filter),
    /// Drops copies.
    Dedupe(dedupe::Dedupe),
    /// Cuts documents into snippets.
    Parse(parse::Parse),
    /// Has a model describe snippets.
    Describe(describe::Describe),
    /// Reads a benchmark's questions.
    Questions(questions::Questions),
    /// Has a model answer descriptions or questions.
    Generate(generate::Generate),
    /// Answers descriptions with the source itself.
    Source(source_answer::SourceAnswer),
    /// Joins two roles into pairs.
    Pair(pair::Pair),
    /// Has a model say which side of a pair is better.
    Judge(judge::Judge),
    /// Marks pairs that overlap with evaluation sets.
    Decontaminate(decontaminate::Decontaminate),
    /// Writes pairs to files.
    Export(export::Export),
    /// Trains a model on pairs.
    Train(train::Train),
    /// Measures models.
    Evaluate(evaluate::Evaluate),
    /// Finetunes on growing shares of a set.
    SampleEfficiency(curves::sample_efficiency::SampleEfficiency),
    /// Measures a pretraining by pairs seen.
    Scaling(curves::scaling::Scaling),
    /// Writes the run as one page.
    Report(report::Report),
}

/// Names of all kinds, in the order of a pipeline.
pub const KINDS: [&str; 17] = [
    "ingest",
    "filter",
    "dedupe",
    "parse",
    "describe",
    "questions",
    "generate",
    "source",
    "pair",
    "judge",
    "decontaminate",
    "export",
    "train",
    "evaluate",
    "sample_efficiency",
    "scaling",
    "report",
];

macro_rules! each {
    ($stage:expr, $inner:ident => $body:expr) => {
        match $stage {
            AnyStage::Ingest($inner) => $body,
            AnyStage::Filter($inner) => $body,
            AnyStage::Dedupe($inner) => $body,
            AnyStage::Parse($inner) => $body,
            AnyStage::Describe($inner) => $body,
            AnyStage::Questions($inner) => $body,
            AnyStage::Generate($inner) => $body,
            AnyStage::Source($inner) => $body,
            AnyStage::Pair($inner) => $body,
            AnyStage::Judge($inner) => $body,
            AnyStage::Decontaminate($inner) => $body,
            AnyStage::Export($inner) => $body,
            AnyStage::Train($inner) => $body,
            AnyStage::Evaluate($inner) => $body,
            AnyStage::SampleEfficiency($inner) => $body,
            AnyStage::Scaling($inner) => $body,
            AnyStage::Report($inner) => $body,
        }
    };
}

/// What one kind of stage says of itself.
trait Kind {
    /// See [`Stage::identity`].
    fn identity(&self) -> serde_json::Value;
    /// See [`Stage::check_needs`].
    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String>;
    /// See [`Stage::facets`].
    fn facets(&self) -> Facets {
        Facets::default()
    }
}

impl Stage for AnyStage {
    fn kind(&self) -> &'static str {
        match self {
            Self::Ingest(_) => "ingest",
            Self::Filter(_) => "filter",
            Self::Dedupe(_) => "dedupe",
            Self::Parse(_) => "parse",
            Self::Describe(_) => "describe",
            Self::Questions(_) => "questions",
            Self::Generate(_) => "generate",
            Self::Source(_) => "source",
            Self::Pair(_) => "pair",
            Self::Judge(_) => "judge",
            Self::Decontaminate(_) => "decontaminate",
            Self::Export(_) => "export",
            Self::Train(_) => "train",
            Self::Evaluate(_) => "evaluate",
            Self::SampleEfficiency(_) => "sample_efficiency",
            Self::Scaling(_) => "scaling",
            Self::Report(_) => "report",
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Ingest(_) | Self::Filter(_) | Self::Dedupe(_) | Self::Parse(_) => Class::Source,
            Self::Describe(_) | Self::Generate(_) | Self::Judge(_) => Class::Rows,
            Self::Questions(_)
            | Self::Source(_)
            | Self::Pair(_)
            | Self::Decontaminate(_)
            | Self::Export(_)
            | Self::Train(_)
            | Self::Evaluate(_)
            | Self::SampleEfficiency(_)
            | Self::Scaling(_)
            | Self::Report(_) => Class::Set,
        }
    }

    fn identity(&self) -> serde_json::Value {
        each!(self, kind => Kind::identity(kind))
    }

    fn facets(&self) -> Facets {
        each!(self, kind => Kind::facets(kind))
    }

    fn check_needs(&self, needs: &[(&str, &Self)]) -> Result<(), String> {
        each!(self, kind => Kind::check_needs(kind, needs))
    }

    async fn run(context: Context<Self>) -> anyhow::Result<()> {
        let stage = std::sync::Arc::clone(context.stage());
        match &stage.stage {
            Self::Describe(describe) => rows::run(&describe.work, context).await,
            Self::Generate(generate) => rows::run(&generate.work, context).await,
            Self::Questions(questions) => questions.run(context).await,
            Self::Source(source) => source.run(context).await,
            Self::Pair(pair) => pair.run(context).await,
            Self::Judge(judge) => judge.run(context).await,
            Self::Decontaminate(decontaminate) => decontaminate.run(context).await,
            Self::Export(export) => export.run(context).await,
            Self::Train(train) => train.run(context).await,
            Self::Evaluate(evaluate) => evaluate.run(context).await,
            Self::SampleEfficiency(curve) => curve.run(context).await,
            Self::Scaling(curve) => curve.run(context).await,
            Self::Report(report) => report.run(context).await,
            Self::Ingest(_) | Self::Filter(_) | Self::Dedupe(_) | Self::Parse(_) => chain::run(context).await,
        }
    }
}

/// The one stage that another stands on, if it is of a kind that `allowed` accepts.
fn only_need<'s>(needs: &[(&str, &'s AnyStage)], allowed: &[&str]) -> Result<&'s AnyStage, String> {
    match needs {
        [(_, stage)] if allowed.contains(&stage.kind()) => Ok(stage),
        [(name, stage)] => {
            Err(format!("it cannot stand on `{name}`, a {} stage; allowed: {}", stage.kind(), allowed.join(", ")))
        }
        _ => Err(format!("it needs exactly one stage, of kind {}", allowed.join(" or "))),
    }
}

/// Paths in a pipeline file are relative to its folder.
fn resolve(base: &Path, path: &str) -> std::path::PathBuf {
    base.join(path)
}

//! A run as one page: what was made, how good it is, what was measured, with every number beside it as JSON.
//!
//! ```text
//! store ── gather ── Report ──┬── report.json
//!                             └── page (tables, plots, differences) ── report.html
//! ```
//!
//! Invariants: the page shows nothing that is not in [`Report`]; it asks for nothing from outside and runs no script;
//! whatever models, repositories and people wrote is escaped by the template engine, never by hand. Measuring is left to
//! `eval`, counting to `store`.

mod card;
pub mod coverage;
mod curves;
mod difference;
mod gather;
mod judge;
mod measured;
mod page;
mod plot;
mod quality;
mod results;
mod size;

pub use card::{CardFacts, DatasetFile, card};
pub use gather::gather;
pub use judge::{JudgeAgreement, judges};
pub use size::thousands;

use std::path::{Path, PathBuf};

use serde::Serialize;

use self::coverage::Uncovered;
use self::curves::Curve;
use self::measured::{Compared, Measured};
use self::quality::Quality;
use crate::ids::StageId;
use crate::store::contamination::{Contamination, ContaminationFigure, ReferenceSet};
use crate::store::export::PairRow;
use crate::store::query::Figures;
use crate::store::report::{CurveDifference, CurvePoint, Evaluation, FailedCalls, StageFacts, Training, Usage};
use crate::store::runs::RunRow;

/// Everything that is told of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The run.
    pub run: RunRow,
    /// The pipeline file as it was.
    pub definition: String,
    /// Versions of the program and the database.
    pub versions: Versions,
    /// Its stages.
    pub stages: Vec<StageFacts>,
    /// Rows by kind, rejections by class.
    pub figures: Figures,
    /// Calls, tokens and costs, those of earlier runs of the same stages too.
    pub usage: Vec<Usage>,
    /// Failed calls by class.
    pub failed_calls: Vec<FailedCalls>,
    /// Pairs, by pair stage.
    pub pairs: Vec<PairSet>,
    /// Trainings.
    pub trainings: Vec<Training>,
    /// Their curves.
    pub training_curves: Vec<CurvePoint>,
    /// Every measurement.
    pub evaluations: Vec<Evaluation>,
    /// Final measurements, models that differ by their seed alone together.
    pub measured: Vec<Measured>,
    /// Trainings beside the baselines of their evaluate stages.
    pub compared: Vec<Compared>,
    /// Files that models were measured on, and their pairs not compared with.
    pub uncovered: Vec<Uncovered>,
    /// Curves over measurements: best-of-N, sample efficiency, scaling.
    pub curves: Vec<Curve>,
    /// How the arms of curves that stages have drawn differ, place by place.
    pub curve_differences: Vec<CurveDifference>,
}

/// What made it.
#[derive(Debug, Serialize)]
pub struct Versions {
    /// Of this program, which wrote the report; the run has its own.
    pub codepmp: &'static str,
    /// Of the database, in its own words.
    pub postgres: String,
}

/// The pairs of one stage.
#[derive(Debug, Serialize)]
pub struct PairSet {
    /// The pair stage.
    pub stage: StageId,
    /// Its name.
    pub name: String,
    /// How good they are.
    pub quality: Quality,
    /// What judge models say of them, by judge stage.
    pub judges: Vec<JudgeAgreement>,
    /// Overlap with evaluation sets; none if no stage looked.
    pub contamination: Option<ContaminationFacts>,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// Overlap of pairs with evaluation sets.
#[derive(Debug, Serialize)]
pub struct ContaminationFacts {
    /// The sets.
    pub sets: Vec<ReferenceSet>,
    /// Pairs with any overlap.
    pub pairs: u64,
    /// By set, text and class.
    pub figures: Vec<ContaminationFigure>,
    /// The largest overlaps.
    pub largest: Vec<Contamination>,
}

/// A pair, and where it comes from.
#[derive(Debug, Serialize)]
pub struct Example {
    /// The pair.
    pub pair: PairRow,
    /// Its line of `pair_lineage`.
    pub lineage: serde_json::Value,
}

/// What keeps a report from being written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file or folder.
    #[error("writing {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The template, which is part of the program.
    #[error("a bug: the page's template: {0}")]
    Template(#[from] minijinja::Error),
    /// A drawing.
    #[error("a bug: a plot could not be drawn: {0}")]
    Plot(String),
    /// The JSON.
    #[error("a bug: the report is no JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Writes `report.html` and `report.json` into `out`, each under its name when it is whole.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(report: &Report, out: &Path) -> Result<(), ReportError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ReportError::Write { path, source }
    };
    std::fs::create_dir_all(out).map_err(failed(out))?;
    let json = serde_json::to_string_pretty(report)?;
    let page = page::render(report)?;
    for (name, content) in [("report.json", json), ("report.html", page)] {
        let path = out.join(name);
        let partial = out.join(format!("{name}.partial"));
        std::fs::write(&partial, content).map_err(failed(&partial))?;
        std::fs::rename(&partial, &path).map_err(failed(&path))?;
    }
    Ok(())
}

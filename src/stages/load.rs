//! From a pipeline file to a checked plan.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::batches::work_of;
use super::curves::{sample_efficiency::SampleEfficiency, scaling::Scaling};
use super::endpoints::{Endpoint, Endpoints, SimulatorSettings};
use super::wrong::Wrong;
use super::{
    AnyStage, KINDS, decontaminate, dedupe, describe, evaluate, export, filter, generate, ingest, judge, pair, parse,
    questions, report, source_answer, train,
};
use crate::config::{ConfigError, Pipeline, Problem, Section, StageEntry};
use crate::engine::{Plan, Planned, Stage as _};
use crate::llm::{EndpointSettings, Limits};
use crate::report::coverage::{self, Uncovered};

/// A pipeline that passed every check that needs no network and no database.
#[derive(Debug)]
pub struct Loaded {
    /// The file.
    pub pipeline: Pipeline,
    /// Its stages, in order.
    pub plan: Plan<AnyStage>,
    /// Its simulators.
    pub simulators: BTreeMap<String, SimulatorSettings>,
}

impl Loaded {
    /// Files that stages measure on without a comparison with the pairs behind their models.
    pub fn uncovered(&self) -> Vec<Uncovered> {
        let settings: Vec<_> = self.plan.stages.iter().map(|planned| planned.stage.identity()).collect();
        let stage = |(planned, settings)| {
            let planned: &Planned<AnyStage> = planned;
            let needs = planned.needs.iter().map(|&need| self.plan.stages[need].name.as_str()).collect();
            coverage::Stage { name: &planned.name, kind: planned.stage.kind(), settings, needs }
        };
        let stages: Vec<_> = self.plan.stages.iter().map(AsRef::as_ref).zip(&settings).map(stage).collect();
        coverage::uncovered(&stages, &self.pipeline.base())
    }

    /// The endpoints that the stages called `names` ask; of all stages if there are no names.
    pub fn endpoints_of(&self, names: &[String]) -> Vec<Arc<Endpoint>> {
        let mut used: BTreeMap<&str, &Arc<Endpoint>> = BTreeMap::new();
        for planned in self.plan.stages.iter().filter(|stage| names.is_empty() || names.contains(&stage.name)) {
            if let Some(work) = work_of(&planned.stage) {
                used.insert(&work.endpoint.name, &work.endpoint);
            }
        }
        used.into_values().cloned().collect()
    }
}

/// Reads and checks a pipeline file.
///
/// # Errors
/// All problems at once, each with line and column, and what is allowed.
pub fn load(file: &Path) -> Result<Loaded, ConfigError> {
    check(Pipeline::load(file)?)
}

/// Checks a pipeline whose shape is right.
///
/// # Errors
/// As [`load`].
pub fn check(pipeline: Pipeline) -> Result<Loaded, ConfigError> {
    let mut problems = Vec::new();
    let mut simulators = BTreeMap::new();
    for section in &pipeline.simulators {
        match section.parse::<SimulatorSettings>(&pipeline.text) {
            Ok(settings) => match settings.check() {
                Ok(()) => {
                    simulators.insert(section.name.clone(), settings);
                }
                Err(error) => problems.push(pipeline.problem(&section.span, error.to_string())),
            },
            Err(problem) => problems.push(problem),
        }
    }
    let mut declared: Vec<(&Section, EndpointSettings)> = Vec::new();
    for section in &pipeline.endpoints {
        let settings = match section.parse::<EndpointSettings>(&pipeline.text) {
            Ok(settings) => settings,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let at = |key: &str| section.span_of(&pipeline.text, key);
        if let Err(error) = settings.check() {
            problems.push(pipeline.problem(&at(error.key), format!("endpoint `{}`: {error}", section.name)));
        }
        if let Some(name) = settings.simulator.as_ref().filter(|name| !simulators.contains_key(*name)) {
            let known = simulators.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let message = format!("there is no simulator `{name}`; simulators are: {known}");
            problems.push(pipeline.problem(&at("simulator"), message));
        }
        declared.push((section, settings));
    }
    let endpoints = endpoints(&pipeline, declared, &mut problems);
    let mut stages = Vec::new();
    for entry in &pipeline.stages {
        match stage(&pipeline, entry, &endpoints) {
            Ok(stage) => stages.push(stage),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(pipeline.error(problems));
    }
    let plan = Plan::new(&pipeline, stages)?;
    let problems = unmarked(&pipeline, &plan);
    if !problems.is_empty() {
        return Err(pipeline.error(problems));
    }
    debug_assert!(plan.stages.iter().all(|planned| KINDS.contains(&planned.stage.kind())));
    Ok(Loaded { pipeline, plan, simulators })
}

/// Stages that train and would not wait for the marks that a decontaminate stage makes on their pairs.
fn unmarked(pipeline: &Pipeline, plan: &Plan<AnyStage>) -> Vec<Problem> {
    let kind = |at: usize| plan.stages[at].stage.kind();
    let marking = (0..plan.stages.len()).filter(|&at| kind(at) == "decontaminate");
    let mut problems = Vec::new();
    for marks in marking {
        for train in plan.stages.iter().filter(|stage| ["train", "sample_efficiency"].contains(&stage.stage.kind())) {
            let on_the_same = plan.stages[marks].needs.iter().any(|pairs| train.needs.contains(pairs));
            if !on_the_same || train.needs.contains(&marks) {
                continue;
            }
            let (name, marks) = (&train.name, &plan.stages[marks].name);
            let message = format!("stage `{name}` trains on pairs that `{marks}` marks: add `{marks}` to its needs");
            let section = pipeline.stages.iter().find(|entry| entry.section.name == *name);
            problems.extend(section.map(|entry| pipeline.problem(&entry.section.span, message)));
        }
    }
    problems
}

/// Endpoints, each with the limits of its account, which all endpoints of the account state together.
fn endpoints(
    pipeline: &Pipeline,
    declared: Vec<(&Section, EndpointSettings)>,
    problems: &mut Vec<Problem>,
) -> Endpoints {
    let mut accounts: BTreeMap<String, (&str, Limits)> = BTreeMap::new();
    for (section, settings) in &declared {
        let Some(name) = settings.account_name() else { continue };
        let (first, limits) = accounts.entry(name.clone()).or_insert((&section.name, settings.limits()));
        match limits.joined(&settings.limits()) {
            Ok(joined) => *limits = joined,
            Err((key, theirs, ours)) => {
                let message = format!(
                    "endpoint `{}`: `{key}` is {ours}, but {theirs} for endpoint `{first}`, which is of the same account \
                     ({name}): state it alike or once, or give one of them an `account` of its own",
                    section.name
                );
                problems.push(pipeline.problem(&section.span_of(&pipeline.text, key), message));
            }
        }
    }
    let endpoint = |(section, settings): (&Section, EndpointSettings)| {
        let shared = settings.account_name().and_then(|name| accounts.get(&name));
        let limits = shared.map_or_else(|| settings.limits(), |(_, limits)| *limits);
        (section.name.clone(), Endpoint::new(section.name.clone(), settings, limits))
    };
    declared.into_iter().map(endpoint).collect()
}

fn stage(pipeline: &Pipeline, entry: &StageEntry, endpoints: &Endpoints) -> Result<AnyStage, Problem> {
    fn settings<T: DeserializeOwned>(pipeline: &Pipeline, entry: &StageEntry) -> Result<T, Problem> {
        entry.section.parse(&pipeline.text)
    }
    let (name, base) = (&entry.section.name, pipeline.base());
    let needs: Vec<&str> = entry.needs.iter().map(|(need, _)| need.as_str()).collect();
    let wrong = |Wrong { key, message, offset }: Wrong| {
        let span = match offset {
            Some(offset) => entry.section.span_in(&pipeline.text, key, offset),
            None => entry.section.span_of(&pipeline.text, key),
        };
        pipeline.problem(&span, format!("stage `{name}`: {key}: {message}"))
    };
    let at = |error: (&'static str, String)| wrong(error.into());
    Ok(match entry.kind.0.as_str() {
        "ingest" => AnyStage::Ingest(ingest::Ingest::new(settings(pipeline, entry)?, base).map_err(at)?),
        "filter" => AnyStage::Filter(filter::Filter::new(settings(pipeline, entry)?).map_err(at)?),
        "dedupe" => AnyStage::Dedupe(dedupe::Dedupe::new(settings(pipeline, entry)?).map_err(at)?),
        "parse" => AnyStage::Parse(parse::Parse::new(settings(pipeline, entry)?).map_err(at)?),
        "describe" => {
            AnyStage::Describe(describe::Describe::new(settings(pipeline, entry)?, endpoints).map_err(wrong)?)
        }
        "questions" => AnyStage::Questions(questions::Questions::new(settings(pipeline, entry)?, base).map_err(at)?),
        "generate" => {
            let kind =
                |need: &&str| pipeline.stages.iter().find(|other| other.section.name == **need).map(|it| &it.kind.0);
            let asks_questions = needs.iter().any(|need| kind(need).is_some_and(|kind| kind == "questions"));
            let settings = settings(pipeline, entry)?;
            AnyStage::Generate(generate::Generate::new(name, settings, asks_questions, endpoints).map_err(wrong)?)
        }
        "source" => AnyStage::Source(source_answer::SourceAnswer::new(name, settings(pipeline, entry)?)),
        "pair" => AnyStage::Pair(pair::Pair::new(settings(pipeline, entry)?, pipeline.seed, &needs).map_err(wrong)?),
        "judge" => {
            AnyStage::Judge(judge::Judge::new(settings(pipeline, entry)?, pipeline.seed, endpoints).map_err(wrong)?)
        }
        "decontaminate" => {
            AnyStage::Decontaminate(decontaminate::Decontaminate::new(settings(pipeline, entry)?, base).map_err(at)?)
        }
        "export" => AnyStage::Export(export::Export::new(settings(pipeline, entry)?, base).map_err(at)?),
        "train" => AnyStage::Train(train::Train::new(settings(pipeline, entry)?, base, &needs).map_err(at)?),
        "evaluate" => {
            AnyStage::Evaluate(evaluate::Evaluate::new(settings(pipeline, entry)?, base, &needs).map_err(at)?)
        }
        "sample_efficiency" => {
            AnyStage::SampleEfficiency(SampleEfficiency::new(settings(pipeline, entry)?, base, &needs).map_err(at)?)
        }
        "scaling" => AnyStage::Scaling(Scaling::new(settings(pipeline, entry)?, base).map_err(at)?),
        "report" => AnyStage::Report(report::Report::new(settings(pipeline, entry)?, base).map_err(at)?),
        other => {
            let message = format!("there is no kind `{other}`; kinds are: {}", KINDS.join(", "));
            return Err(pipeline.problem(&entry.kind.1, message));
        }
    })
}

//! The DAG: stages in an order that respects their needs, cycles and unknown names refused by position.

use std::collections::HashMap;
use std::sync::Arc;

use super::fingerprint::fingerprint;
use super::stage::{Class, Stage};
use crate::config::{ConfigError, Pipeline, Problem};

/// Why there is no plan.
pub type PlanError = ConfigError;

/// A stage in its place.
#[derive(Debug)]
pub struct Planned<S> {
    /// Name in the pipeline file.
    pub name: String,
    /// Kind and settings.
    pub stage: S,
    /// Positions in [`Plan::stages`] of what it needs, in the order of `needs`.
    pub needs: Vec<usize>,
    /// See [`fingerprint`].
    pub fingerprint: String,
}

/// All stages of a pipeline, each after what it needs.
#[derive(Debug)]
pub struct Plan<S> {
    /// In an order that respects needs; ties in the order of the file.
    pub stages: Vec<Arc<Planned<S>>>,
    /// Positions of the stages that run together, each group a chain of source stages or one other stage.
    pub groups: Vec<Vec<usize>>,
}

impl<S: Stage> Plan<S> {
    /// Orders `stages`, which stand in the order of the file's list.
    ///
    /// # Errors
    /// Unknown names, cycles, and needs that a kind does not accept, each at its place in the file.
    pub fn new(pipeline: &Pipeline, stages: Vec<S>) -> Result<Self, PlanError> {
        let order = order(pipeline)?;
        let names: HashMap<&str, usize> =
            order.iter().enumerate().map(|(at, &entry)| (pipeline.stages[entry].section.name.as_str(), at)).collect();
        let mut stages: Vec<Option<S>> = stages.into_iter().map(Some).collect();
        let mut problems = Vec::new();
        let mut planned: Vec<Arc<Planned<S>>> = Vec::with_capacity(order.len());
        for &entry in &order {
            let source = &pipeline.stages[entry];
            let Some(stage) = stages[entry].take() else { continue };
            let needs: Vec<usize> = source.needs.iter().map(|(need, _)| names[need.as_str()]).collect();
            let on: Vec<_> = needs.iter().map(|&at| (planned[at].name.as_str(), &planned[at].stage)).collect();
            if let Err(message) = stage.check_needs(&on) {
                let name = &source.section.name;
                problems.push(pipeline.problem(&source.section.span, format!("stage `{name}`: {message}")));
            }
            let prints: Vec<_> =
                needs.iter().map(|&at| (planned[at].name.as_str(), planned[at].fingerprint.as_str())).collect();
            // Names of needs count only where a kind refers to them, so that renaming a stage makes nothing stale.
            let prints: Vec<_> = prints.iter().map(|(_, print)| ("", *print)).collect();
            let fingerprint = fingerprint(stage.kind(), &stage.identity(), &prints);
            planned.push(Arc::new(Planned { name: source.section.name.clone(), stage, needs, fingerprint }));
        }
        if !problems.is_empty() {
            return Err(pipeline.error(problems));
        }
        let groups = groups(&planned);
        Ok(Self { stages: planned, groups })
    }

    /// Position of the stage called `name`.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.stages.iter().position(|stage| stage.name == name)
    }

    /// Everything that `at` stands on, itself excluded, nearest last.
    pub fn ancestors(&self, at: usize) -> Vec<usize> {
        let mut found = vec![false; self.stages.len()];
        let mut open = self.stages[at].needs.clone();
        while let Some(next) = open.pop() {
            if !std::mem::replace(&mut found[next], true) {
                open.extend(&self.stages[next].needs);
            }
        }
        (0..found.len()).filter(|&at| found[at]).collect()
    }
}

/// Entries of the file in an order that respects needs (Kahn's algorithm; ties in the order of the file).
fn order(pipeline: &Pipeline) -> Result<Vec<usize>, PlanError> {
    let entries = &pipeline.stages;
    let names: HashMap<&str, usize> =
        entries.iter().enumerate().map(|(at, entry)| (entry.section.name.as_str(), at)).collect();
    let mut problems: Vec<Problem> = Vec::new();
    let mut needs: Vec<Vec<usize>> = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut known = Vec::new();
        for (need, span) in &entry.needs {
            match names.get(need.as_str()) {
                Some(&at) => known.push(at),
                None => {
                    let mut all: Vec<_> = names.keys().copied().filter(|name| *name != entry.section.name).collect();
                    all.sort_by_key(|name| names[name]);
                    let message = format!("there is no stage `{need}`; stages are: {}", all.join(", "));
                    problems.push(pipeline.problem(span, message));
                }
            }
        }
        needs.push(known);
    }
    if !problems.is_empty() {
        return Err(pipeline.error(problems));
    }
    let mut order: Vec<usize> = Vec::with_capacity(entries.len());
    let mut placed = vec![false; entries.len()];
    while let Some(next) = (0..entries.len()).find(|&at| !placed[at] && needs[at].iter().all(|&need| placed[need])) {
        placed[next] = true;
        order.push(next);
    }
    let Some(start) = placed.iter().position(|placed| !placed) else { return Ok(order) };
    // Every stage that is left needs one that is left: walking along needs comes round.
    let mut path = vec![start];
    loop {
        let last = path[path.len() - 1];
        let next = needs[last].iter().copied().find(|&need| !placed[need]).unwrap_or(last);
        if let Some(at) = path.iter().position(|&seen| seen == next) {
            let cycle: Vec<_> = path[at..].iter().chain([&next]).map(|&at| entries[at].section.name.as_str()).collect();
            let span = entries[last].needs.iter().find(|(need, _)| *need == entries[next].section.name);
            let span = span.map_or(&entries[last].section.span, |(_, span)| span);
            let message = format!("stages need each other in a circle: {}", cycle.join(" -> "));
            return Err(pipeline.error(vec![pipeline.problem(span, message)]));
        }
        path.push(next);
    }
}

/// Joins each source stage to the one that it alone follows.
fn groups<S: Stage>(stages: &[Arc<Planned<S>>]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (at, planned) in stages.iter().enumerate() {
        let joins = planned.stage.class() == Class::Source
            && planned.needs.len() == 1
            && stages[planned.needs[0]].stage.class() == Class::Source
            && stages
                .iter()
                .filter(|other| other.stage.class() == Class::Source && other.needs.contains(&planned.needs[0]))
                .count()
                == 1;
        match groups.iter_mut().find(|group| joins && group.last() == planned.needs.first()) {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    groups
}

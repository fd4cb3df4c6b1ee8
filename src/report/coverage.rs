//! Evaluation files that pairs are measured on without having been compared with: whether a model has seen the answers is
//! then not known.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

/// A stage, as far as it matters here.
#[derive(Clone, Debug)]
pub struct Stage<'s> {
    /// Name.
    pub name: &'s str,
    /// Kind.
    pub kind: &'s str,
    /// The settings that identify it.
    pub settings: &'s Value,
    /// Names of the stages that it needs.
    pub needs: Vec<&'s str>,
}

/// A file that a stage measures on, and that the pairs behind its models were not compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Uncovered {
    /// The stage that measures.
    pub stage: String,
    /// The file, as the stage has it.
    pub file: String,
    /// The pair stage.
    pub pairs: String,
    /// Decontaminate stages that compare these pairs with other sets.
    pub compared_by: Vec<String>,
}

impl fmt::Display for Uncovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, file, pairs, compared_by } = self;
        write!(f, "stage `{stage}` measures on {file}, which the pairs of `{pairs}` are not compared with: ")?;
        match &compared_by[..] {
            [] => write!(f, "a decontaminate stage would find overlaps"),
            [first, ..] => write!(f, "add it to the `sets` of `{first}`"),
        }
    }
}

/// All such files. `base` is the folder that paths are relative to.
pub fn uncovered(stages: &[Stage<'_>], base: &Path) -> Vec<Uncovered> {
    let mut found = Vec::new();
    for stage in stages {
        let behind = ancestors(stages, stage);
        let mut files = measured_on(stage);
        if stage.kind == "evaluate" {
            // Answers that a model gave to questions of a file.
            let asked = stages.iter().filter(|other| other.kind == "questions" && behind.contains(other.name));
            files.extend(asked.filter_map(|other| other.settings["data"].as_str()));
        }
        for pairs in stages.iter().filter(|other| other.kind == "pair" && behind.contains(other.name)) {
            let marking =
                || stages.iter().filter(|other| other.kind == "decontaminate" && other.needs.contains(&pairs.name));
            let sets: Vec<PathBuf> = marking().flat_map(sets).map(|path| plain(&base.join(path))).collect();
            for file in &files {
                let path = plain(&base.join(file));
                if !sets.iter().any(|set| path.starts_with(set)) {
                    found.push(Uncovered {
                        stage: stage.name.to_owned(),
                        file: (*file).to_owned(),
                        pairs: pairs.name.to_owned(),
                        compared_by: marking().map(|other| other.name.to_owned()).collect(),
                    });
                }
            }
        }
    }
    found
}

/// The files that a stage measures models on.
fn measured_on<'s>(stage: &Stage<'s>) -> Vec<&'s str> {
    let fields: &[&str] = match stage.kind {
        "evaluate" | "scaling" => &["data"],
        "sample_efficiency" => &["data", "best_of_n"],
        _ => &[],
    };
    fields.iter().filter_map(|field| stage.settings[*field].as_str()).collect()
}

/// The files that a decontaminate stage compares with.
fn sets<'s>(stage: &Stage<'s>) -> Vec<&'s str> {
    let sets = stage.settings["sets"].as_array();
    sets.into_iter().flatten().filter_map(|set| set["path"].as_str()).collect()
}

/// Names of all stages that one stands on.
fn ancestors<'s>(stages: &[Stage<'s>], of: &Stage<'s>) -> BTreeSet<&'s str> {
    let (mut found, mut open) = (BTreeSet::new(), of.needs.clone());
    while let Some(name) = open.pop() {
        if found.insert(name) {
            open.extend(stages.iter().filter(|stage| stage.name == name).flat_map(|stage| stage.needs.iter().copied()));
        }
    }
    found
}

/// The path without `.` and `..`, by its words alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_that_models_are_measured_on_is_named_unless_their_pairs_are_compared_with_it() {
        let none = json!({});
        let (set, other) =
            (json!({ "sets": [{ "name": "m", "path": "../bench/math" }] }), json!({ "data": "own.jsonl" }));
        let math = json!({ "data": "./../bench/math/test.jsonl" });
        let shares = json!({ "data": null, "best_of_n": "q.jsonl" });
        let asked = json!({ "data": "asked.jsonl" });
        let stage =
            |name, kind, settings, needs: &[&'static str]| Stage { name, kind, settings, needs: needs.to_vec() };
        let mut stages = vec![
            stage("pairs", "pair", &none, &[]),
            stage("clean", "decontaminate", &set, &["pairs"]),
            stage("pmp", "train", &none, &["pairs", "clean"]),
            stage("reward", "train", &none, &["pmp"]),
            stage("math", "evaluate", &math, &["reward"]),
            stage("own", "evaluate", &other, &["reward"]),
            stage("shares", "sample_efficiency", &shares, &["pmp"]),
            stage("questions", "questions", &asked, &[]),
            stage("answers", "generate", &none, &["questions"]),
            stage("best", "evaluate", &none, &["reward", "answers"]),
            stage("foreign", "train", &none, &[]),
            stage("elsewhere", "evaluate", &other, &["foreign"]),
        ];
        let base = Path::new("/srv/pipelines");
        let found = uncovered(&stages, base);
        let brief: Vec<_> = found.iter().map(|one| (one.stage.as_str(), one.file.as_str())).collect();
        assert_eq!(brief, [("own", "own.jsonl"), ("shares", "q.jsonl"), ("best", "asked.jsonl")]);
        let said = found[0].to_string();
        assert!(
            said.ends_with("the pairs of `pairs` are not compared with: add it to the `sets` of `clean`"),
            "{said}"
        );
        stages.remove(1);
        let found = uncovered(&stages, base);
        assert_eq!(found.iter().map(|one| one.stage.as_str()).collect::<Vec<_>>(), ["math", "own", "shares", "best"]);
        assert!(found[0].to_string().contains("a decontaminate stage would find overlaps"));
    }
}

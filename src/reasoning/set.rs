//! The files of a set: pairs to train on, pairs to measure on, and questions with samples.

use std::collections::HashSet;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Problem, flawed, right};

/// How large a set is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetSettings {
    /// Decides everything.
    pub seed: u64,
    /// Pairs in `train.jsonl`, each of a problem of its own.
    pub train: usize,
    /// Pairs in `test.jsonl`.
    pub test: usize,
    /// Questions in `samples.jsonl`, and without samples in `questions.jsonl`.
    pub questions: usize,
    /// Samples of each question.
    pub samples: usize,
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct Counts {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Share of samples with the right answer.
    pub right: f64,
}

/// A set that cannot be made or written.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// More problems are wanted than can be told apart.
    #[error("no {wanted} different problems were found: ask for fewer")]
    TooMany {
        /// How many are wanted.
        wanted: usize,
    },
    /// A file cannot be written.
    #[error("writing {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// Problems and solutions, each problem once.
struct Maker {
    random: StdRng,
    seen: HashSet<String>,
    wanted: usize,
}

impl Maker {
    fn problem(&mut self) -> Result<Problem, SetError> {
        for _ in 0..10_000 {
            let problem = Problem::draw(&mut self.random);
            if self.seen.insert(problem.question.clone()) {
                return Ok(problem);
            }
        }
        Err(SetError::TooMany { wanted: self.wanted })
    }

    fn pair(&mut self, id: usize, split: &str) -> Result<Value, SetError> {
        let problem = self.problem()?;
        let chosen = right(&problem, &mut self.random);
        let rejected = flawed(&problem, &mut self.random).0;
        Ok(json!({ "id": id, "prompt": prompt(&problem), "chosen": chosen, "rejected": rejected, "split": split,
                   "repository": "reasoning" }))
    }

    /// A question, and how many of its samples are right: its difficulty is drawn too.
    fn question(&mut self, id: usize, samples: usize) -> Result<(Value, Value, usize), SetError> {
        let problem = self.problem()?;
        let skill = self.random.random_range(0.1..0.7);
        let (mut texts, mut good) = (Vec::new(), 0);
        for _ in 0..samples {
            if self.random.random_bool(skill) {
                good += 1;
                texts.push(right(&problem, &mut self.random));
            } else {
                texts.push(flawed(&problem, &mut self.random).0);
            }
        }
        let row = json!({ "id": format!("reasoning-{id}"), "prompt": prompt(&problem), "samples": texts,
                          "answer": problem.answer().to_string(), "compare": "number" });
        // To be asked anew: with the bare question, as a pipeline has templates of its own.
        let bare = json!({ "id": row["id"], "prompt": problem.question, "answer": row["answer"], "compare": "number" });
        Ok((row, bare, good))
    }
}

/// As the pairs of the pipelines are put.
fn prompt(problem: &Problem) -> String {
    format!("### Instruction:\n{}\n\n### Response:\n", problem.question)
}

/// Writes `pairs/train.jsonl`, `pairs/test.jsonl`, `samples.jsonl` and `questions.jsonl` below `folder`, each whole or not at all.
///
/// # Errors
/// When there are not enough different problems, or the disk fails.
pub fn write(folder: &Path, settings: &SetSettings) -> Result<Counts, SetError> {
    let wanted = settings.train + settings.test + settings.questions;
    let mut maker = Maker { random: StdRng::seed_from_u64(settings.seed), seen: HashSet::new(), wanted };
    let test: Vec<_> = (0..settings.test).map(|id| maker.pair(id, "test")).collect::<Result<_, _>>()?;
    let mut good = 0;
    let (mut samples, mut questions) = (Vec::new(), Vec::new());
    for id in 0..settings.questions {
        let (row, bare, right) = maker.question(id, settings.samples)?;
        good += right;
        samples.push(row);
        questions.push(bare);
    }
    // Last, so that more pairs to train on leave the held-out parts as they are.
    let train = (0..settings.train).map(|id| maker.pair(settings.test + id, "train")).collect::<Result<_, _>>()?;
    let mut files = Vec::new();
    let all = [
        ("pairs/train.jsonl", train),
        ("pairs/test.jsonl", test),
        ("samples.jsonl", samples),
        ("questions.jsonl", questions),
    ];
    for (name, rows) in all {
        let path = folder.join(name);
        lines(&path, &rows).map_err(|source| SetError::Write { path: path.clone(), source })?;
        files.push(path);
    }
    let samples = settings.questions * settings.samples;
    Ok(Counts { files, right: good as f64 / samples.max(1) as f64 })
}

fn lines(path: &Path, rows: &[Value]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let partial = tempfile::NamedTempFile::new_in(folder)?;
    let mut out = BufWriter::new(partial.as_file());
    for row in rows {
        writeln!(out, "{row}")?;
    }
    out.flush()?;
    drop(out);
    partial.as_file().sync_all()?;
    partial.persist(path)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SETTINGS: SetSettings = SetSettings { seed: 1, train: 60, test: 30, questions: 10, samples: 8 };

    fn made(settings: &SetSettings) -> [Vec<Value>; 3] {
        let folder = tempfile::tempdir().unwrap();
        let counts = write(folder.path(), settings).unwrap();
        assert!(settings.questions == 0 || counts.right > 0.05 && counts.right < 0.95, "{counts:?}");
        ["pairs/train.jsonl", "pairs/test.jsonl", "samples.jsonl"].map(|name| {
            let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        })
    }

    #[test]
    fn no_problem_is_in_two_parts_and_the_same_seed_makes_the_same_set() {
        let parts = made(&SETTINGS);
        assert_eq!(parts.each_ref().map(Vec::len), [60, 30, 10]);
        let prompts: HashSet<&str> = parts.iter().flatten().map(|row| row["prompt"].as_str().unwrap()).collect();
        assert_eq!(prompts.len(), 100);
        assert_eq!(made(&SETTINGS), parts);
        assert_ne!(made(&SetSettings { seed: 2, ..SETTINGS }), parts);
        let larger = made(&SetSettings { train: 90, ..SETTINGS });
        assert_eq!((&larger[1..], &larger[0][..60]), (&parts[1..], &parts[0][..]));
    }

    #[test]
    fn questions_to_be_asked_anew_are_those_of_the_samples() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &SETTINGS).unwrap();
        let rows = |name: &str| -> Vec<Value> {
            let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let (bare, with_samples) = (rows("questions.jsonl"), rows("samples.jsonl"));
        assert_eq!(bare.len(), 10);
        for (bare, row) in bare.iter().zip(&with_samples) {
            assert_eq!((&bare["id"], &bare["answer"]), (&row["id"], &row["answer"]));
            assert!(row["prompt"].as_str().unwrap().contains(bare["prompt"].as_str().unwrap()));
            assert!(bare.get("samples").is_none());
        }
    }

    #[test]
    fn samples_are_right_or_wrong_by_their_final_number() {
        let [_, _, questions] = made(&SETTINGS);
        let right = |row: &Value| {
            let end = format!("#### {}", row["answer"].as_str().unwrap());
            row["samples"].as_array().unwrap().iter().filter(|text| text.as_str().unwrap().ends_with(&end)).count()
        };
        assert!(questions.iter().map(right).sum::<usize>() > 8);
    }
}

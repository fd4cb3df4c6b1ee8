//! Math-Shepherd (Wang et al. 2024): solutions whose every step is labelled, turned into pairs.
//!
//! `input` is the problem and the steps, each followed by a mark; `label` is the same text with `+` or `-` in each mark's
//! place. A solution all of whose steps are `+` is right, one whose last step is `-` is wrong. The first right solution of
//! a problem makes a pair with its first wrong one, the second with the second; whatever is left over is counted. A pair is
//! made as soon as both are there, so that only those that wait are held.

use std::collections::{HashMap, VecDeque};

use super::items::{LeftOut, Made, Origin};
use super::{Item, Task};
use crate::records::{Place, RecordResult, Row};

/// Stands behind each step of the input.
const MARK: &str = "\u{43a}\u{438}";

/// A solution that waits for its counterpart.
struct Solution {
    /// The row's number in the file.
    number: usize,
    place: Place,
    text: String,
}

/// One problem's solutions: of two kinds, only one can be waiting.
struct Problem {
    /// In the order of the file.
    number: usize,
    waiting: VecDeque<Solution>,
    right: bool,
    pairs: usize,
}

/// What waits, by task and prompt.
#[derive(Default)]
pub(super) struct Solutions {
    problems: HashMap<(String, String), Problem>,
}

impl Solutions {
    /// Takes a row: the pair that it completes, that it makes none, or nothing yet.
    pub(super) fn add(&mut self, row: &Row, number: usize) -> RecordResult<Option<Made<Item>>> {
        let Parts { prompt, answer, steps } = parts(row)?;
        let right = match (steps.iter().all(|good| *good), steps.last()) {
            (true, _) => true,
            (false, Some(false)) => false,
            _ => {
                let reason = "a wrong step before a right end";
                return Ok(Some(Made::LeftOut(LeftOut { place: row.place.clone(), reason })));
            }
        };
        let solution = Solution { number, place: row.place.clone(), text: answer };
        let (task, count) = (row.text("task")?, self.problems.len());
        let problem = self.problems.entry((task.clone(), prompt.clone())).or_insert_with(|| Problem {
            number: count,
            waiting: VecDeque::new(),
            right,
            pairs: 0,
        });
        if problem.waiting.is_empty() || problem.right == right {
            problem.right = right;
            problem.waiting.push_back(solution);
            return Ok(None);
        }
        let Some(other) = problem.waiting.pop_front() else { return Ok(None) };
        let (chosen, rejected) = if right { (solution, other) } else { (other, solution) };
        let key = format!("{}.{}", problem.number, problem.pairs);
        problem.pairs += 1;
        let task_of = Task::Pair { chosen: chosen.text, rejected: rejected.text };
        let origin = Origin { place: chosen.place, rejected: Some(rejected.place) };
        Ok(Some(Made::Whole(Item::new(key, task, format!("{prompt}\n"), task_of), origin)))
    }

    /// What found no counterpart, in the order of the file.
    pub(super) fn left_over(self) -> Vec<LeftOut> {
        let alone = |problem: Problem| {
            let reason =
                if problem.right { "no wrong solution to compare with" } else { "no right solution to compare with" };
            problem.waiting.into_iter().map(move |solution| (solution.number, solution.place, reason))
        };
        let mut all: Vec<_> = self.problems.into_values().flat_map(alone).collect();
        all.sort_unstable_by_key(|(number, ..)| *number);
        all.into_iter().map(|(_, place, reason)| LeftOut { place, reason }).collect()
    }
}

/// Problem and solution without the marks.
pub(super) fn text(row: &Row) -> RecordResult<String> {
    let Parts { prompt, answer, .. } = parts(row)?;
    Ok(format!("{prompt}\n{answer}"))
}

/// A row taken apart.
struct Parts {
    prompt: String,
    answer: String,
    /// Whether each step is good.
    steps: Vec<bool>,
}

fn parts(row: &Row) -> RecordResult<Parts> {
    let (input, label) = (row.text("input")?, row.text("label")?);
    let steps = steps(&input, &label).map_err(|problem| row.wrong("label", problem))?;
    let Some(start) = input.find("Step 1:") else {
        return Err(row.wrong("input", "has no `Step 1:`, where the solution begins".to_owned()));
    };
    let answer = input[start..].split(MARK).map(str::trim).filter(|step| !step.is_empty());
    let answer = answer.collect::<Vec<_>>().join("\n");
    if steps.is_empty() || answer.is_empty() {
        return Err(row.wrong("input", "has no step with its mark".to_owned()));
    }
    Ok(Parts { prompt: input[..start].trim().to_owned(), answer, steps })
}

/// Whether each step is good.
fn steps(input: &str, label: &str) -> Result<Vec<bool>, String> {
    let mut steps = Vec::new();
    let mut rest = label.trim_end();
    let mut parts: Vec<&str> = input.trim_end().split(MARK).collect();
    // Behind the last mark there is nothing, or the placeholder of an older edition.
    let behind = parts.pop().unwrap_or_default();
    if !matches!(behind.trim(), "" | "?") {
        return Err(format!("cannot be read: the input goes on behind its last `{MARK}`"));
    }
    for (number, part) in (1..).zip(parts) {
        let part = part.trim_start_matches([' ', '?', '\n', '\r']).trim_end();
        let off = || format!("does not follow the input at step {number}");
        rest = rest.trim_start().strip_prefix(part).ok_or_else(off)?.trim_start();
        rest = rest.strip_prefix(MARK).unwrap_or(rest).trim_start();
        let sign = rest.chars().next().filter(|sign| matches!(sign, '+' | '-'));
        let sign = sign.ok_or_else(|| format!("has neither + nor - behind step {number}"))?;
        rest = &rest[1..];
        steps.push(sign == '+');
    }
    if rest.trim().is_empty() { Ok(steps) } else { Err("has more steps than the input".to_owned()) }
}

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
    let signs = signs(&input, &label).map_err(|problem| row.wrong("label", problem))?;
    let Some(start) = start(&input) else {
        return Err(row.wrong("input", "has no `Step 1:`, where the solution begins".to_owned()));
    };
    // A mark within the problem is a slip of the published file: it stands behind no step.
    let steps: Vec<bool> = signs.into_iter().filter(|(at, _)| *at >= start).map(|(_, good)| good).collect();
    // Behind a mark, an older edition has a placeholder.
    let piece = |piece: &str| piece.trim().trim_start_matches('?').trim().to_owned();
    let answer = input[start..].split(MARK).map(piece).filter(|step| !step.is_empty()).collect::<Vec<_>>().join("\n");
    if steps.is_empty() || answer.is_empty() {
        return Err(row.wrong("input", "has no step with its mark".to_owned()));
    }
    let prompt =
        input[..start].split(MARK).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    Ok(Parts { prompt, answer, steps })
}

/// The byte that the solution begins at: its first step's name. A few of the published rows write it small, or do without:
/// there the first step follows the question mark.
fn start(input: &str) -> Option<usize> {
    let named = input.find("Step 1:").or_else(|| input.find("step 1:"));
    let first = &input[..input.find(MARK).unwrap_or(input.len())];
    named.or_else(|| first.find('?').map(|at| at + 1))
}

/// The byte of each mark of the input, and whether the step before it is good: the label has a sign at the very place of
/// each mark; in an older edition behind it.
fn signs(input: &str, label: &str) -> Result<Vec<(usize, bool)>, String> {
    let marks: Vec<usize> = input.match_indices(MARK).map(|(at, _)| at).collect();
    if let Some(rest) = marks.last().map(|last| &input[last + MARK.len()..])
        // There the placeholder follows the last mark.
        && !matches!(rest.trim(), "" | "?")
    {
        return Err(format!("cannot be read: the input goes on behind its last `{MARK}`"));
    }
    let aligned = || {
        let same = input.replace(MARK, "\0");
        let mut signs = label.chars();
        let signs: Option<Vec<bool>> = (same.chars())
            .filter_map(|c| {
                let beside = signs.next();
                (c == '\0').then(|| beside.and_then(sign))
            })
            .collect();
        signs.filter(|_| label.trim_end().chars().count() == same.trim_end().chars().count())
    };
    let found = match aligned() {
        Some(found) => found,
        None => steps(input, label)?,
    };
    Ok(marks.into_iter().zip(found).collect())
}

fn sign(c: char) -> Option<bool> {
    match c {
        '+' => Some(true),
        '-' => Some(false),
        _ => None,
    }
}

/// Whether each step is good, found by following the input's words in the label.
fn steps(input: &str, label: &str) -> Result<Vec<bool>, String> {
    let mut steps = Vec::new();
    let mut rest = label.trim_end();
    let mut parts: Vec<&str> = input.trim_end().split(MARK).collect();
    parts.pop();
    for (number, part) in (1..).zip(parts) {
        let part = part.trim_start_matches([' ', '?', '\n', '\r']).trim_end();
        let off = || format!("does not follow the input at step {number}");
        rest = rest.trim_start().strip_prefix(part).ok_or_else(off)?.trim_start();
        rest = rest.strip_prefix(MARK).unwrap_or(rest).trim_start();
        let good = rest.chars().next().and_then(sign);
        steps.push(good.ok_or_else(|| format!("has neither + nor - behind step {number}"))?);
        rest = &rest[1..];
    }
    if rest.trim().is_empty() { Ok(steps) } else { Err("has more steps than the input".to_owned()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(input: &str, label: &str) -> Result<(String, String, Vec<bool>), String> {
        let fields = json!({ "input": input, "label": label, "task": "MATH" }).as_object().unwrap().clone();
        let row = Row { place: Place { path: "x".into(), line: 1 }, fields };
        let Parts { prompt, answer, steps } = parts(&row).map_err(|error| error.to_string())?;
        Ok((prompt, answer, steps))
    }

    fn both(input: &str, signs: &[&str]) -> Result<(String, String, Vec<bool>), String> {
        let mut signs = signs.iter();
        let mut parts = input.split('@');
        let first = parts.next().unwrap().to_owned();
        let label = parts.fold(first, |label, part| label + signs.next().unwrap() + part);
        read(&input.replace('@', MARK), &label)
    }

    #[test]
    fn slips_of_the_published_file_are_read_as_what_they_mean() {
        let text = |prompt: &str, answer: &str, steps: &[bool]| Ok((prompt.into(), answer.into(), steps.to_vec()));
        assert_eq!(
            both("What is 2? Step 1: It is two. @\nStep 2: 2 @", &["+", "-"]),
            text("What is 2?", "Step 1: It is two.\nStep 2: 2", &[true, false])
        );
        // A mark within the problem, a small letter, and a first step without its name.
        assert_eq!(both("Find 2. @ Step 1: 2 @", &["-", "+"]), text("Find 2.", "Step 1: 2", &[true]));
        assert_eq!(both("Find 2. step 1: 2 @", &["+"]), text("Find 2.", "step 1: 2", &[true]));
        assert_eq!(
            both("What is 2? It is two. @ So 2. @", &["+", "+"]),
            text("What is 2?", "It is two.\nSo 2.", &[true, true])
        );
        // The older edition: marks stay in the label, and placeholders stand in the input.
        let (input, label) =
            ("What is 2? \n\nStep 1: a @ ? \n\nStep 2: b @ ?", "What is 2? \n\nStep 1: a @ + \n\nStep 2: b @ -");
        let older = read(&input.replace('@', MARK), &label.replace('@', MARK));
        assert_eq!(older, text("What is 2?", "Step 1: a\nStep 2: b", &[true, false]));
        assert!(both("Find 2. It is 2 @", &["+"]).unwrap_err().contains("has no `Step 1:`"));
        assert!(both("Find 2. Step 1: 2 @", &["?"]).unwrap_err().contains("has neither + nor - behind step 1"));
    }
}

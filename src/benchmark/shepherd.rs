//! Math-Shepherd (Wang et al. 2024): solutions whose every step is labelled, turned into pairs.
//!
//! `input` is the problem and the steps, each followed by a mark; `label` is the same text with `+` or `-` in each mark's
//! place. A solution all of whose steps are `+` is right, one whose last step is `-` is wrong. The first right solution of
//! a problem makes a pair with its first wrong one, the second with the second; whatever is left over is counted.

use std::collections::HashMap;

use super::error::{BenchmarkResult, Place};
use super::read::LeftOut;
use super::row::Row;
use super::{Item, Task};

/// Stands behind each step of the input.
const MARK: &str = "\u{43a}\u{438}";

struct Solution {
    place: Place,
    text: String,
}

/// One problem's solutions.
#[derive(Default)]
struct Problem {
    task: String,
    prompt: String,
    right: Vec<Solution>,
    wrong: Vec<Solution>,
}

/// All solutions, by problem, in the order of the file.
#[derive(Default)]
pub(super) struct Solutions {
    problems: Vec<Problem>,
    places: HashMap<(String, String), usize>,
    left_out: Vec<LeftOut>,
}

impl Solutions {
    pub(super) fn add(&mut self, row: &Row) -> BenchmarkResult<()> {
        let (input, label, task) = (row.text("input")?, row.text("label")?, row.text("task")?);
        let steps = steps(&input, &label).map_err(|problem| row.wrong("label", problem))?;
        let Some(start) = input.find("Step 1:") else {
            return Err(row.wrong("input", "has no `Step 1:`, where the solution begins".to_owned()));
        };
        let (prompt, answer) = (input[..start].trim(), &input[start..]);
        let answer = answer.split(MARK).map(str::trim).filter(|step| !step.is_empty()).collect::<Vec<_>>().join("\n");
        if steps.is_empty() || answer.is_empty() {
            return Err(row.wrong("input", "has no step with its mark".to_owned()));
        }
        let solution = Solution { place: row.place.clone(), text: answer };
        let key = (task, prompt.to_owned());
        let at = *self.places.entry(key.clone()).or_insert(self.problems.len());
        if at == self.problems.len() {
            self.problems.push(Problem { task: key.0, prompt: key.1, ..Problem::default() });
        }
        let problem = &mut self.problems[at];
        match (steps.iter().all(|good| *good), steps.last()) {
            (true, _) => problem.right.push(solution),
            (false, Some(false)) => problem.wrong.push(solution),
            _ => self.left_out.push(LeftOut { place: solution.place, reason: "a wrong step before a right end" }),
        }
        Ok(())
    }

    /// The pairs, by problem; what made none.
    pub(super) fn pairs(self) -> (Vec<Item>, Vec<LeftOut>) {
        let (mut items, mut left_out) = (Vec::new(), self.left_out);
        for (number, problem) in self.problems.into_iter().enumerate() {
            let (mut right, mut wrong) = (problem.right.into_iter(), problem.wrong.into_iter());
            let mut pair = 0;
            loop {
                let (chosen, rejected) = match (right.next(), wrong.next()) {
                    (Some(chosen), Some(rejected)) => (chosen.text, rejected.text),
                    (None, None) => break,
                    (Some(alone), None) => {
                        left_out.push(LeftOut { place: alone.place, reason: "no wrong solution to compare with" });
                        continue;
                    }
                    (None, Some(alone)) => {
                        left_out.push(LeftOut { place: alone.place, reason: "no right solution to compare with" });
                        continue;
                    }
                };
                let prompt = format!("{}\n", problem.prompt);
                let task = Task::Pair { chosen, rejected };
                items.push(Item::new(format!("{number}.{pair}"), problem.task.clone(), prompt, task));
                pair += 1;
            }
        }
        left_out.sort_by_key(|row| row.place.line);
        (items, left_out)
    }
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

//! Solutions step by step, right ones and flawed ones.

use std::fmt::Write as _;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::{Problem, Step};

/// What goes wrong in a flawed solution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A step is computed wrongly.
    Slip,
    /// A step does the opposite of what is told.
    Opposite,
    /// A step takes another number than is told.
    Misread,
    /// A step is left out.
    Skipped,
    /// The final answer is not what the last step gave.
    Copied,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Slip, Self::Opposite, Self::Misread, Self::Skipped, Self::Copied];
}

/// A line of a solution: the number before, the step, the number after.
type Line = (i64, Step, i64);

/// The right solution; `random` draws its wording.
pub fn right(problem: &Problem, random: &mut StdRng) -> String {
    let lines = follow(problem, |_, step, value| Some((step, step.apply(value))));
    write(problem, &lines, problem.answer(), random)
}

/// A solution with one flaw, drawn at a random step; its final answer is wrong.
pub fn flawed(problem: &Problem, random: &mut StdRng) -> (String, Flaw) {
    loop {
        let flaw = Flaw::ALL[random.random_range(0..Flaw::ALL.len())];
        let at = random.random_range(0..problem.steps.len());
        let off = [-10, -3, -2, -1, 1, 2, 3, 10][random.random_range(0..8_usize)];
        let lines = follow(problem, |number, step, value| {
            if number != at {
                return Some((step, step.apply(value)));
            }
            Some(match flaw {
                Flaw::Slip => (step, step.apply(value) + off),
                Flaw::Opposite => (opposite(step), opposite(step).apply(value)),
                Flaw::Misread => (step.with(step.number() + off), step.with((step.number() + off).max(1)).apply(value)),
                Flaw::Skipped => return None,
                Flaw::Copied => (step, step.apply(value)),
            })
        });
        let last = lines.last().map_or(problem.start, |line| line.2);
        let answer = if flaw == Flaw::Copied { last + off } else { last };
        // Flaws that cancel out, and numbers that give a flaw away by themselves, are drawn again.
        let plausible = |line: &Line| {
            let number = line.1.number();
            let divides = !matches!(line.1, Step::Divide(by) if by > 0 && line.0 % by != 0);
            number > 1 && divides && (1..=400).contains(&line.2)
        };
        if answer != problem.answer() && answer > 0 && lines.iter().all(plausible) {
            return (write(problem, &lines, answer, random), flaw);
        }
    }
}

fn opposite(step: Step) -> Step {
    match step {
        Step::Add(by) => Step::Subtract(by),
        Step::Subtract(by) => Step::Add(by),
        Step::Multiply(by) => Step::Divide(by),
        Step::Divide(by) => Step::Multiply(by),
    }
}

/// The lines of a solution; `each` says for every step what is written as its step and result, or none to leave it out.
fn follow(problem: &Problem, mut each: impl FnMut(usize, Step, i64) -> Option<(Step, i64)>) -> Vec<Line> {
    let mut value = problem.start;
    let mut lines = Vec::new();
    for (number, step) in problem.steps.iter().enumerate() {
        if let Some((written, result)) = each(number, *step, value) {
            lines.push((value, written, result));
            value = result;
        }
    }
    lines
}

fn write(problem: &Problem, lines: &[Line], answer: i64, random: &mut StdRng) -> String {
    let (name, thing, start) = (problem.name, problem.thing, problem.start);
    let mut text = match random.random_range(0..3) {
        0 => format!("{name} starts with {start} {thing}.\n"),
        1 => format!("At first there are {start} {thing}.\n"),
        _ => String::new(),
    };
    for (number, (before, step, after)) in lines.iter().enumerate() {
        let (sign, by) = (step.sign(), step.number());
        // Writing to a String cannot fail.
        let _ = match random.random_range(0..3) {
            0 => writeln!(text, "Step {}: {before} {sign} {by} = {after}", number + 1),
            1 => writeln!(text, "Then {before} {sign} {by} = {after} {thing}."),
            _ => writeln!(text, "{before} {sign} {by} = {after}"),
        };
    }
    let _ = write!(text, "#### {answer}");
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn last(text: &str) -> i64 {
        text.rsplit("#### ").next().unwrap().parse().unwrap()
    }

    /// Equations of a solution that do not hold.
    fn broken(text: &str) -> usize {
        let equation = |line: &str| {
            let words: Vec<i64> =
                line.rsplit(": ").next()?.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            let [a, b, c] = words[..] else { return None };
            let sign = ['+', '-', '*', '/'].into_iter().find(|sign| line.contains(&format!(" {sign} ")))?;
            Some(match sign {
                '+' => a + b == c,
                '-' => a - b == c,
                '*' => a * b == c,
                _ => a / b == c,
            })
        };
        text.lines().filter_map(equation).filter(|holds| !holds).count()
    }

    #[test]
    fn right_solutions_end_in_the_answer_and_flawed_ones_in_another_number() {
        let mut random = StdRng::seed_from_u64(5);
        let mut seen = Vec::new();
        for _ in 0..500 {
            let problem = Problem::draw(&mut random);
            let solution = right(&problem, &mut random);
            assert_eq!((last(&solution), broken(&solution)), (problem.answer(), 0), "{problem:?}\n{solution}");
            let (solution, flaw) = flawed(&problem, &mut random);
            assert_ne!(last(&solution), problem.answer(), "{problem:?}\n{solution}");
            assert_eq!(broken(&solution), usize::from(flaw == Flaw::Slip), "{flaw:?}\n{solution}");
            seen.push(flaw);
        }
        assert!(Flaw::ALL.iter().all(|flaw| seen.contains(flaw)));
    }
}

//! Answers to the word problems of the made reasoning set: right or flawed, in that set's own words.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::dice::Dice;
use crate::reasoning::{Problem, flawed, right};

/// The probability that a model solves a problem: each has one of its own, `unit` (0 to 1) of the way through the widest even
/// range around the `mean` over all problems.
fn skill(mean: f64, unit: f64) -> f64 {
    mean + mean.min(1.0 - mean) * (2.0 * unit - 1.0)
}

/// An answer: `problem_dice` roll the same for all answers of a model to the problem, `dice` for this one alone.
pub(super) fn solve(problem: &Problem, mean: f64, problem_dice: &mut Dice, dice: &mut Dice) -> String {
    let solved = dice.chance(skill(mean, problem_dice.unit()));
    let mut wording = StdRng::seed_from_u64(dice.next());
    if solved { right(problem, &mut wording) } else { flawed(problem, &mut wording).0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_solved_as_often_as_set_and_not_all_alike() {
        let mut random = StdRng::seed_from_u64(1);
        for mean in [0.0, 0.3, 0.75, 1.0] {
            let mut shares = Vec::new();
            for number in 0..200_u64 {
                let problem = Problem::draw(&mut random);
                let end = format!("#### {}", problem.answer());
                let answer = |sample: u64| {
                    let mut of_problem = Dice::of(&[&number.to_le_bytes()]);
                    let mut own = Dice::of(&[&number.to_le_bytes(), &sample.to_le_bytes()]);
                    solve(&problem, mean, &mut of_problem, &mut own)
                };
                assert_eq!(answer(0), answer(0));
                shares.push((0..40).filter(|sample| answer(*sample).ends_with(&end)).count() as f64 / 40.0);
            }
            let found = shares.iter().sum::<f64>() / shares.len() as f64;
            assert!((found - mean).abs() < 0.04, "{found} of {mean}");
            let spread = shares.iter().filter(|share| (**share - mean).abs() > 0.12).count();
            assert_eq!(spread > 60, (0.1..0.9).contains(&mean), "{spread} at {mean}");
        }
    }
}

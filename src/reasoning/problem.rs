//! Problems: a chain of changes to a number, told as a story.

use rand::RngExt as _;
use rand::rngs::StdRng;

pub(super) const NAMES: [&str; 16] = [
    "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Karin", "Leo", "Mia", "Noah",
    "Olga", "Paul",
];
pub(super) const THINGS: [&str; 12] = [
    "apples", "books", "coins", "stamps", "marbles", "pencils", "cards", "shells", "stickers", "eggs", "buttons",
    "stones",
];

/// A change to the number of things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many more.
    Add(i64),
    /// So many fewer.
    Subtract(i64),
    /// So many times as many.
    Multiply(i64),
    /// One of so many equal parts.
    Divide(i64),
}

impl Step {
    /// The number after it.
    pub fn apply(self, value: i64) -> i64 {
        match self {
            Self::Add(by) => value + by,
            Self::Subtract(by) => value - by,
            Self::Multiply(by) => value * by,
            Self::Divide(by) => value / by,
        }
    }

    /// Its sign.
    pub fn sign(self) -> char {
        match self {
            Self::Add(_) => '+',
            Self::Subtract(_) => '-',
            Self::Multiply(_) => '*',
            Self::Divide(_) => '/',
        }
    }

    /// Its number.
    pub fn number(self) -> i64 {
        match self {
            Self::Add(by) | Self::Subtract(by) | Self::Multiply(by) | Self::Divide(by) => by,
        }
    }

    /// The same with another number.
    #[must_use]
    pub fn with(self, number: i64) -> Self {
        match self {
            Self::Add(_) => Self::Add(number),
            Self::Subtract(_) => Self::Subtract(number),
            Self::Multiply(_) => Self::Multiply(number),
            Self::Divide(_) => Self::Divide(number),
        }
    }
}

/// A word problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is asked.
    pub question: String,
    /// Who it is about.
    pub name: &'static str,
    /// What is counted.
    pub thing: &'static str,
    /// The number at the start.
    pub start: i64,
    /// What happens to it.
    pub steps: Vec<Step>,
}

impl Problem {
    /// Draws a problem of two to four steps; every number on the way is between 1 and 200.
    pub fn draw(random: &mut StdRng) -> Self {
        let name = NAMES[random.random_range(0..NAMES.len())];
        let thing = THINGS[random.random_range(0..THINGS.len())];
        let start = random.random_range(3..=20);
        let count = random.random_range(2..=4);
        let mut steps: Vec<Step> = Vec::new();
        let mut value = start;
        let mut text = format!("{name} has {start} {thing}.");
        while steps.len() < count {
            let step = match random.random_range(0..4) {
                0 => Step::Add(random.random_range(2..=20)),
                1 if value > 3 => Step::Subtract(random.random_range(2..value)),
                2 => Step::Multiply(random.random_range(2..=4)),
                3 => Step::Divide(random.random_range(2..=5)),
                _ => continue,
            };
            let whole = !matches!(step, Step::Divide(by) if value % by != 0);
            if !whole || step.apply(value) > 200 {
                continue;
            }
            value = step.apply(value);
            text.push(' ');
            text.push_str(&sentence(step, name, thing, random));
            steps.push(step);
        }
        let question = format!("{text} {}", question(name, thing));
        Self { question, name, thing, start, steps }
    }

    /// The answer.
    pub fn answer(&self) -> i64 {
        self.steps.iter().fold(self.start, |value, step| step.apply(value))
    }
}

/// The sentence that asks.
pub(super) fn question(name: &str, thing: &str) -> String {
    format!("How many {thing} does {name} have now?")
}

fn sentence(step: Step, name: &str, thing: &str, random: &mut StdRng) -> String {
    let ways = ways(step, name, thing);
    ways[random.random_range(0..ways.len())].clone()
}

/// The sentences that may tell a step.
pub(super) fn ways(step: Step, name: &str, thing: &str) -> [String; 3] {
    let number = step.number();
    match step {
        Step::Add(_) => [
            format!("Then {name} finds {number} more {thing}."),
            format!("A friend gives {name} another {number} {thing}."),
            format!("{name} buys {number} {thing}."),
        ],
        Step::Subtract(_) => [
            format!("{name} loses {number} of the {thing}."),
            format!("{name} gives away {number} {thing}."),
            format!("Then {number} {thing} are sold."),
        ],
        Step::Multiply(_) => [
            format!("After a week there are {number} times as many {thing}."),
            format!("Then the number of {thing} grows to {number} times what it was."),
            format!("{name} trades, and gets {number} {thing} for each one."),
        ],
        Step::Divide(_) => [
            format!("{name} shares the {thing} equally among {number} people, and keeps one part."),
            format!("The {thing} are put into {number} equal piles, of which {name} keeps one."),
            format!("Only one in {number} of the {thing} is kept."),
        ],
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn numbers_on_the_way_are_whole_and_positive_and_stand_in_the_text() {
        let mut random = StdRng::seed_from_u64(3);
        for _ in 0..500 {
            let problem = Problem::draw(&mut random);
            let mut value = problem.start;
            for step in &problem.steps {
                if let Step::Divide(by) = step {
                    assert_eq!(value % by, 0, "{problem:?}");
                }
                value = step.apply(value);
                assert!((1..=200).contains(&value), "{problem:?}");
                assert!(problem.question.contains(&step.number().to_string()), "{problem:?}");
            }
            assert_eq!(problem.answer(), value);
        }
    }
}

//! A problem out of the text that asks for it.

use super::Problem;
use super::problem::{NAMES, Step, THINGS, question, ways};

impl Problem {
    /// The first problem in `text`, whatever stands around it; none where there is none, word for word as [`Problem::draw`]
    /// puts them.
    pub fn find(text: &str) -> Option<Self> {
        let (before, asked) = text.split_once(" How many ")?;
        let thing = THINGS.into_iter().find(|thing| asked.starts_with(thing))?;
        let name = NAMES.into_iter().find(|name| asked.starts_with(&question(name, thing)["How many ".len()..]))?;
        let begin = before.rfind(&format!("{name} has "))?;
        let mut sentences = before[begin..].split_inclusive('.').map(str::trim);
        let number = |sentence: &str| sentence.split(' ').find_map(|word| word.parse::<i64>().ok());
        let first = sentences.next()?;
        let start = number(first)?;
        if first != format!("{name} has {start} {thing}.") {
            return None;
        }
        let step = |sentence: &str| {
            let by = number(sentence)?;
            let steps = [Step::Add(by), Step::Subtract(by), Step::Multiply(by), Step::Divide(by)];
            steps.into_iter().find(|step| ways(*step, name, thing).iter().any(|way| way == sentence))
        };
        let steps: Vec<Step> = sentences.map(step).collect::<Option<_>>()?;
        let question = format!("{} {}", &before[begin..], question(name, thing));
        Some(Self { question, name, thing, start, steps })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn every_problem_is_found_again_in_any_prompt_and_nothing_in_other_text() {
        let mut random = StdRng::seed_from_u64(4);
        for _ in 0..500 {
            let problem = Problem::draw(&mut random);
            let prompt = format!("Solve it. Leo has time.\n\n{}\n\nEnd with `#### ` and the number.", problem.question);
            assert_eq!(Problem::find(&prompt), Some(problem));
        }
        for other in [
            "",
            "How many eggs does Ida have now?",
            "Ida has 3 eggs. Ida eats 2 eggs. How many eggs does Ida have now?",
            "Ida has 3 coins. Ida buys 2 eggs. How many eggs does Ida have now?",
        ] {
            assert_eq!(Problem::find(other), None, "{other}");
        }
    }
}

//! Final answers: found in a generator's text, and brought to a normal form.
//!
//! Two answers are equal if their normal forms are the same text. So equality is reflexive, symmetric and transitive by
//! construction, a majority vote may count normal forms, and a stored normal form can be looked at.
//!
//! Deterministic and without a model: what cannot be read is no answer, and counts as wrong.

mod commands;
mod expression;
mod extract;
mod math;
mod number;
mod ratio;
mod sum;
mod tokens;
mod words;

pub use extract::final_answer;

use crate::benchmark::Answering;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

/// The longest answer that is read, in bytes; a longer one is no final answer.
const LONGEST: usize = 2000;

/// The normal form of an answer; none if there is nothing to read.
pub fn canonical(answer: &str, answering: Answering) -> Option<String> {
    if answer.len() > LONGEST {
        return None;
    }
    match answering {
        Answering::Number => number::canonical(answer),
        Answering::Math => math::canonical(answer),
        Answering::Text => words::canonical(answer),
    }
}

/// Whether two answers are the same.
pub fn same(one: &str, other: &str, answering: Answering) -> bool {
    canonical(one, answering).is_some_and(|one| Some(one) == canonical(other, answering))
}

/// The normal form of the final answer of a generator's text.
pub fn read(text: &str, answering: Answering) -> Option<String> {
    canonical(final_answer(text, answering)?, answering)
}

//! Where a generator's text has its final answer.

use super::number;
use crate::benchmark::{Answering, last_boxed};

/// Words that come right before a final answer, the more certain first.
const LEADS: [&str; 5] = ["final answer is", "the answer is", "answer is", "final answer", "answer:"];

/// The longest text that is an answer by itself, in bytes.
const SHORT: usize = 100;

/// The final answer: behind the last `####`, else in the last box, else behind words such as "the answer is"; else, of a
/// question for a number, the last number; else the whole text, if it is one short line. None if there is none of these.
pub fn final_answer(text: &str, answering: Answering) -> Option<&str> {
    let marked = text.rsplit_once("####").map(|(_, answer)| first_line(answer));
    let boxed = || last_boxed(text);
    let led = || LEADS.iter().find_map(|lead| after(text, lead));
    let found = match answering {
        Answering::Number => marked.or_else(boxed).or_else(led).filter(|found| number::last(found).is_some()),
        Answering::Math | Answering::Text => marked.or_else(boxed).or_else(led),
    };
    let found = found.or_else(|| match answering {
        Answering::Number => number::last(text),
        Answering::Math | Answering::Text => {
            let line = text.trim();
            (line.len() <= SHORT && !line.contains('\n')).then_some(line)
        }
    });
    let found = found.map(|found| if answering == Answering::Number { one_number(found) } else { found });
    found.map(str::trim).filter(|answer| !answer.is_empty())
}

/// Of a sentence with several numbers, the first: what follows it is the unit or a remark.
fn one_number(found: &str) -> &str {
    number::first(found).unwrap_or(found)
}

fn first_line(text: &str) -> &str {
    text.trim_start().lines().next().unwrap_or_default()
}

/// What stands behind the last `lead`, in any case, up to the end of the sentence.
fn after<'t>(text: &'t str, lead: &str) -> Option<&'t str> {
    // Lower case in ASCII alone keeps every character in its place.
    let at = text.to_ascii_lowercase().rfind(lead)? + lead.len();
    let rest = text[at..].trim_start_matches(|c: char| c.is_whitespace() || c == ':' || c == '*');
    let line = first_line(rest);
    let end = line.match_indices(". ").map(|(at, _)| at).next().unwrap_or(line.len());
    let answer = line[..end].trim_end_matches(|c: char| c.is_whitespace() || ".*".contains(c));
    (!answer.is_empty()).then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_found_where_generators_put_it() {
        let cases = [
            ("He pays 3*5 = 15.\n#### 15", "15"),
            ("#### 3\nwait, no.\n#### $1,200 \nthanks", "$1,200"),
            ("So it is $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}"),
            ("We find x. The answer is: 52", "52"),
            ("The final answer is **x = 3**. I hope it is correct.", "x = 3"),
            ("Final Answer: The final answer is $(1, 2)$. I hope it is correct.", "$(1, 2)$"),
            ("7", "7"),
        ];
        for (text, answer) in cases {
            assert_eq!(final_answer(text, Answering::Math), Some(answer), "{text}");
        }
        assert_eq!(final_answer("He thinks.\nThen he stops.", Answering::Math), None);
        assert_eq!(final_answer("", Answering::Math), None);
    }

    #[test]
    fn of_a_question_for_a_number_the_last_number_is_taken_when_nothing_marks_it() {
        let found = |text| final_answer(text, Answering::Number);
        assert_eq!(found("Tom has 3 apples.\nHe buys 4, so he has 7 in all."), Some("7"));
        assert_eq!(found("The answer is 12 apples out of 30."), Some("12"));
        assert_eq!(found("The answer is hard to say. Perhaps 5"), Some("5"));
        assert_eq!(found("I do not know."), None);
    }
}

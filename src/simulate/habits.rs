//! Unidiomatic Python: right, but as a weak model writes it, all through an answer.
//!
//! A bug sits in one place; what sets the answers of two real models apart is mostly spread over the whole text. Habits
//! are that part. Some make code longer and some shorter, so that length stays out of it.

use tree_sitter::Node;

use crate::python::{Kind, kind_of};

use super::dice::Dice;
use super::edit::{Edit, Edits};
use super::survey::Survey;

type Habit = fn(&Survey<'_>) -> Vec<Vec<Edit>>;

const HABITS: &[Habit] =
    &[bracketed_conditions, bracketed_returns, equal_to_none, spelled_out, crammed, without_result];

/// Adds each habit with probability `share` to `edits`, wherever it has a place that no other edit touches.
pub(super) fn habits(survey: &Survey<'_>, share: f64, dice: &mut Dice, edits: &mut Edits) {
    for habit in HABITS {
        if dice.chance(share) {
            for proposal in habit(survey) {
                edits.take(survey.text, proposal);
            }
        }
    }
}

fn bracketed(node: Node<'_>) -> Option<Vec<Edit>> {
    let plain = !matches!(kind_of(node), Kind::Parenthesized | Kind::Tuple | Kind::Generator);
    plain.then(|| vec![Edit::insert(node.start_byte(), "("), Edit::insert(node.end_byte(), ")")])
}

/// `if x:` becomes `if (x):`.
fn bracketed_conditions(survey: &Survey<'_>) -> Vec<Vec<Edit>> {
    survey.conditions.iter().filter_map(|condition| bracketed(condition.node)).collect()
}

/// `return x` becomes `return (x)`.
fn bracketed_returns(survey: &Survey<'_>) -> Vec<Vec<Edit>> {
    let returns = survey.statements.iter().filter(|statement| statement.kind == Kind::Return);
    returns.filter_map(|statement| bracketed(statement.node.named_child(0)?)).collect()
}

/// `x is None` becomes `x == None`.
fn equal_to_none(survey: &Survey<'_>) -> Vec<Vec<Edit>> {
    let equal = |node: &Node<'_>| {
        let operator = node.child_by_field_name("operators")?;
        let right = operator.next_sibling().filter(|right| kind_of(*right) == Kind::None)?;
        let word = match survey.of(operator) {
            "is" => "==",
            "is not" => "!=",
            _ => return None,
        };
        (right.end_byte() == node.end_byte()).then(|| vec![Edit::replace(operator.byte_range(), word)])
    };
    survey.comparisons.iter().filter_map(equal).collect()
}

/// `x += 1` becomes `x = x + 1`.
fn spelled_out(survey: &Survey<'_>) -> Vec<Vec<Edit>> {
    let spelled = |node: &Node<'_>| {
        let [left, operator, right] = [
            node.child_by_field_name("left")?,
            node.child_by_field_name("operator")?,
            node.child_by_field_name("right")?,
        ];
        let simple = matches!(
            kind_of(right),
            Kind::Identifier
                | Kind::Attribute
                | Kind::Integer
                | Kind::Float
                | Kind::Call
                | Kind::Subscript
                | Kind::String
        );
        let sign = survey.of(operator).strip_suffix('=')?;
        (simple && kind_of(left) == Kind::Identifier)
            .then(|| vec![Edit::replace(operator.byte_range(), format!("= {} {sign}", survey.of(left)))])
    };
    survey.augmented.iter().filter_map(spelled).collect()
}

/// `a + b` becomes `a+b`.
fn crammed(survey: &Survey<'_>) -> Vec<Vec<Edit>> {
    let cram = |node: &Node<'_>| {
        let operator = node.child_by_field_name("operator")?;
        let around = operator.prev_sibling()?.end_byte()..operator.next_sibling()?.start_byte();
        let text = survey.text.get(around.clone())?;
        (!text.contains(['\n', '#'])).then(|| vec![Edit::replace(around, text.trim())])
    };
    survey.binaries.iter().filter_map(cram).collect()
}

/// `def f(x: int) -> str` becomes `def f(x: int)`.
fn without_result(survey: &Survey<'_>) -> Vec<Vec<Edit>> {
    let without = |node: &Node<'_>| {
        let parameters = node.prev_sibling()?.prev_sibling()?;
        Some(vec![Edit::delete(parameters.end_byte()..node.end_byte())])
    };
    survey.results.iter().filter_map(without).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::python::{Parser, syntax_fault};

    const CODE: &str = "\
def f(a: int, b: str = 'x', *c: int, d=None) -> list[int]:
    if d is None or a + b:
        a += 1
        b += a if c else d
    while d is not None is not a:
        return a, b
    return f'{a * 2}'
";

    fn with(habit: Habit) -> String {
        let parsed = Parser::new().parse(CODE);
        let survey = Survey::new(parsed.tree().unwrap(), CODE);
        let mut edits = Edits::default();
        for proposal in habit(&survey) {
            edits.take(CODE, proposal);
        }
        edits.apply(CODE)
    }

    #[test]
    fn every_habit_rewrites_its_places_and_leaves_code_that_parses() {
        let wanted: [(Habit, &[&str]); 6] = [
            (bracketed_conditions, &["if (d is None or a + b):", "while (d is not None is not a):"]),
            (bracketed_returns, &["return (a, b)", "return (f'{a * 2}')"]),
            (equal_to_none, &["if d == None or", "while d is not None is not a"]),
            (spelled_out, &["a = a + 1", "b += a if"]),
            (crammed, &["a+b:", "{a*2}"]),
            (without_result, &["def f(a: int, b: str = 'x', *c: int, d=None):"]),
        ];
        for (habit, texts) in wanted {
            let code = with(habit);
            assert_eq!(syntax_fault(&mut Parser::new(), &code), None, "{code}");
            for text in texts {
                assert!(code.contains(text), "{text} is not in:\n{code}");
            }
        }
    }

    #[test]
    fn a_share_of_zero_changes_nothing_and_of_one_all() {
        let parsed = Parser::new().parse(CODE);
        let survey = Survey::new(parsed.tree().unwrap(), CODE);
        let run = |share: f64| {
            let mut edits = Edits::default();
            habits(&survey, share, &mut Dice::of(&[]), &mut edits);
            edits.apply(CODE)
        };
        assert_eq!(run(0.0), CODE);
        let all = run(1.0);
        assert!(!all.contains("->") && all.contains("return (a, b)") && all.contains("a = a + 1"), "{all}");
    }
}

//! The wrong condition: negated, weakened, widened.

use crate::python::{Kind, kind_of};
use crate::simulate::dice::Dice;
use crate::simulate::edit::Edit;
use crate::simulate::survey::Survey;

/// `if x` becomes `if not x`.
pub(super) fn negated(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let node = dice.pick(&survey.conditions)?.node;
    let simple =
        matches!(kind_of(node), Kind::Identifier | Kind::Attribute | Kind::Call | Kind::Subscript | Kind::Comparison);
    match kind_of(node) {
        Kind::Not => None,
        _ if simple => Some(vec![Edit::insert(node.start_byte(), "not ")]),
        _ => Some(vec![Edit::insert(node.start_byte(), "not ("), Edit::insert(node.end_byte(), ")")]),
    }
}

/// `not x` becomes `x`.
pub(super) fn not_removed(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let node = *dice.pick(&survey.nots)?;
    let argument = node.child_by_field_name("argument")?;
    Some(vec![Edit::delete(node.start_byte()..argument.start_byte())])
}

/// `a and b` becomes `a`, or `b`.
pub(super) fn operand_dropped(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let node = *dice.pick(&survey.booleans)?;
    let left = node.child_by_field_name("left")?;
    let right = node.child_by_field_name("right")?;
    Some(vec![if dice.chance(0.5) {
        Edit::delete(left.end_byte()..right.end_byte())
    } else {
        Edit::delete(left.start_byte()..right.start_byte())
    }])
}

/// `if x` becomes `if x and y`, where `y` is a variable at hand.
pub(super) fn operand_added(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let condition = *dice.pick(&survey.conditions)?;
    if !matches!(
        kind_of(condition.node),
        Kind::Identifier | Kind::Attribute | Kind::Call | Kind::Subscript | Kind::Comparison | Kind::Not
    ) {
        return None;
    }
    let name = dice.pick(survey.variables(condition.scope))?;
    let word = if dice.chance(0.6) { "and" } else { "or" };
    let not = if dice.chance(0.3) { "not " } else { "" };
    Some(vec![Edit::insert(condition.node.end_byte(), format!(" {word} {not}{name}"))])
}

#[cfg(test)]
mod tests {
    use super::super::tests::results;

    #[test]
    fn conditions_are_negated_weakened_and_widened() {
        let has = |found: Vec<String>, text: &str| found.iter().any(|code| code.contains(text));
        assert!(has(results(super::negated), "while not (i < len(left) and j < len(right)):"));
        assert!(has(results(super::negated), "if not compare("));
        assert!(has(results(super::not_removed), "left is None or right:"));
        assert!(has(results(super::operand_dropped), "if left is None:"));
        assert!(has(results(super::operand_dropped), "if not right:"));
        assert!(has(results(super::operand_added), "<= 0 and merged:"));
    }
}

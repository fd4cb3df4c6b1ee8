//! The wrong operator: arithmetic, logic, comparison.

use tree_sitter::Node;

use crate::python::Kind;
use crate::python::kind_of;
use crate::simulate::dice::Dice;
use crate::simulate::edit::Edit;
use crate::simulate::survey::Survey;

/// `+` for `-`, `*` for `+`, `//` for `/`.
pub(super) fn arithmetic(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let node = *dice.pick(&survey.binaries)?;
    let operator = node.child_by_field_name("operator")?;
    // `'...' % x` formats a text: nobody mistakes that for arithmetic.
    if node.child_by_field_name("left").is_some_and(|left| kind_of(left) == Kind::String) {
        return None;
    }
    replaced(survey, dice, operator, |old| match old {
        "+" => &["-", "-", "*"],
        "-" => &["+"],
        "*" => &["+", "/"],
        "/" => &["//", "*"],
        "//" => &["/", "%"],
        "%" => &["//"],
        "**" => &["*"],
        "<<" => &[">>"],
        ">>" => &["<<"],
        "&" => &["|"],
        "|" | "^" => &["&"],
        _ => &[],
    })
}

/// `and` for `or`.
pub(super) fn logic(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let operator = dice.pick(&survey.booleans)?.child_by_field_name("operator")?;
    replaced(survey, dice, operator, |old| match old {
        "and" => &["or"],
        "or" => &["and"],
        _ => &[],
    })
}

/// `-=` for `+=`.
pub(super) fn augmented(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let operator = dice.pick(&survey.augmented)?.child_by_field_name("operator")?;
    replaced(survey, dice, operator, |old| match old {
        "+=" => &["-=", "="],
        "-=" => &["+="],
        "*=" => &["+=", "/="],
        "/=" => &["//=", "*="],
        "//=" => &["/="],
        "|=" => &["&=", "="],
        "&=" => &["|="],
        _ => &[],
    })
}

/// `<=` for `<`, `==` for `!=`, `not in` for `in`.
pub(super) fn comparison(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let node = dice.pick(&survey.comparisons)?;
    let operator = node.child_by_field_name("operators")?;
    replaced(survey, dice, operator, |old| match old {
        "<" => &["<=", ">"],
        "<=" => &["<", "<", ">="],
        ">" => &[">=", "<"],
        ">=" => &[">", ">", "<="],
        "==" => &["!=", ">="],
        "!=" => &["==", "is not"],
        "in" => &["not in", "=="],
        "not in" => &["in"],
        "is" => &["is not", "=="],
        "is not" => &["is", "!="],
        _ => &[],
    })
}

fn replaced(
    survey: &Survey<'_>,
    dice: &mut Dice,
    operator: Node<'_>,
    choices: impl Fn(&str) -> &'static [&'static str],
) -> Option<Vec<Edit>> {
    let old = survey.text.get(operator.byte_range())?;
    let new = dice.pick(choices(old))?;
    Some(vec![Edit::replace(operator.byte_range(), *new)])
}

#[cfg(test)]
mod tests {
    use super::super::tests::results;

    #[test]
    fn each_operator_is_mistaken_for_a_near_one() {
        let has = |found: Vec<String>, text: &str| found.iter().any(|code| code.contains(text));
        assert!(has(results(super::arithmetic), "right[j - 1]"));
        assert!(has(results(super::logic), "left is None and not right"));
        assert!(has(results(super::augmented), "i -= 1"));
        assert!(has(results(super::comparison), "while i <= len(left)"));
        assert!(has(results(super::comparison), "left is not None or"));
    }
}

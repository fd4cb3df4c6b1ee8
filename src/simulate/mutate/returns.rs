//! The wrong result: not returned, returned too early, returned as something else.

use crate::python::{Kind, kind_of};
use crate::simulate::dice::Dice;
use crate::simulate::edit::Edit;
use crate::simulate::survey::{Statement, Survey};

fn returns<'s, 't>(survey: &'s Survey<'t>) -> Vec<&'s Statement<'t>> {
    let value = |statement: &&Statement<'_>| {
        statement.kind == Kind::Return && statement.whole && statement.node.child_count() == 2
    };
    survey.statements.iter().filter(value).collect()
}

/// `return x` becomes `x`, or nothing at all in the middle of a block.
pub(super) fn missing(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let all = returns(survey);
    let statement = *dice.pick(&all)?;
    let value = statement.node.child(1)?;
    let name = survey.text.get(value.byte_range())?;
    let edit = match kind_of(value) {
        Kind::Identifier if dice.chance(0.3) => Edit::replace(statement.node.byte_range(), format!("print({name})")),
        Kind::Identifier | Kind::None | Kind::True | Kind::False => Edit::replace(statement.node.byte_range(), "pass"),
        _ => Edit::delete(statement.node.start_byte()..value.start_byte()),
    };
    Some(vec![edit])
}

/// The result is returned at the end of a loop's body, after one round.
pub(super) fn early(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let places: Vec<&Statement<'_>> = survey
        .blocks
        .iter()
        .filter(|block| matches!(block.owner, Kind::For | Kind::While))
        .filter_map(|block| survey.statements.get(*block.statements.last()?))
        .filter(|last| last.whole && !matches!(last.kind, Kind::Return | Kind::Break | Kind::Continue | Kind::Raise))
        .collect();
    let last = *dice.pick(&places)?;
    let result = returns(survey)
        .into_iter()
        .rev()
        .find(|statement| statement.scope == last.scope)
        .and_then(|statement| survey.text.get(statement.node.byte_range()))
        .filter(|text| text.len() < 60 && !text.contains('\n'));
    let text = result.filter(|_| last.scope != 0).unwrap_or("break");
    Some(vec![Edit::insert(last.node.end_byte(), format!("\n{}{text}", survey.indent(last)))])
}

/// `return x` becomes `return str(x)` or the like.
pub(super) fn wrapped(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let all = returns(survey);
    let value = dice.pick(&all)?.node.child(1)?;
    let (before, after) = match kind_of(value) {
        Kind::Identifier | Kind::Call | Kind::Attribute | Kind::Subscript | Kind::Binary => match dice.below(6) {
            0 => ("list(", ")"),
            1 => ("str(", ")"),
            2 => ("not ", ""),
            3 => ("", " or None"),
            4 => ("bool(", ")"),
            _ => ("[", "]"),
        },
        Kind::Comparison | Kind::True | Kind::False | Kind::Boolean => ("not (", ")"),
        Kind::List | Kind::ListComprehension | Kind::Tuple => ("set(", ")"),
        Kind::Integer | Kind::Float | Kind::String => ("[", "]"),
        Kind::None => ("", ", None"),
        Kind::Other => ("list((", "))"),
        _ => return None,
    };
    let mut edits = Vec::with_capacity(2);
    for (at, text) in [(value.start_byte(), before), (value.end_byte(), after)] {
        if !text.is_empty() {
            edits.push(Edit::insert(at, text));
        }
    }
    Some(edits)
}

#[cfg(test)]
mod tests {
    use super::super::tests::results;

    #[test]
    fn results_get_lost_come_early_or_change() {
        let has = |found: Vec<String>, text: &str| found.iter().any(|code| code.contains(text));
        assert!(has(results(super::missing), "\n    merged, label\n"));
        assert!(has(results(super::early), "merged.append(total)\n        return merged, label\n"));
        assert!(has(results(super::wrapped), "return set([])"));
    }
}

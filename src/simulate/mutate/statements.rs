//! Wrong statements: dropped, reordered, repeated, cut off, guarded where they should not be.

use crate::python::Kind;
use crate::simulate::dice::Dice;
use crate::simulate::edit::Edit;
use crate::simulate::survey::{Block, Statement, Survey};

/// The statements of a block that can be moved: whole lines, no docstring, no import.
fn movable<'s, 't>(survey: &'s Survey<'t>, block: &Block) -> Vec<&'s Statement<'t>> {
    block
        .statements
        .iter()
        .filter_map(|n| survey.statements.get(*n))
        .filter(|s| s.whole && !s.docstring && !matches!(s.kind, Kind::Import | Kind::ImportFrom | Kind::Future))
        .collect()
}

fn is_definition(statement: &Statement<'_>) -> bool {
    matches!(statement.kind, Kind::Function | Kind::Class | Kind::Decorated)
}

fn is_simple(statement: &Statement<'_>) -> bool {
    matches!(statement.kind, Kind::ExpressionStatement | Kind::Assert | Kind::Delete)
}

fn ends_block(statement: &Statement<'_>) -> bool {
    matches!(statement.kind, Kind::Return | Kind::Raise | Kind::Break | Kind::Continue)
}

/// Deletes the lines of a run of statements; a block that would be empty gets `pass`.
fn without(survey: &Survey<'_>, block: &Block, first: &Statement<'_>, last: &Statement<'_>) -> Edit {
    let range = first.lines.start..last.lines.end;
    let rest = block
        .statements
        .iter()
        .filter_map(|n| survey.statements.get(*n))
        .any(|s| s.lines.start < range.start || s.lines.start >= range.end);
    let text = if rest { String::new() } else { format!("{}pass\n", survey.indent(first)) };
    Edit::replace(range, text)
}

/// A statement is left out.
pub(super) fn dropped(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let block = dice.pick(&survey.blocks)?;
    let all = movable(survey, block);
    let statement = *dice.pick(&all)?;
    let short = statement.lines.len() < 200;
    (short && !is_definition(statement) && statement.kind != Kind::Pass)
        .then(|| vec![without(survey, block, statement, statement)])
}

/// Two neighbours change places.
pub(super) fn reordered(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let all = movable(survey, dice.pick(&survey.blocks)?);
    let pairs: Vec<_> = all
        .windows(2)
        .filter(|pair| !is_definition(pair[0]) && !is_definition(pair[1]))
        .filter(|pair| pair[1].lines.start >= pair[0].lines.end && !ends_block(pair[1]))
        .collect();
    let pair = dice.pick(&pairs)?;
    let (a, b) = (pair[0].node.byte_range(), pair[1].node.byte_range());
    let (first, second) = (survey.text.get(a.clone())?, survey.text.get(b.clone())?);
    Some(vec![Edit::replace(a, second), Edit::replace(b, first)])
}

/// A simple statement stands twice.
pub(super) fn repeated(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let simple: Vec<&Statement<'_>> =
        survey.statements.iter().filter(|s| s.whole && is_simple(s) && !s.docstring && s.lines.len() < 200).collect();
    let statement = *dice.pick(&simple)?;
    Some(vec![twice(survey, statement)?])
}

fn twice(survey: &Survey<'_>, statement: &Statement<'_>) -> Option<Edit> {
    let text = survey.text.get(statement.node.byte_range())?;
    let indent = survey.indent(statement);
    Some(Edit::insert(statement.node.end_byte(), format!("\n{indent}{text}")))
}

/// An `if` that only leaves (a guard) is left out.
pub(super) fn guard_dropped(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let mut guards = Vec::new();
    for block in &survey.blocks {
        for statement in movable(survey, block) {
            let only_if = statement.kind == Kind::If && statement.node.child_by_field_name("alternative").is_none();
            let leaves = survey.statements.iter().any(|inner| {
                ends_block(inner)
                    && inner.node.start_byte() > statement.node.start_byte()
                    && inner.node.end_byte() == statement.node.end_byte()
            });
            if only_if && leaves {
                guards.push((block, statement));
            }
        }
    }
    let (block, statement) = *dice.pick(&guards)?;
    Some(vec![without(survey, block, statement, statement)])
}

/// A guard is added at the beginning of a function: wrong for empty values, which the code could handle.
pub(super) fn guard_added(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let bodies: Vec<&Statement<'_>> = survey
        .blocks
        .iter()
        .filter(|block| block.owner == Kind::Function)
        .filter_map(|block| movable(survey, block).first().copied())
        .collect();
    let first = *dice.pick(&bodies)?;
    let head = first.node.parent()?.parent()?.child_by_field_name("parameters")?;
    let head = survey.text.get(head.byte_range())?;
    let words: Vec<&str> = head.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let bound = survey.variables(first.scope).iter();
    let parameters: Vec<&&str> = bound.filter(|name| words.contains(*name)).collect();
    let name = dice.pick(&parameters)?;
    let indent = survey.indent(first);
    let leave = dice.word(&["return None", "return", "raise ValueError", "return False"]);
    let text = format!("{indent}if not {name}:\n{indent}    {leave}\n");
    Some(vec![Edit::insert(first.lines.start, text)])
}

/// An assignment before a loop is repeated inside, where it starts over in every round.
pub(super) fn reset_in_loop(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let mut places = Vec::new();
    for block in survey.blocks.iter().filter(|block| matches!(block.owner, Kind::For | Kind::While)) {
        let Some(first) = movable(survey, block).first().copied() else {
            continue;
        };
        let before = survey.statements.iter().rev().filter(|s| {
            s.kind == Kind::ExpressionStatement
                && s.whole
                && s.scope == first.scope
                && s.lines.end < first.lines.start
                && s.lines.len() < 80
                && s.node.child(0).is_some_and(|c| crate::python::kind_of(c) == Kind::Assignment)
        });
        places.extend(before.take(2).map(|assignment| (first, assignment)));
    }
    let (first, assignment) = *dice.pick(&places)?;
    let text = survey.text.get(assignment.node.byte_range())?;
    Some(vec![Edit::insert(first.lines.start, format!("{}{text}\n", survey.indent(first)))])
}

/// The end of a body is missing.
pub(super) fn truncated(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let bodies: Vec<_> = survey
        .blocks
        .iter()
        .filter(|block| matches!(block.owner, Kind::Function | Kind::Class | Kind::Other))
        .map(|block| (block, movable(survey, block)))
        .filter(|(_, all)| all.len() >= 2)
        .collect();
    let (block, all) = dice.pick(&bodies)?;
    let from = all.len() - 1 - dice.below(all.len() / 2);
    let mut edit = without(survey, block, all.get(from)?, all.last()?);
    let indent = survey.indent(all[from]);
    match dice.below(4) {
        0 => edit.text = format!("{indent}pass\n"),
        1 => edit.text = format!("{indent}# TODO: handle the remaining cases\n{indent}pass\n"),
        _ => {}
    }
    Some(vec![edit])
}

/// The whole body becomes a stub, for code that offers no other place for a bug.
pub(super) fn stubbed(survey: &Survey<'_>) -> Option<Vec<Edit>> {
    let block = survey.blocks.iter().find(|block| matches!(block.owner, Kind::Function | Kind::Class));
    let statements: Vec<&Statement<'_>> =
        block?.statements.iter().filter_map(|n| survey.statements.get(*n)).filter(|s| !s.docstring).collect();
    let (Some(first), Some(last)) = (statements.first(), statements.last()) else {
        let doc = survey.statements.get(*block?.statements.first()?)?;
        let indent = survey.indent(doc);
        return Some(vec![Edit::insert(doc.node.end_byte(), format!("\n{indent}raise NotImplementedError"))]);
    };
    Some(vec![Edit::replace(first.node.start_byte()..last.node.end_byte(), "raise NotImplementedError")])
}

#[cfg(test)]
mod tests {
    use super::super::tests::results;

    #[test]
    fn statements_are_dropped_swapped_repeated_and_cut_off() {
        let has = |found: Vec<String>, text: &str| found.iter().any(|code| code.contains(text));
        assert!(has(results(super::dropped), "<= 0:\n            i += 1\n"));
        assert!(has(results(super::reordered), "i += 1\n            merged.append(left[i])"));
        assert!(has(results(super::repeated), "j += 1\n            j += 1\n"));
        assert!(results(super::truncated).iter().any(|code| !code.contains("return merged")));
    }

    #[test]
    fn guards_come_and_go_and_sums_start_over() {
        let has = |found: Vec<String>, text: &str| found.iter().any(|code| code.contains(text));
        assert!(has(results(super::guard_dropped), "lists.\"\"\"\n    merged = []"));
        assert!(has(results(super::guard_added), "    if not limit:\n        return"));
        assert!(has(results(super::reset_in_loop), "j < len(right):\n        i = j = 0\n"));
    }
}

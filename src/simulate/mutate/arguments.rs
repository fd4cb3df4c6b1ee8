//! The wrong arguments: swapped, left out, off by one.

use tree_sitter::Node;

use crate::python::{Kind, kind_of};
use crate::simulate::dice::Dice;
use crate::simulate::edit::Edit;
use crate::simulate::survey::Survey;

fn arguments(call: Node<'_>) -> Vec<Node<'_>> {
    let Some(list) = call.child_by_field_name("arguments") else {
        return Vec::new();
    };
    if kind_of(list) != Kind::Arguments {
        return Vec::new();
    }
    let mut cursor = list.walk();
    list.named_children(&mut cursor).filter(|child| kind_of(*child) != Kind::Comment).collect()
}

fn is_plain(node: Node<'_>) -> bool {
    !matches!(kind_of(node), Kind::KeywordArgument | Kind::ListSplat | Kind::DictionarySplat)
}

/// Two neighbouring positional arguments change places.
pub(super) fn swapped(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let pairs: Vec<(Node<'_>, Node<'_>)> = survey
        .calls
        .iter()
        .flat_map(|call| {
            let all = arguments(*call);
            all.windows(2)
                .filter(|pair| is_plain(pair[0]) && is_plain(pair[1]))
                .map(|pair| (pair[0], pair[1]))
                .collect::<Vec<_>>()
        })
        .collect();
    let (a, b) = *dice.pick(&pairs)?;
    let (first, second) = (survey.text.get(a.byte_range())?, survey.text.get(b.byte_range())?);
    Some(vec![Edit::replace(a.byte_range(), second), Edit::replace(b.byte_range(), first)])
}

/// The last argument of several, or a keyword argument, is left out.
pub(super) fn dropped(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let all = arguments(*dice.pick(&survey.calls)?);
    let [.., before, last] = all.as_slice() else {
        return None;
    };
    Some(vec![Edit::delete(before.end_byte()..last.end_byte())])
}

/// `range(n)` becomes `range(n - 1)`, `len(x)` becomes `len(x) - 1`.
pub(super) fn off_by_one(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let fitting: Vec<Node<'_>> = survey
        .calls
        .iter()
        .copied()
        .filter(|call| {
            let function = call.child_by_field_name("function");
            let name = function.and_then(|node| survey.text.get(node.byte_range()));
            matches!(name, Some("range" | "len"))
        })
        .collect();
    let call = *dice.pick(&fitting)?;
    let shift = if dice.chance(0.7) { " - 1" } else { " + 1" };
    let counts = survey.text.get(call.byte_range())?.starts_with("len");
    let at = if counts { call.end_byte() } else { arguments(call).last()?.end_byte() };
    Some(vec![Edit::insert(at, shift)])
}

#[cfg(test)]
mod tests {
    use super::super::tests::results;

    #[test]
    fn arguments_are_swapped_dropped_and_shifted() {
        let has = |found: Vec<String>, text: &str| found.iter().any(|code| code.contains(text));
        assert!(has(results(super::swapped), "compare(right[j], left[i], key=key)"));
        assert!(has(results(super::dropped), "compare(left[i], right[j])"));
        assert!(has(results(super::off_by_one), "len(left) - 1"));
    }
}

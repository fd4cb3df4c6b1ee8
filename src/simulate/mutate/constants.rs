//! The wrong constant: numbers, truth values, texts, slice bounds, indices.

use crate::python::{Kind, kind_of};
use crate::simulate::dice::Dice;
use crate::simulate::edit::Edit;
use crate::simulate::survey::Survey;

/// A number off by one, doubled or zeroed; `True` for `False`.
pub(super) fn number(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let node = *dice.pick(&survey.constants)?;
    let old = survey.of(node);
    let new = match kind_of(node) {
        Kind::True => "False".to_owned(),
        Kind::False => "True".to_owned(),
        Kind::Integer => {
            let value: u64 = old.parse().ok()?;
            match (value, dice.below(4)) {
                (0, _) => "1".to_owned(),
                (1, 0..2) => "0".to_owned(),
                (_, 0) => (value - 1).to_string(),
                (_, 1) if value > 4 => (value / 2).to_string(),
                (_, 2) if value.is_multiple_of(10) && value > 10 => (value / 10).to_string(),
                (_, 2) if value > 20 => value.saturating_mul(10).to_string(),
                _ => value.checked_add(1)?.to_string(),
            }
        }
        Kind::Float => {
            let (whole, part) = old.split_once('.')?;
            let whole: u64 = whole.parse().ok()?;
            format!("{}.{part}", if dice.chance(0.5) { whole.saturating_add(1) } else { whole.saturating_mul(10) })
        }
        _ => return None,
    };
    Some(vec![Edit::replace(node.byte_range(), new)])
}

/// A text with other spacing, case or a letter too few: the wrong key, the wrong separator.
pub(super) fn text(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let node = *dice.pick(&survey.strings)?;
    let content = node.child(1).filter(|child| kind_of(*child) == Kind::StringContent)?;
    if node.child_count() != 3 {
        return None;
    }
    let old = survey.of(content);
    if old.len() > 40 || old.contains(['\\', '%', '{', '\n']) || !old.is_ascii() {
        return None;
    }
    let new = match dice.below(5) {
        0 if old.ends_with(' ') => old.trim_end().to_owned(),
        0 => format!("{old} "),
        1 if old.contains('_') => old.replacen('_', "-", 1),
        1 if old.contains('-') => old.replacen('-', "_", 1),
        2 if old.len() > 3 && old.ends_with('s') => old[..old.len() - 1].to_owned(),
        2 if old.chars().all(|c| c.is_ascii_alphabetic()) => format!("{old}s"),
        3 if old.chars().any(|c| c.is_ascii_lowercase()) => old.to_ascii_uppercase(),
        3 => old.to_ascii_lowercase(),
        _ if old.len() > 3 => {
            let at = 1 + dice.below(old.len() - 2);
            let (a, b) = (&old[at..=at], &old[at + 1..at + 2]);
            format!("{}{b}{a}{}", &old[..at], &old[at + 2..])
        }
        _ => return None,
    };
    Some(vec![Edit::replace(content.byte_range(), new)])
}

/// `x[1:]` becomes `x[:]`, `x[:n]` becomes `x[:]`.
pub(super) fn slice_bound_dropped(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let slice = *dice.pick(&survey.slices)?;
    let bounds: Vec<_> =
        (0..slice.child_count()).filter_map(|n| slice.child(n)).filter(tree_sitter::Node::is_named).collect();
    let bound = dice.pick(&bounds)?;
    Some(vec![Edit::delete(bound.byte_range())])
}

/// `x[i]` becomes `x[i + 1]`.
pub(super) fn index_shifted(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let subscript = dice.pick(&survey.subscripts)?;
    let index = subscript.child_by_field_name("subscript")?;
    if !matches!(kind_of(index), Kind::Identifier | Kind::Integer | Kind::Attribute) {
        return None;
    }
    let shift = if dice.chance(0.5) { " + 1" } else { " - 1" };
    Some(vec![Edit::insert(index.end_byte(), shift)])
}

#[cfg(test)]
mod tests {
    use super::super::tests::results;

    #[test]
    fn numbers_texts_bounds_and_indices_go_wrong() {
        let has = |found: Vec<String>, text: &str| found.iter().any(|code| code.contains(text));
        assert!(has(results(super::number), "limit=11"));
        assert!(has(results(super::number), "i = j = 1"));
        assert!(has(results(super::text), "','.join"));
        assert!(has(results(super::slice_bound_dropped), "left[:limit]"));
        assert!(has(results(super::index_shifted), "left[i + 1]"));
    }
}

//! Realistic bugs, made on the syntax tree: each family knows one way in which weak models go wrong.
//!
//! A family proposes edits for a surveyed snippet or declines; it never looks at what others did. All but
//! [`syntax`] leave code that parses. The weights below are balanced so that a bug makes code longer about as often
//! and about as much as shorter: length must not tell chosen from rejected.

mod arguments;
mod conditions;
mod constants;
mod names;
mod operators;
mod returns;
mod statements;
mod syntax;

use super::dice::Dice;
use super::edit::{Edit, Edits};
use super::survey::Survey;

type Family = fn(&Survey<'_>, &mut Dice) -> Option<Vec<Edit>>;

/// Each family with its weight.
const FAMILIES: &[(u32, Family)] = &[
    // About as long as before.
    (10, operators::arithmetic),
    (6, operators::logic),
    (5, operators::augmented),
    (14, operators::comparison),
    (10, constants::number),
    (5, constants::text),
    (12, names::variable),
    (5, names::attribute),
    (7, arguments::swapped),
    (6, statements::reordered),
    // Shorter.
    (4, arguments::dropped),
    (3, conditions::operand_dropped),
    (3, conditions::not_removed),
    (7, statements::dropped),
    (4, statements::guard_dropped),
    (6, statements::truncated),
    (5, returns::missing),
    (3, constants::slice_bound_dropped),
    // Longer.
    (4, arguments::off_by_one),
    (4, conditions::operand_added),
    (5, conditions::negated),
    (6, statements::repeated),
    (3, statements::guard_added),
    (4, statements::reset_in_loop),
    (5, returns::early),
    (5, returns::wrapped),
    (3, constants::index_shifted),
];

/// Adds up to `count` bugs to `edits`; returns how many found a place.
pub(super) fn bugs(survey: &Survey<'_>, dice: &mut Dice, count: usize, edits: &mut Edits) -> usize {
    let total: u32 = FAMILIES.iter().map(|(weight, _)| weight).sum();
    let mut made = 0;
    for _ in 0..count * 12 {
        if made == count {
            break;
        }
        let mut at = dice.below(total as usize) as u32;
        let family = FAMILIES.iter().find(|(weight, _)| {
            let here = at < *weight;
            at = at.saturating_sub(*weight);
            here
        });
        if let Some((_, family)) = family
            && let Some(proposal) = family(survey, dice)
            && edits.take(survey.text, proposal)
        {
            made += 1;
        }
    }
    if made == 0 && count > 0 {
        made += usize::from(statements::stubbed(survey).is_some_and(|proposal| edits.take(survey.text, proposal)));
    }
    made
}

/// Breaks the syntax of finished code.
pub(super) fn break_syntax(code: &str, dice: &mut Dice) -> String {
    syntax::broken(code, dice)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::python::{Parser, syntax_fault};

    pub(super) const CODE: &str = "\
def merge(left, right, key=None, limit=10):
    \"\"\"Merge two sorted lists.\"\"\"
    if left is None or not right:
        return []
    merged = []
    i = j = 0
    while i < len(left) and j < len(right):
        if compare(left[i], right[j], key=key) <= 0:
            merged.append(left[i])
            i += 1
        else:
            merged.append(right[j + 1])
            j += 1
    for item in left[i:limit]:
        total = item.size + limit * 2
        merged.append(total)
    label = ', '.join(str(x) for x in merged)
    return merged, label
";

    /// All results that `family` reaches on [`CODE`].
    pub(super) fn results(family: Family) -> Vec<String> {
        let parsed = Parser::new().parse(CODE);
        let survey = Survey::new(parsed.tree().unwrap(), CODE);
        let mut found: Vec<String> = (0..200u32)
            .filter_map(|n| {
                let mut edits = Edits::default();
                let proposal = family(&survey, &mut Dice::of(&[&n.to_le_bytes()]))?;
                edits.take(CODE, proposal).then(|| edits.apply(CODE))
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }

    #[test]
    fn every_family_finds_a_place_and_leaves_code_that_parses() {
        let mut parser = Parser::new();
        for (n, (_, family)) in FAMILIES.iter().enumerate() {
            let results = results(*family);
            assert!(!results.is_empty(), "family {n} found no place");
            for code in results {
                assert_eq!(syntax_fault(&mut parser, &code), None, "family {n}:\n{code}");
                assert_ne!(code, CODE);
            }
        }
    }

    #[test]
    fn a_body_with_nothing_to_change_becomes_a_stub() {
        let code = "def f(self):\n    pass\n";
        let parsed = Parser::new().parse(code);
        let survey = Survey::new(parsed.tree().unwrap(), code);
        let mut edits = Edits::default();
        assert_eq!(bugs(&survey, &mut Dice::of(&[]), 2, &mut edits), 1);
        assert!(edits.apply(code).contains("raise NotImplementedError"));
    }

    #[test]
    fn the_same_dice_make_the_same_bugs() {
        let parsed = Parser::new().parse(CODE);
        let survey = Survey::new(parsed.tree().unwrap(), CODE);
        let run = |seed: &[u8]| {
            let mut edits = Edits::default();
            bugs(&survey, &mut Dice::of(&[seed]), 3, &mut edits);
            edits.apply(CODE)
        };
        assert_eq!(run(b"a"), run(b"a"));
        assert_ne!(run(b"a"), run(b"b"));
    }
}

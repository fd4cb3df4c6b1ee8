//! The description that the describer writes: an instruction a person could have given to get the code.

use crate::python::Unit;

use super::dice::Dice;
use super::facts::Facts;
use super::mention::parameters;
use super::wording::{purpose, purpose_of_name};

/// How many ways there are to word a description. They are few so that the code models can write each of them again
/// to tell apart snippets that are called the same.
pub(super) const WORDINGS: u8 = 6;

/// Describes a snippet that descriptions call `mention`, in one of [`WORDINGS`] ways.
pub(super) fn description(facts: &Facts, unit: Unit, mention: &str, seed: u64, wording: u8) -> String {
    let wording = wording % WORDINGS;
    let mut dice = Dice::of(&[b"describe", &seed.to_le_bytes(), &[wording], mention.as_bytes()]);
    let kind = match unit {
        Unit::Function => "function",
        Unit::Method => "method",
        Unit::Class => "class",
        Unit::Module => "module",
    };
    let stated = facts.sentences.first();
    let goal = stated.and_then(|sentence| purpose(sentence));
    let unstated = stated.filter(|_| goal.is_none());
    let goal = goal.unwrap_or_else(|| match unit {
        Unit::Function | Unit::Method => purpose_of_name(&facts.name),
        Unit::Class | Unit::Module => provides(&facts.parts),
    });
    let mut out = match wording {
        0 => format!("Write a Python {kind} `{mention}` that {goal}."),
        1 => format!("Implement the {kind} `{mention}` in Python. It {goal}."),
        2 => format!("I need a Python {kind}, `{mention}`, which {goal}."),
        3 => format!("Please write `{mention}`, a Python {kind} that {goal}."),
        4 => format!("Create a Python {kind} `{mention}`. The {kind} {goal}."),
        _ => format!("Could you write the Python {kind} `{mention}`? It {goal}."),
    };
    if let Some(sentence) = unstated {
        let lead = dice.word(&["In short:", "Its purpose:", "To be precise:"]);
        out.extend([" ", lead, " ", sentence]);
    }
    for sentence in details(facts, unit, &mut dice) {
        out.push(' ');
        out.push_str(&sentence);
    }
    out
}

fn provides(parts: &[String]) -> String {
    if parts.is_empty() {
        return "holds what its name says".to_owned();
    }
    format!("provides {}", listed(parts))
}

fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

/// Further sentences, each of which appears by chance.
fn details(facts: &Facts, unit: Unit, dice: &mut Dice) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(second) = facts.sentences.get(1).filter(|_| dice.chance(0.7)) {
        found.push(second.clone());
    }
    if matches!(unit, Unit::Function | Unit::Method) {
        let defaults: Vec<String> = parameters(&facts.signature)
            .iter()
            .filter_map(|p| p.default.filter(|d| d.len() < 24).map(|d| format!("`{}` defaults to {d}", p.name)))
            .take(3)
            .collect();
        if !defaults.is_empty() && dice.chance(0.6) {
            found.push(format!("{}.", defaults.join(", ")));
        }
    }
    for name in &facts.loops {
        if dice.chance(0.4) {
            found.push(match dice.below(2) {
                0 => format!("Go through `{name}`."),
                _ => format!("It should iterate over `{name}`."),
            });
        }
    }
    if !facts.calls.is_empty() && dice.chance(0.6) {
        let count = facts.calls.len().min(3);
        let lead = dice.word(&["Make use of", "It relies on", "Use"]);
        found.push(format!("{lead} {}.", listed(&facts.calls[..count])));
    }
    for (class, reason) in &facts.raises {
        found.push(match reason {
            Some(reason) => format!("Raise `{class}` if `{reason}`."),
            None => format!("Raise `{class}` when that is not possible."),
        });
    }
    if facts.yields {
        found.push(dice.word(&["Yield the results one by one.", "Make it a generator."]).to_owned());
    } else if let Some(what) = facts.returns.filter(|_| dice.chance(0.7)) {
        found.push(match dice.below(2) {
            0 => format!("Return {what}."),
            _ => format!("The result is {what}."),
        });
    }
    if !facts.parts.is_empty() && !facts.sentences.is_empty() && dice.chance(0.8) {
        found.push(format!("Include {}.", listed(&facts.parts)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            name: "load".to_owned(),
            signature: "def load(path, mode='r')".to_owned(),
            sentences: vec!["Load a file.".to_owned()],
            raises: vec![("ValueError".to_owned(), Some("not path".to_owned()))],
            calls: vec!["json.loads".to_owned()],
            returns: Some("a list"),
            ..Facts::default()
        }
    }

    fn of(facts: &Facts, unit: Unit, wording: u8) -> String {
        description(facts, unit, "load(path, mode)", 7, wording)
    }

    #[test]
    fn every_wording_names_the_code_and_says_what_it_does() {
        for wording in 0..WORDINGS {
            let text = of(&facts(), Unit::Function, wording);
            assert!(text.contains("`load(path, mode)`") && text.contains("loads a file"), "{text}");
            assert!(text.contains("Raise `ValueError` if `not path`."), "{text}");
            assert_eq!(text, of(&facts(), Unit::Function, wording));
        }
        assert_ne!(of(&facts(), Unit::Function, 0), of(&facts(), Unit::Function, 1));
    }

    #[test]
    fn a_sentence_without_a_verb_follows_what_the_name_says() {
        let facts = Facts { sentences: vec!["The default loader.".to_owned()], ..facts() };
        let text = of(&facts, Unit::Function, 0);
        assert!(text.contains("that loads what it is given.") && text.contains("The default loader."), "{text}");
    }

    #[test]
    fn a_class_without_a_docstring_is_described_by_its_parts() {
        let parts = ["a", "b", "c"].map(str::to_owned).to_vec();
        let text = of(&Facts { parts, ..Facts::default() }, Unit::Class, 0);
        assert!(text.contains("that provides `a`, `b` and `c`."), "{text}");
    }
}

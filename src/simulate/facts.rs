//! What a description can say about code: its signature, its docstring and what happens in its body.

use tree_sitter::Node;

use crate::python::{Kind, Limits, Parser, Snippet, Unit, kind_of};

use super::survey::Survey;
use super::wording::sentences;

/// Calls that say nothing about what code is for.
const EVERYDAY: &[&str] = &[
    "len",
    "str",
    "int",
    "float",
    "bool",
    "list",
    "dict",
    "set",
    "tuple",
    "range",
    "enumerate",
    "zip",
    "print",
    "isinstance",
    "getattr",
    "hasattr",
    "setattr",
    "super",
    "type",
    "repr",
    "iter",
    "next",
    "min",
    "max",
    "sum",
    "any",
    "all",
    "sorted",
    "map",
    "filter",
    "format",
    "ValueError",
    "TypeError",
    "KeyError",
];

/// Facts about one snippet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The snippet's own name.
    pub name: String,
    /// The signature, on one line.
    pub signature: String,
    /// The first sentences of the docstring.
    pub sentences: Vec<String>,
    /// Functions that are called, in order, without everyday ones.
    pub calls: Vec<String>,
    /// Exceptions that are raised, with the condition where it is short.
    pub raises: Vec<(String, Option<String>)>,
    /// What `for` loops go through, where it is short.
    pub loops: Vec<String>,
    /// The kind of the last result that tells one.
    pub returns: Option<&'static str>,
    /// Whether it yields values.
    pub yields: bool,
    /// Names of the functions and classes directly inside.
    pub parts: Vec<String>,
}

/// Reads the facts out of `text`, the code of one snippet. `None` where no such unit is found in it.
pub(super) fn facts(parser: &mut Parser, text: &str, unit: Unit) -> Option<(Facts, Snippet)> {
    let parsed = parser.parse(text);
    let wanted = if unit == Unit::Method { Unit::Function } else { unit };
    let snippet = parsed.snippets(text, &[wanted], &Limits::default()).into_iter().next()?;
    let survey = Survey::new(parsed.tree()?, text);
    let docstring = snippet.docstring.as_deref().unwrap_or_default();
    let facts = Facts {
        name: snippet.name.clone(),
        signature: snippet.signature.clone(),
        sentences: sentences(docstring),
        calls: calls(&survey),
        raises: raises(&survey),
        loops: loops(&survey),
        returns: returns(&survey),
        yields: survey.yields,
        parts: parts(&survey, unit),
    };
    Some((facts, snippet))
}

fn calls(survey: &Survey<'_>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for call in &survey.calls {
        let Some(function) = call.child_by_field_name("function") else {
            continue;
        };
        let name = survey.of(function).trim_start_matches("self.");
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'));
        if plain && name.len() < 32 && !EVERYDAY.contains(&name) && !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
        if found.len() == 6 {
            break;
        }
    }
    found
}

fn raises(survey: &Survey<'_>) -> Vec<(String, Option<String>)> {
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    for raise in &survey.raises {
        let Some(value) = raise.named_child(0) else {
            continue;
        };
        let class = match kind_of(value) {
            Kind::Call => value.child_by_field_name("function").map(|function| survey.of(function)),
            Kind::Identifier | Kind::Attribute => Some(survey.of(value)),
            _ => None,
        };
        let class = class.filter(|class| class.len() < 40 && class.starts_with(char::is_uppercase));
        if let Some(class) = class
            && found.len() < 3
            && !found.iter().any(|(known, _)| known == class)
        {
            found.push((class.to_owned(), reason(survey, *raise)));
        }
    }
    found
}

/// The condition of the `if` that a statement stands under.
fn reason(survey: &Survey<'_>, statement: Node<'_>) -> Option<String> {
    let owner = statement.parent()?.parent()?;
    if !matches!(kind_of(owner), Kind::If | Kind::Elif) {
        return None;
    }
    let condition = owner.child_by_field_name("condition")?;
    let text = survey.text.get(condition.byte_range())?;
    short(text).then(|| text.to_owned())
}

fn short(text: &str) -> bool {
    text.len() <= 40 && !text.contains(['\n', '`'])
}

fn loops(survey: &Survey<'_>) -> Vec<String> {
    let over = survey.loops.iter().filter_map(|node| node.child_by_field_name("right"));
    let mut found: Vec<String> =
        over.map(|node| survey.of(node)).filter(|text| short(text)).map(str::to_owned).collect();
    found.dedup();
    found.truncate(2);
    found
}

fn returns(survey: &Survey<'_>) -> Option<&'static str> {
    survey.statements.iter().rev().filter(|s| s.kind == Kind::Return).find_map(|s| {
        Some(match kind_of(s.node.child(1)?) {
            Kind::List | Kind::ListComprehension => "a list",
            Kind::Dictionary | Kind::DictionaryComprehension => "a dictionary",
            Kind::Set | Kind::SetComprehension => "a set",
            Kind::Tuple => "a tuple",
            Kind::String | Kind::ConcatenatedString => "a string",
            Kind::True | Kind::False | Kind::Comparison | Kind::Not => "a truth value",
            Kind::Generator => "a generator",
            Kind::Lambda => "a function",
            _ => return None,
        })
    })
}

fn parts(survey: &Survey<'_>, unit: Unit) -> Vec<String> {
    let owner = match unit {
        Unit::Class => Kind::Class,
        Unit::Module => Kind::Other,
        Unit::Function | Unit::Method => return Vec::new(),
    };
    let Some(block) = survey.blocks.iter().find(|block| block.owner == owner) else {
        return Vec::new();
    };
    let names = block.statements.iter().filter_map(|n| survey.statements.get(*n)).filter_map(|s| {
        let node = match s.kind {
            Kind::Function | Kind::Class => s.node,
            Kind::Decorated => s.node.child_by_field_name("definition")?,
            _ => return None,
        };
        node.child_by_field_name("name").map(|name| survey.of(name).to_owned())
    });
    names.take(6).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_function_s_facts_are_read_from_its_body() {
        let code = "@cached\ndef load(path, mode='r'):\n    \"\"\"Load it. At once.\"\"\"\n    if not path:\n        \
                    raise ValueError('path')\n    for line in path.lines:\n        print(json.loads(line))\n    \
                    self.log(path)\n    return [path]\n";
        let (facts, snippet) = facts(&mut Parser::new(), code, Unit::Method).unwrap();
        assert_eq!(snippet.unit, Unit::Function);
        assert_eq!(facts.name, "load");
        assert_eq!(facts.sentences, ["Load it.", "At once."]);
        assert_eq!(facts.calls, ["json.loads", "log"]);
        assert_eq!(facts.raises, [("ValueError".to_owned(), Some("not path".to_owned()))]);
        assert_eq!((facts.loops, facts.returns), (vec!["path.lines".to_owned()], Some("a list")));
    }

    #[test]
    fn classes_and_modules_name_their_parts() {
        let code = "class A:\n    def f(self):\n        def g(): pass\n    @property\n    def h(self): pass\n";
        let of = |unit| facts(&mut Parser::new(), code, unit).unwrap().0.parts;
        assert_eq!(of(Unit::Class), ["f", "h"]);
        assert_eq!(of(Unit::Module), ["A"]);
    }
}

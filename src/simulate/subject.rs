//! What a request is about: the snippet of the corpus that it shows or names.

use std::sync::{Arc, Mutex, PoisonError};

use crate::python::{Limits, Parser, Unit, code_from_answer};

use super::cache::Cache;
use super::describe::{WORDINGS, description};
use super::dice::hash;
use super::facts::facts;
use super::index::Index;
use super::mention::{mention, spans};

/// Code to describe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// A snippet of the corpus.
    Item(u32),
    /// Other code, with the name to call it.
    Code { code: String, unit: Unit, mention: String },
    /// None at all.
    Nothing,
}

/// The code that a describer's prompt shows: its longest code block, or code without a fence.
pub(super) fn shown(index: &Index, parser: &mut Parser, question: &str) -> Shown {
    let code = code_from_answer(question).code;
    if code.is_empty() {
        return Shown::Nothing;
    }
    if let Some(at) = index.by_text(&code) {
        return Shown::Item(at);
    }
    let parts = parser.parse(&code).snippets(&code, &[Unit::Function, Unit::Class], &Limits::default());
    // Code with one definition that fills most of it is that definition, not a module.
    let main = parts.into_iter().next().filter(|part| part.text.len() * 10 > code.len() * 6);
    let (unit, mention) = main.map_or((Unit::Module, "main.py".to_owned()), |part| {
        (part.unit, mention(part.unit, &part.qualified_name, &part.signature, ""))
    });
    Shown::Code { code, unit, mention }
}

/// What follows the mention in each wording of a snippet's description.
type Endings = Arc<Vec<(u32, Vec<String>)>>;

/// Finds named snippets again. Names that several snippets share are told apart by the rest of the description, for
/// which the descriptions of all of them are written once and kept.
pub(super) struct Finder {
    seed: u64,
    endings: Mutex<Cache<u64, Endings>>,
}

impl Finder {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, endings: Mutex::new(Cache::new(4096)) }
    }

    /// The snippet that `question` asks for.
    pub(super) fn named(&self, index: &Index, parser: &mut Parser, question: &str) -> Option<u32> {
        let (span, end, items) = spans(question)
            .into_iter()
            .map(|(span, end)| (span, end, index.by_mention(span)))
            .find(|(_, _, items)| !items.is_empty())?;
        if let [only] = items {
            return Some(*only);
        }
        let rest = question.get(end..)?;
        let endings = self.endings(index, parser, span, items);
        let shared = |text: &String| {
            let common = text.bytes().zip(rest.bytes()).take_while(|(a, b)| a == b).count();
            // A whole description beats a longer one that only begins alike.
            (common == text.len(), common)
        };
        let mut best = None;
        for (item, texts) in endings.iter() {
            let score = texts.iter().map(shared).max();
            if best.as_ref().is_none_or(|(known, _)| score > *known) {
                best = Some((score, *item));
            }
        }
        best.map(|(_, item)| item)
    }

    fn endings(&self, index: &Index, parser: &mut Parser, span: &str, items: &[u32]) -> Endings {
        let key = hash(&[span.as_bytes()]);
        let lock = || self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(key) {
            return known;
        }
        let all = items.iter().filter_map(|at| Some((*at, self.wordings(index, parser, *at)?))).collect();
        let all: Endings = Arc::new(all);
        lock().insert(key, Arc::clone(&all));
        all
    }

    fn wordings(&self, index: &Index, parser: &mut Parser, at: u32) -> Option<Vec<String>> {
        let item = index.item(at)?;
        let (facts, _) = facts(parser, &index.text(at)?, item.unit)?;
        let after_mention = |wording| {
            let text = description(&facts, item.unit, &item.mention, self.seed, wording);
            let quoted = format!("`{}`", item.mention);
            let end = text.find(&quoted).map_or(0, |start| start + quoted.len());
            text[end..].to_owned()
        };
        Some((0..WORDINGS).map(after_mention).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn index() -> Index {
        let sources = [
            ("a.py", "def main():\n    \"\"\"Run the tests.\"\"\"\n    run(1)\n"),
            ("b.py", "def main():\n    \"\"\"Run the server.\"\"\"\n    serve(2)\n\ndef g(a, b=1):\n    return a\n"),
            ("c.py", "def main():\n    for x in y:\n        print(x)\n"),
        ];
        Index::from_sources(sources.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())))
    }

    #[test]
    fn every_description_leads_back_to_its_snippet() {
        let (index, mut parser, finder) = (index(), Parser::new(), Finder::new(5));
        for at in 0..index.len() as u32 {
            let item = index.item(at).unwrap();
            let (facts, _) = facts(&mut parser, &index.text(at).unwrap(), item.unit).unwrap();
            for wording in 0..WORDINGS {
                let text = description(&facts, item.unit, &item.mention, 5, wording);
                let prompt = format!("Answer in `Python`.\n\n{text}\n\nGive only the code.");
                assert_eq!(finder.named(&index, &mut parser, &prompt), Some(at), "{text}");
            }
        }
    }

    #[test]
    fn shown_code_is_found_in_a_fence_or_without_one() {
        let (index, mut parser) = (index(), Parser::new());
        let code = "def g(a, b=1):\n    return a";
        let expected = Shown::Item(index.by_mention("g(a, b)")[0]);
        for prompt in
            [format!("Describe:\n\n```python\n{code}\n```\nShort."), format!("Describe:\n\n{code}\n\nInstruction:")]
        {
            assert_eq!(shown(&index, &mut parser, &prompt), expected);
        }
        let other = shown(&index, &mut parser, "```python\ndef new(x):\n    return x\n```");
        assert!(matches!(other, Shown::Code { unit: Unit::Function, mention, .. } if mention == "new(x)"));
        assert_eq!(shown(&index, &mut parser, "Say something."), Shown::Nothing);
    }
}

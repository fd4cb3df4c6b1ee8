//! The corpus as the simulator knows it: every function, method, class and module, found by its text or by the name
//! that descriptions call it.
//!
//! Texts lie in memory once, in their documents; entries are ranges. Documents are parsed on all cores, and entries
//! come in the order of the documents whatever the threads do.

use std::collections::{HashMap, HashSet};

use crate::python::{Limits, Parser, Unit, without_margin};

use super::dice::hash;
use super::mention::mention;

/// A snippet of the corpus.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub document: u32,
    pub unit: Unit,
    pub start: u32,
    pub end: u32,
    pub mention: Box<str>,
}

/// An index of source code.
#[derive(Default)]
pub struct Index {
    documents: Vec<String>,
    items: Vec<Item>,
    by_text: HashMap<u64, u32>,
    by_mention: HashMap<u64, Vec<u32>>,
}

struct Found {
    item: Item,
    text: u64,
    /// Keys of the full mention and, for methods, of the one without the class.
    mentions: [Option<u64>; 2],
}

impl Index {
    /// Indexes documents given as path and source. Snippets with syntax errors are left out, and of equal ones with
    /// the same name only the first is kept.
    pub fn from_sources(sources: impl Iterator<Item = (String, String)>) -> Self {
        let sources: Vec<(String, String)> =
            sources.filter(|(_, source)| u32::try_from(source.len()).is_ok()).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = sources.len().div_ceil(threads).max(1);
        let found: Vec<Vec<Found>> = std::thread::scope(|scope| {
            let workers: Vec<_> = sources
                .chunks(share)
                .enumerate()
                .map(|(n, part)| scope.spawn(move || snippets(part, n * share)))
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap_or_default()).collect()
        });
        let mut index = Self::default();
        let mut seen = HashSet::new();
        for Found { item, text, mentions } in found.into_iter().flatten() {
            if !seen.insert((text, mentions[0])) {
                continue;
            }
            let at = index.items.len() as u32;
            // A module that is one class or function is asked for as that.
            let module = |at: &u32| index.item(*at).is_some_and(|item| item.unit == Unit::Module);
            if index.by_text.get(&text).is_none_or(module) {
                index.by_text.insert(text, at);
            }
            for key in mentions.into_iter().flatten() {
                index.by_mention.entry(key).or_default().push(at);
            }
            index.items.push(item);
        }
        index.documents = sources.into_iter().map(|(_, source)| source).collect();
        index
    }

    /// How many snippets it knows.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Positions of all items of these units.
    pub(super) fn of_units(&self, units: &[Unit]) -> Vec<u32> {
        let all = self.items.iter().enumerate();
        all.filter(|(_, item)| units.contains(&item.unit)).map(|(at, _)| at as u32).collect()
    }

    pub(super) fn item(&self, at: u32) -> Option<&Item> {
        self.items.get(at as usize)
    }

    /// The code of an item, without its margin.
    pub(super) fn text(&self, at: u32) -> Option<String> {
        let item = self.item(at)?;
        let source = self.documents.get(item.document as usize)?;
        Some(without_margin(source, item.start as usize..item.end as usize))
    }

    /// The item whose code is `code`, up to white space at line ends and the margin.
    pub(super) fn by_text(&self, code: &str) -> Option<u32> {
        self.by_text.get(&text_key(code)).copied()
    }

    /// All items that descriptions call `name`, in corpus order.
    pub(super) fn by_mention(&self, name: &str) -> &[u32] {
        self.by_mention.get(&hash(&[name.as_bytes()])).map_or(&[], Vec::as_slice)
    }
}

fn snippets(sources: &[(String, String)], first: usize) -> Vec<Found> {
    const UNITS: [Unit; 4] = [Unit::Function, Unit::Method, Unit::Class, Unit::Module];
    let mut parser = Parser::new();
    let mut found = Vec::new();
    let limits = Limits { nested: true, ..Limits::default() };
    for (n, (path, source)) in sources.iter().enumerate() {
        for snippet in parser.parse(source).snippets(source, &UNITS, &limits) {
            if snippet.fault.is_some() {
                continue;
            }
            let (unit, signature) = (snippet.unit, &snippet.signature);
            let full = mention(unit, &snippet.qualified_name, signature, path);
            let bare = (snippet.qualified_name != snippet.name).then(|| mention(unit, &snippet.name, signature, path));
            found.push(Found {
                text: text_key(&snippet.text),
                mentions: [Some(full.as_str()), bare.as_deref()].map(|name| name.map(|name| hash(&[name.as_bytes()]))),
                item: Item {
                    document: (first + n) as u32,
                    unit,
                    start: snippet.start_byte as u32,
                    end: snippet.end_byte as u32,
                    mention: full.into_boxed_str(),
                },
            });
        }
    }
    found
}

/// A key that ignores white space at the ends of lines and of the text.
fn text_key(code: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for line in code.trim().lines() {
        hasher.update(line.trim_end().as_bytes());
        hasher.update(b"\n");
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const A: &str = "class A:\n    def f(self, x):\n        return x  \n\n    def g(self):\n        pass\n";

    fn index(sources: &[(&str, &str)]) -> Index {
        Index::from_sources(sources.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())))
    }

    #[test]
    fn snippets_are_found_by_text_and_by_name() {
        let index = index(&[("a.py", A), ("b.py", "def f(x):\n    return 1\n")]);
        assert_eq!(index.len(), 6);
        let method = index.by_text("def f(self, x):\n    return x\n").unwrap();
        assert_eq!(&*index.item(method).unwrap().mention, "A.f(x)");
        assert_eq!(index.by_mention("A.f(x)"), [method]);
        assert_eq!(index.by_mention("f(x)").len(), 2, "the method's short name and the function");
        assert_eq!(index.text(method).unwrap(), "def f(self, x):\n    return x");
        assert_eq!(index.by_mention("b.py").len(), 1);
        assert!(index.by_mention("nothing").is_empty());
    }

    #[test]
    fn equal_code_of_equal_name_is_kept_once_and_broken_code_never() {
        let broken = "def bad(:\n    pass\n";
        let once = index(&[("a.py", A)]).len();
        let twice = index(&[("a.py", A), ("x/a.py", A), ("broken.py", broken)]);
        assert_eq!(twice.len(), once);
    }

    #[test]
    fn the_order_of_items_does_not_depend_on_threads() {
        let texts: Vec<(String, String)> =
            (0..40).map(|n| (format!("{n}.py"), format!("def f{n}():\n    return {n}\n"))).collect();
        let index = Index::from_sources(texts.into_iter());
        for n in 0..40 {
            assert_eq!(index.by_mention(&format!("f{n}()")), [n * 2 + 1]);
        }
    }
}

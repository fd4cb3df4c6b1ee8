//! Which modules a part of a document uses: names bound by imports, and where those names occur.

use std::collections::HashMap;
use std::ops::Range;

use tree_sitter::{Node, TreeCursor};

use super::kinds::{Kind, kind_of};
use super::scan::{Lexeme, lexemes};

/// One name that an import binds.
#[derive(Clone, Debug)]
pub(super) struct Import {
    /// The whole statement.
    pub statement: Range<usize>,
    /// The module as written, with its dots.
    pub module: Range<usize>,
    /// The name that the code uses; `None` for `import *`.
    pub local: Option<Range<usize>>,
    /// Inside a function, so that only what lies there sees the name.
    pub in_function: bool,
}

impl Import {
    /// Adds the names that the statement `node` binds.
    pub(super) fn collect<'tree>(
        node: Node<'tree>,
        kind: Kind,
        in_function: bool,
        side: &mut TreeCursor<'tree>,
        imports: &mut Vec<Self>,
    ) {
        side.reset(node);
        if !side.goto_first_child() {
            return;
        }
        let mut from = None;
        loop {
            let child = side.node();
            let named = match (kind_of(child), side.field_name()) {
                (_, Some("module_name")) => {
                    from = Some(child.byte_range());
                    None
                }
                (Kind::DottedName, _) => {
                    // `import a.b` binds `a`.
                    let whole = child.byte_range();
                    let local = child.child(0).map_or(whole.clone(), |first| first.byte_range());
                    Some((whole, Some(local)))
                }
                (Kind::AliasedImport, _) => {
                    let name = child.child_by_field_name("name").map(|name| name.byte_range());
                    let alias = child.child_by_field_name("alias").map(|alias| alias.byte_range());
                    name.map(|name| (name, alias))
                }
                (Kind::Wildcard, _) => Some((child.byte_range(), None)),
                _ => None,
            };
            if let Some((name, local)) = named {
                let module = match kind {
                    Kind::ImportFrom => from.clone().unwrap_or(name),
                    _ => name,
                };
                imports.push(Self { statement: node.byte_range(), module, local, in_function });
            }
            if !side.goto_next_sibling() {
                break;
            }
        }
    }
}

/// The imports of a document with every place where one of their names occurs, from one pass over the parts of the
/// text that matter.
pub(super) struct Uses<'a> {
    source: &'a str,
    imports: &'a [Import],
    /// (byte, import), in source order.
    places: Vec<(usize, usize)>,
}

impl<'a> Uses<'a> {
    /// Looks at the parts of `source` that will be asked about: in order, and none overlapping another.
    pub(super) fn new(source: &'a str, imports: &'a [Import], parts: &[Range<usize>]) -> Self {
        let mut bound: HashMap<&str, Vec<usize>> = HashMap::new();
        // One bit for each (first byte, length): most names of a text fail here and are never hashed.
        let mut likely = [0u64; 256];
        for (n, import) in imports.iter().enumerate().filter(|(_, import)| !import.in_function) {
            if let Some(local) = &import.local {
                let name = &source[local.clone()];
                let Some(first) = name.bytes().next() else {
                    continue; // a name that the grammar had to invent
                };
                likely[usize::from(first)] |= 1 << (name.len() % 64);
                bound.entry(name).or_default().push(n);
            }
        }
        let mut places = Vec::new();
        if !bound.is_empty() {
            let bytes = source.as_bytes();
            let mut look = |lexeme, start: usize, end: usize| {
                let attribute = start > 0 && bytes[start - 1] == b'.';
                let may_be = likely[usize::from(bytes[start])] >> ((end - start) % 64) & 1 == 1;
                if lexeme == Lexeme::Name
                    && may_be
                    && !attribute
                    && let Some(found) = bound.get(&source[start..end])
                {
                    places.extend(found.iter().map(|n| (start, *n)));
                }
            };
            for part in parts {
                let from = part.start;
                lexemes(&source[part.clone()], |lexeme, start, end| look(lexeme, from + start, from + end));
            }
            places.retain(|(byte, n)| !imports[*n].statement.contains(byte));
        }
        Self { source, imports, places }
    }

    /// The modules that `range` imports itself or uses by a name of the document, in the order of their imports.
    pub(super) fn of(&self, range: &Range<usize>) -> Vec<String> {
        let first = self.places.partition_point(|(byte, _)| *byte < range.start);
        let used = self.places[first..].iter().take_while(|(byte, _)| *byte < range.end).map(|(_, import)| *import);
        let own_first = self.imports.partition_point(|i| i.statement.start < range.start);
        let own_last = self.imports.partition_point(|i| i.statement.start < range.end);
        let mut found: Vec<usize> = used.chain(own_first..own_last).collect();
        found.sort_unstable();
        found.dedup();
        let mut modules: Vec<String> = Vec::with_capacity(found.len());
        for import in found {
            let module = &self.source[self.imports[import].module.clone()];
            if !modules.iter().any(|known| known == module) {
                modules.push(module.to_owned());
            }
        }
        modules
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, Parser, Unit};

    fn imports(source: &str) -> Vec<String> {
        let parsed = Parser::new().parse(source);
        parsed.snippets(source, &[Unit::Function], &Limits::default()).remove(0).imports
    }

    #[test]
    fn a_snippet_has_the_modules_that_it_uses_by_name_and_its_own() {
        let source = "import os.path\nimport numpy as np\nfrom a.b import c as d, e\nfrom . import sibling\n\
                      import unused\n\ndef f(x):\n    import json\n    np.array(d)\n    return os.sep, sibling.y\n";
        assert_eq!(imports(source), ["os.path", "numpy", "a.b", ".", "json"]);
    }

    #[test]
    fn attributes_strings_and_comments_are_no_uses() {
        let source = "import path, text, note\ndef f(x):\n    # note\n    return x.path + 'text'\n";
        assert!(imports(source).is_empty());
    }

    #[test]
    fn imports_under_try_and_if_are_the_document_s_and_named_once() {
        let source = "try:\n    import json\nexcept ImportError:\n    import simplejson as json\n\
                      def f(x):\n    return json.loads(x), json\n";
        assert_eq!(imports(source), ["json", "simplejson"]);
    }

    #[test]
    fn another_function_s_import_is_not_seen() {
        let source = "def f(x):\n    return re\ndef g():\n    import re\n";
        assert!(imports(source).is_empty());
    }

    #[test]
    fn a_name_in_an_f_string_is_a_use() {
        assert_eq!(imports("import os\ndef f():\n    return f'{os.sep}'\n"), ["os"]);
    }
}

//! Parsing one document: the tree, and the outline of what lies in it.

use tree_sitter::Tree;

use super::allocator;
use super::fault::{Flaw, FlawKind, SyntaxFault};
use super::outline::{Outline, outline};
use super::scan::{Layout, layout};

/// Brackets inside brackets that are read at most; CPython's tokenizer has the same limit (`MAXLEVEL`).
pub const MAX_NESTING: usize = 200;
/// Bytes that are parsed at most. A tree takes tens of bytes for each byte of source.
pub const MAX_BYTES: usize = 64 << 20;

/// A reusable parser. Not shared: each thread has its own.
pub struct Parser {
    inner: tree_sitter::Parser,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// Makes a parser for Python.
    ///
    /// # Panics
    /// If the grammar's version does not fit the library's, which a test rules out.
    #[expect(clippy::expect_used, reason = "both versions are fixed when the program is built")]
    pub fn new() -> Self {
        allocator::set();
        let mut inner = tree_sitter::Parser::new();
        inner.set_language(&tree_sitter_python::LANGUAGE.into()).expect("the Python grammar fits tree-sitter");
        Self { inner }
    }

    /// Parses `source`. Text that is too large or too deep is not parsed but has a fault that says so.
    pub fn parse(&mut self, source: &str) -> Parsed {
        let Layout { nesting, comment_bytes } = layout(source);
        let refused = |kind| {
            let outline = Outline { flaws: vec![Flaw::at_start(kind)], ..Outline::default() };
            Parsed { tree: None, outline, comment_bytes }
        };
        if source.len() > MAX_BYTES {
            return refused(FlawKind::Size);
        }
        if nesting > MAX_NESTING {
            return refused(FlawKind::Nesting);
        }
        match self.inner.parse(source, None) {
            Some(tree) => Parsed { outline: outline(&tree, source), tree: Some(tree), comment_bytes },
            None => refused(FlawKind::Unexpected),
        }
    }
}

/// A parsed document. It holds byte ranges, not text: its methods take the source that was parsed.
pub struct Parsed {
    tree: Option<Tree>,
    pub(super) outline: Outline,
    comment_bytes: usize,
}

impl Parsed {
    /// Bytes of comments, each from its `#` to the end of its line.
    pub fn comment_bytes(&self) -> usize {
        self.comment_bytes
    }

    /// The tree; `None` where the text was too large or too deep to parse.
    pub fn tree(&self) -> Option<&Tree> {
        self.tree.as_ref()
    }

    /// How many syntax faults the document has.
    pub fn errors(&self) -> u32 {
        self.outline.flaws.len() as u32
    }

    /// The first fault of `source`, the text that was parsed.
    pub fn first_fault(&self, source: &str) -> Option<SyntaxFault> {
        self.outline.flaws.first().map(|flaw| flaw.explain(source))
    }

    /// Whether a statement does more than name a value, which tells code from a word of prose that happens to parse.
    pub fn does_something(&self) -> bool {
        self.outline.does_something
    }
}

#[cfg(test)]
mod tests {
    use proptest::strategy::Strategy;

    use super::*;
    use crate::python::{Limits, Unit, code_from_answer};

    #[test]
    fn brackets_nested_too_deep_are_a_fault_not_a_crash() {
        for (open, close) in [("(", ")"), ("[", "]"), ("f(", ")")] {
            let source = format!("x = {}1{}\n", open.repeat(100_000), close.repeat(100_000));
            let parsed = Parser::new().parse(&source);
            assert_eq!(parsed.errors(), 1);
            let fault = parsed.first_fault(&source).map(|fault| fault.message);
            assert_eq!(fault.as_deref(), Some("brackets nest deeper than 200"));
        }
    }

    #[test]
    fn nesting_without_brackets_is_walked_without_recursion() {
        for (start, unit, end) in [
            ("x = ", "not ", "1\n"),
            ("x = ", "-", "1\n"),
            ("x = ", "lambda: ", "1\n"),
            ("x = ", "a if b else ", "1\n"),
            ("", "x = ", "1\n"),
            ("x = 1", " + 1", "\n"),
            ("x = 1", " ** 1", "\n"),
            ("x = a", ".b", "\n"),
        ] {
            let source = format!("{start}{}{end}", unit.repeat(20_000));
            assert_eq!(Parser::new().parse(&source).errors(), 0, "{unit}");
        }
    }

    #[test]
    fn deep_indentation_is_walked_without_recursion() {
        let mut source = String::new();
        for depth in 0..1500 {
            source.push_str(&" ".repeat(depth));
            source.push_str("if x:\n");
        }
        assert!(Parser::new().parse(&source).errors() > 0);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(pieces in proptest::collection::vec(piece(), 0..60)) {
            let source = pieces.concat();
            let mut parser = Parser::new();
            let parsed = parser.parse(&source);
            let units = [Unit::Function, Unit::Method, Unit::Class, Unit::Module];
            let limits = Limits { nested: true, ..Limits::default() };
            for snippet in parsed.snippets(&source, &units, &limits) {
                assert!(snippet.start_byte < snippet.end_byte && snippet.end_byte <= source.len());
                assert!(snippet.start_line <= snippet.end_line.max(1));
            }
            assert_eq!(parsed.first_fault(&source).is_some(), parsed.errors() > 0);
            code_from_answer(&source);
        }
    }

    fn piece() -> impl Strategy<Value = String> {
        let known = [
            "def f(",
            "class A",
            ":",
            "\n",
            "\n    ",
            "\n\t",
            "    ",
            "import ",
            "from . import ",
            "a",
            "b.c",
            " as ",
            "\"\"\"",
            "'",
            "f'{",
            "}'",
            "#",
            "(",
            ")",
            "[",
            "]",
            "@",
            "\\",
            "=",
            "if x",
            "try",
            "else",
            "```",
            "é",
            "\u{3000}",
            "\u{feff}",
            "\r",
            "\0",
            "print x",
            "return",
            ";",
            ",",
            "async ",
            "lambda: ",
            "*",
        ];
        proptest::prop_oneof![
            9 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
            1 => ".{0,6}",
        ]
    }
}

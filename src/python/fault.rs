//! Syntax faults: what the parser could not accept, with a position that a person can go to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tree_sitter::{Node, Point};

use super::parse::{MAX_BYTES, MAX_NESTING, Parser};

/// Where a text stops being Python.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct SyntaxFault {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong there.
    pub message: String,
}

/// A fault as the walk notes it; its message is made only when somebody asks.
#[derive(Clone, Debug)]
pub(super) struct Flaw {
    pub kind: FlawKind,
    pub byte: usize,
    pub point: Point,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlawKind {
    /// Text that fits no rule.
    Unexpected,
    /// A token that the grammar had to invent; its kind.
    Missing(u16),
    /// `def f():` with nothing under it.
    EmptyBlock,
    /// `try` with neither `except` nor `finally`.
    BareTry,
    /// A statement deeper or shallower than its block.
    Indent,
    /// `print x` or `exec x` of Python 2.
    OldStatement,
    /// More brackets inside brackets than Python reads.
    Nesting,
    /// More bytes than are parsed.
    Size,
}

impl Flaw {
    pub(super) fn new(kind: FlawKind, node: Node<'_>) -> Self {
        Self { kind, byte: node.start_byte(), point: node.start_position() }
    }

    pub(super) fn at_start(kind: FlawKind) -> Self {
        Self { kind, byte: 0, point: Point::new(0, 0) }
    }

    /// Turns the note into a fault of `source`, the text that was parsed.
    pub(super) fn explain(&self, source: &str) -> SyntaxFault {
        let rest = source.get(self.byte..).unwrap_or_default();
        let before = source.get(self.byte.saturating_sub(self.point.column)..self.byte);
        let column = before.map_or(self.point.column, |text| text.chars().count());
        let message = match self.kind {
            FlawKind::Unexpected => match first_word(rest) {
                "" => "unexpected end of input".to_owned(),
                word => format!("unexpected `{word}`"),
            },
            FlawKind::Missing(id) => {
                let language: tree_sitter::Language = tree_sitter_python::LANGUAGE.into();
                format!("`{}` is missing", language.node_kind_for_id(id).unwrap_or("a token"))
            }
            FlawKind::EmptyBlock => "an indented block is missing".to_owned(),
            FlawKind::BareTry => "`try` has neither `except` nor `finally`".to_owned(),
            FlawKind::Indent => "indentation differs from that of the block".to_owned(),
            FlawKind::OldStatement => {
                format!("`{}` statements are Python 2", first_word(rest))
            }
            FlawKind::Nesting => format!("brackets nest deeper than {MAX_NESTING}"),
            FlawKind::Size => format!("more than {MAX_BYTES} bytes"),
        };
        SyntaxFault { line: self.point.row as u32 + 1, column: column as u32 + 1, message }
    }
}

/// The word or the symbols that `text` begins with, at most 24 characters.
fn first_word(text: &str) -> &str {
    let text = text.trim_start();
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let named = text.starts_with(word);
    let end = text
        .char_indices()
        .take(25)
        .find(|(n, c)| c.is_whitespace() || word(*c) != named || *n >= 24)
        .map_or(text.len(), |(n, _)| n);
    text.get(..end).unwrap_or_default()
}

/// Returns the first fault of `code` read as a Python 3 module, or `None` if it is sound. Beyond the grammar it
/// refuses empty blocks, stray indentation and the statements of Python 2, as CPython does.
pub fn syntax_fault(parser: &mut Parser, code: &str) -> Option<SyntaxFault> {
    parser.parse(code).first_fault(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: &str) -> Option<SyntaxFault> {
        syntax_fault(&mut Parser::new(), code)
    }

    fn at(code: &str) -> Option<(u32, u32)> {
        fault(code).map(|fault| (fault.line, fault.column))
    }

    #[test]
    fn sound_code_has_no_fault() {
        for code in [
            "",
            "\u{feff}import os\nx = 1\n",
            "def f(a, /, *, b): return a; b\n",
            "if x: a = 1; b = 2\nelse:\n    pass\n",
            "match x:\n    case [1, *_]:\n        y = 1\n    case _:\n        pass\n",
            "class A: pass\n\x0cclass B: pass\n",
            "print(1)\nprint(a) if b else c\nx = (yield)\n",
            "async def f():\n    async with a as b, c:\n        await b\n",
            "try:\n    pass\nexcept* E as e:\n    raise\nfinally:\n\tpass\n",
            "def f():\n    # only a comment first\n    return 1\n  # odd comment\n",
            "x = a; \\\n  y = 1\n",
            "with (open(a) as b,\n      open(c) as d):\n    pass\n",
            "def f[T](x: T) -> T: ...\ntype X = int\n",
        ] {
            assert_eq!(fault(code), None, "{code}");
        }
    }

    #[test]
    fn an_empty_body_is_a_fault() {
        assert!(fault("def f(x):\n").is_some());
        assert!(fault("def f(x):\n    # nothing\n\ny = 1\n").is_some());
        assert!(fault("class A:\n    def f(self):\n").is_some());
        assert!(fault("if x:\nelse:\n    pass\n").is_some());
    }

    #[test]
    fn stray_indentation_is_a_fault_at_its_statement() {
        assert_eq!(at("x = 1\n    y = 2\n"), Some((2, 5)));
        assert_eq!(at("def f():\n    a = 1\n      b = 2\n"), Some((3, 7)));
        assert_eq!(at("@a\n  def f():\n    pass\n"), Some((2, 3)));
        assert_eq!(at("if x:\n    y = 1\n  else:\n    y = 2\n"), Some((3, 3)));
    }

    #[test]
    fn a_try_without_a_handler_is_a_fault() {
        assert_eq!(at("x = 1\ntry:\n    y = 1\nz = 2\n"), Some((2, 1)));
    }

    #[test]
    fn python_2_statements_are_a_fault() {
        let found = fault("x = 1\nprint x\n").map(|fault| fault.to_string());
        assert_eq!(found.as_deref(), Some("line 2, column 1: `print` statements are Python 2"));
        assert!(fault("exec 'x'\n").is_some());
    }

    #[test]
    fn broken_code_is_a_fault() {
        for code in ["def f(:\n    pass\n", "x = (1,\n", "return )\n", "x = = 1\n", "s = 'abc\n", "for in x:\n  pass"] {
            assert!(fault(code).is_some(), "{code}");
        }
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        assert_eq!(at("é = 'üü' 5 x\n"), at("e = 'uu' 5 x\n"));
    }
}

//! Snippets: the parts of a document that a model can be asked about.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::docstring::docstring_text;
use super::fault::SyntaxFault;
use super::imports::Uses;
use super::outline::Definition;
use super::parse::Parsed;
use super::scan::{Lexeme, lexemes};
use super::tokens::token_estimate;

/// What kind of part a snippet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A function that is not in a class.
    Function,
    /// A function in a class.
    Method,
    /// A class with its methods.
    Class,
    /// The whole document.
    Module,
}

impl Unit {
    /// The form that settings and rows hold.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Method => "method",
            Self::Class => "class",
            Self::Module => "module",
        }
    }
}

/// Which parts are worth cutting out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Lines of a snippet, at least.
    pub min_lines: u32,
    /// Lines of a snippet, at most.
    pub max_lines: u32,
    /// Bytes of a snippet in its document, at most.
    pub max_bytes: u32,
    /// Also functions and classes inside functions, which may lean on names around them.
    pub nested: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { min_lines: 1, max_lines: 20_000, max_bytes: 1 << 20, nested: false }
    }
}

impl Limits {
    fn admit(&self, rows: &Range<usize>, bytes: &Range<usize>) -> bool {
        let lines = rows.len() as u64;
        lines >= u64::from(self.min_lines)
            && lines <= u64::from(self.max_lines)
            && bytes.len() as u64 <= u64::from(self.max_bytes)
    }
}

/// A part of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snippet {
    /// What it is.
    pub unit: Unit,
    /// Its own name; `<module>` for a module.
    pub name: String,
    /// Its name from the document's top, as Python's `__qualname__`: `Class.method`, `outer.<locals>.inner`.
    pub qualified_name: String,
    /// First line in the document, from 1, decorators included.
    pub start_line: u32,
    /// Last line, inclusive.
    pub end_line: u32,
    /// First byte in the document, decorators included.
    pub start_byte: usize,
    /// The byte after the last.
    pub end_byte: usize,
    /// The code without the margin it had, decorators included.
    pub text: String,
    /// `def name(parameters) -> type` or `class Name(bases)` on one line, without comments; empty for a module.
    pub signature: String,
    /// The docstring as `inspect.cleandoc` gives it.
    pub docstring: Option<String>,
    /// Modules that it imports itself or uses by a name that the document imports, in the order of the imports.
    pub imports: Vec<String>,
    /// See [`token_estimate`].
    pub token_estimate: u32,
    /// The first syntax fault inside it, at its position in the document.
    pub fault: Option<SyntaxFault>,
}

impl Parsed {
    /// Cuts the parts of `units` out of `source` (the text that was parsed), in source order: an outer part comes
    /// before what it holds, the module first. What `limits` exclude is left out.
    pub fn snippets(&self, source: &str, units: &[Unit], limits: &Limits) -> Vec<Snippet> {
        let chosen = self.chosen(units, limits);
        let module = module(source, units).filter(|(rows, bytes)| limits.admit(rows, bytes));
        if chosen.is_empty() && module.is_none() {
            return Vec::new();
        }
        let mut parts: Vec<Range<usize>> = Vec::new();
        let ranges = chosen.iter().map(|n| &self.outline.definitions[*n].bytes);
        for bytes in module.iter().map(|(_, bytes)| bytes).chain(ranges) {
            // An outer part comes before what it holds.
            if parts.last().is_none_or(|last| last.end <= bytes.start) {
                parts.push(bytes.clone());
            }
        }
        let uses = Uses::new(source, &self.outline.imports, &parts);
        let mut snippets = Vec::with_capacity(chosen.len() + 1);
        if let Some((rows, bytes)) = module {
            let text = source.strip_prefix('\u{feff}').unwrap_or(source).to_owned();
            snippets.push(Snippet {
                unit: Unit::Module,
                name: "<module>".to_owned(),
                qualified_name: "<module>".to_owned(),
                start_line: 1,
                end_line: rows.end as u32,
                start_byte: 0,
                end_byte: source.len(),
                token_estimate: token_estimate(&text),
                text,
                signature: String::new(),
                docstring: docstring(source, self.outline.docstring.as_ref()),
                imports: uses.of(&bytes),
                fault: self.first_fault(source),
            });
        }
        snippets.extend(chosen.into_iter().map(|n| self.cut(source, n, &uses)));
        snippets
    }

    /// How many parts of `units` lie outside `limits`.
    pub fn outside(&self, source: &str, units: &[Unit], limits: &Limits) -> u32 {
        let all = Limits { min_lines: 0, max_lines: u32::MAX, max_bytes: u32::MAX, nested: limits.nested };
        let module = module(source, units).is_some_and(|(rows, bytes)| !limits.admit(&rows, &bytes));
        let parts = self.chosen(units, &all).len() - self.chosen(units, limits).len();
        parts as u32 + u32::from(module)
    }

    fn chosen(&self, units: &[Unit], limits: &Limits) -> Vec<usize> {
        let wanted = |definition: &Definition| {
            units.contains(&unit_of(definition))
                && (limits.nested || !definition.in_function)
                && limits.admit(&definition.rows, &definition.bytes)
        };
        let all = self.outline.definitions.iter().enumerate();
        all.filter(|(_, definition)| wanted(definition)).map(|(n, _)| n).collect()
    }

    fn cut(&self, source: &str, index: usize, uses: &Uses<'_>) -> Snippet {
        let definition = &self.outline.definitions[index];
        let bytes = &definition.bytes;
        let flaws = &self.outline.flaws;
        let flaw = flaws.get(flaws.partition_point(|flaw| flaw.byte < bytes.start));
        // A flaw at the very end is a body that is not there.
        let fault = flaw.filter(|flaw| flaw.byte <= bytes.end).map(|flaw| flaw.explain(source));
        let text = without_margin(source, bytes.clone());
        Snippet {
            unit: unit_of(definition),
            name: source[definition.name.clone()].to_owned(),
            qualified_name: self.qualified_name(source, index),
            start_line: definition.rows.start as u32 + 1,
            end_line: definition.rows.end as u32,
            start_byte: bytes.start,
            end_byte: bytes.end,
            token_estimate: token_estimate(&text),
            text,
            signature: on_one_line(&source[definition.header.clone()]),
            docstring: docstring(source, definition.docstring.as_ref()),
            imports: uses.of(bytes),
            fault,
        }
    }

    fn qualified_name(&self, source: &str, index: usize) -> String {
        let mut parts = vec![];
        let mut next = Some(index);
        while let Some(definition) = next.and_then(|n| self.outline.definitions.get(n)) {
            if !parts.is_empty() && !definition.is_class {
                parts.push("<locals>");
            }
            parts.push(&source[definition.name.clone()]);
            next = definition.parent;
        }
        parts.reverse();
        parts.join(".")
    }
}

/// The rows and bytes of a document that is wanted as a whole.
fn module(source: &str, units: &[Unit]) -> Option<(Range<usize>, Range<usize>)> {
    let wanted = units.contains(&Unit::Module) && !source.trim().is_empty();
    wanted.then(|| (0..source.lines().count(), 0..source.len()))
}

fn docstring(source: &str, literal: Option<&Range<usize>>) -> Option<String> {
    docstring_text(source.get(literal?.clone())?)
}

fn unit_of(definition: &Definition) -> Unit {
    match (definition.is_class, definition.in_class) {
        (true, _) => Unit::Class,
        (false, true) => Unit::Method,
        (false, false) => Unit::Function,
    }
}

/// The text of `bytes` without the margin before it. Lines with less than that margin, as strings may have, lose
/// only the white space that they have.
pub fn without_margin(source: &str, bytes: Range<usize>) -> String {
    let line = source[..bytes.start].rfind('\n').map_or(0, |n| n + 1);
    let margin = &source[line..bytes.start];
    let body = source[bytes].trim_end();
    if margin.is_empty() || !margin.bytes().all(|byte| matches!(byte, b' ' | b'\t')) {
        return body.to_owned();
    }
    let mut text = String::with_capacity(body.len());
    for (n, line) in body.split('\n').enumerate() {
        if n == 0 {
            text.push_str(line);
            continue;
        }
        text.push('\n');
        let shared = line.bytes().zip(margin.bytes()).take_while(|(a, b)| a == b).count();
        text.push_str(&line[shared..]);
    }
    text
}

/// Joins the lines of a definition's head: no comments, single spaces, none inside brackets, no trailing comma.
fn on_one_line(header: &str) -> String {
    if !header.contains('\n') {
        return header.to_owned();
    }
    let mut pieces: Vec<(usize, usize, Lexeme)> = Vec::new();
    lexemes(header, |lexeme, start, end| {
        if lexeme != Lexeme::Name {
            pieces.push((start, end, lexeme));
        }
    });
    let mut out = String::with_capacity(header.len());
    let mut at = 0;
    for (start, end, lexeme) in pieces {
        squeeze(&header[at..start], &mut out);
        if lexeme == Lexeme::Text {
            out.push_str(&header[start..end]);
        }
        at = end;
    }
    squeeze(&header[at..], &mut out);
    out
}

fn squeeze(code: &str, out: &mut String) {
    for c in code.chars() {
        match c {
            c if c.is_whitespace() || c == '\\' => {
                if !out.ends_with([' ', '(', '[', '{']) {
                    out.push(' ');
                }
            }
            ')' | ']' | '}' => {
                if out.ends_with(' ') {
                    out.pop();
                }
                if c == ')' && out.ends_with(',') {
                    out.pop();
                }
                out.push(c);
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::python::Parser;

    const SOURCE: &str = "\
\"\"\"Shapes.\"\"\"
import math

@cache
def area(
    radius,  # metres
    *, label=\"a  (b\",
) -> float:
    '''Area of a circle.'''
    def inner(x):
        return x
    return inner(math.pi) * radius ** 2

class Circle(Shape):
    \"\"\"Round.\"\"\"

    class Meta:
        pass

    if True:
        @property
        def area(self):
            text = \"\"\"
  left
            \"\"\"
            return area(self.radius)
";

    fn cut(source: &str, units: &[Unit], limits: &Limits) -> Vec<Snippet> {
        Parser::new().parse(source).snippets(source, units, limits)
    }

    const ALL: [Unit; 4] = [Unit::Function, Unit::Method, Unit::Class, Unit::Module];

    #[test]
    fn each_unit_is_found_with_its_qualified_name_in_source_order() {
        let limits = Limits { nested: true, ..Limits::default() };
        let found: Vec<(Unit, String)> =
            cut(SOURCE, &ALL, &limits).into_iter().map(|s| (s.unit, s.qualified_name)).collect();
        let expected = [
            (Unit::Module, "<module>"),
            (Unit::Function, "area"),
            (Unit::Function, "area.<locals>.inner"),
            (Unit::Class, "Circle"),
            (Unit::Class, "Circle.Meta"),
            (Unit::Method, "Circle.area"),
        ];
        assert_eq!(found, expected.map(|(unit, name)| (unit, name.to_owned())));
    }

    #[test]
    fn functions_inside_functions_are_left_out_by_default() {
        assert_eq!(cut(SOURCE, &[Unit::Function], &Limits::default()).len(), 1);
    }

    #[test]
    fn a_function_has_its_decorators_signature_docstring_and_imports() {
        let area = cut(SOURCE, &[Unit::Function], &Limits::default()).remove(0);
        assert!(area.text.starts_with("@cache\ndef area(\n"));
        assert!(area.text.ends_with("radius ** 2"));
        assert_eq!((area.start_line, area.end_line), (4, 12));
        assert_eq!(area.signature, "def area(radius, *, label=\"a  (b\") -> float");
        assert_eq!(area.docstring.as_deref(), Some("Area of a circle."));
        assert_eq!(area.imports, ["math"]);
        assert_eq!(&SOURCE[area.start_byte..area.end_byte], area.text);
    }

    #[test]
    fn a_method_loses_its_margin_and_stays_sound() {
        let method = cut(SOURCE, &[Unit::Method], &Limits::default()).remove(0);
        assert!(method.text.starts_with("@property\ndef area(self):\n    text = \"\"\"\nleft\n    \"\"\"\n"));
        assert_eq!(crate::python::syntax_fault(&mut Parser::new(), &method.text), None);
    }

    #[test]
    fn a_module_is_the_whole_text_with_its_docstring() {
        let module = cut(SOURCE, &[Unit::Module], &Limits::default()).remove(0);
        assert_eq!((module.text.as_str(), module.docstring.as_deref()), (SOURCE, Some("Shapes.")));
        assert_eq!((module.start_line, module.end_line), (1, 26));
    }

    #[test]
    fn a_fault_belongs_to_the_snippet_around_it() {
        let source = "def good(x):\n    return x\n\ndef bad(x):\n    return x +\n\ndef fine():\n    pass\n";
        let found = cut(source, &[Unit::Function], &Limits::default());
        let bad = found.iter().find(|s| s.name == "bad").unwrap();
        assert_eq!(bad.fault.as_ref().map(|fault| fault.line), Some(5));
        assert_eq!(found.iter().find(|s| s.name == "good").unwrap().fault, None);
        assert_eq!(found.iter().find(|s| s.name == "fine").unwrap().fault, None);
    }

    #[test]
    fn limits_leave_parts_out_and_count_them() {
        let limits = Limits { min_lines: 3, max_lines: 8, ..Limits::default() };
        let parsed = Parser::new().parse(SOURCE);
        let names: Vec<_> = parsed.snippets(SOURCE, &ALL, &limits).into_iter().map(|s| s.qualified_name).collect();
        assert_eq!(names, ["Circle.area"]);
        assert_eq!(parsed.outside(SOURCE, &ALL, &limits), 4);
    }

    #[test]
    fn empty_source_has_no_snippets() {
        assert!(cut(" \n", &ALL, &Limits::default()).is_empty());
    }
}

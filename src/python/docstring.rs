//! Docstrings: where they are, and their text as `inspect.cleandoc` gives it.

use std::ops::Range;

use tree_sitter::{Node, TreeCursor};

use super::kinds::{Kind, kind_of};

/// The literal that is the docstring of `body` (a block or a module), quotes and prefix included.
pub(super) fn docstring_range<'tree>(body: Node<'tree>, side: &mut TreeCursor<'tree>) -> Option<Range<usize>> {
    side.reset(body);
    if !side.goto_first_child() {
        return None;
    }
    while kind_of(side.node()) == Kind::Comment {
        if !side.goto_next_sibling() {
            return None;
        }
    }
    let statement = side.node();
    if kind_of(statement) != Kind::ExpressionStatement || statement.child_count() != 1 {
        return None;
    }
    let literal = statement.child(0)?;
    (kind_of(literal) == Kind::String).then(|| literal.byte_range())
}

/// The value of a docstring literal, cleaned; `None` for bytes and f-strings, which are no docstrings.
pub(super) fn docstring_text(literal: &str) -> Option<String> {
    let quote = literal.find(['"', '\''])?;
    let (prefix, quoted) = literal.split_at(quote);
    if prefix.contains(['b', 'B', 'f', 'F', 't', 'T']) {
        return None;
    }
    let width = if quoted.starts_with("\"\"\"") || quoted.starts_with("'''") { 3 } else { 1 };
    let inner = quoted.get(width..quoted.len().checked_sub(width)?)?;
    if prefix.contains(['r', 'R']) { Some(cleaned(inner)) } else { Some(cleaned(&unescaped(inner))) }
}

/// Resolves the escapes that occur in docstrings; rarer ones (`\x41`, `\N{..}`) stay as written.
fn unescaped(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('\n') => {}
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some(c @ ('\\' | '\'' | '"')) => out.push(c),
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
    }
    out
}

/// `inspect.cleandoc`: tabs become spaces up to the next eighth column, the first line loses its margin, the others
/// the margin that they share, and blank lines go at both ends.
fn cleaned(text: &str) -> String {
    let expanded: Vec<String> = text.split('\n').map(expand_tabs).collect();
    let margin = expanded
        .iter()
        .skip(1)
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let mut lines: Vec<&str> = Vec::with_capacity(expanded.len());
    for (n, line) in expanded.iter().enumerate() {
        lines.push(if n == 0 { line.trim_start() } else { line.get(margin..).unwrap_or(line.trim_start()) });
    }
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    let first = lines.iter().position(|line| !line.trim().is_empty()).unwrap_or(lines.len());
    let mut out = lines[first..].join("\n");
    out.truncate(out.trim_end().len());
    out
}

fn expand_tabs(line: &str) -> String {
    if !line.contains('\t') {
        return line.to_owned();
    }
    let mut out = String::with_capacity(line.len() + 8);
    let mut column = 0;
    for c in line.chars() {
        let width = if c == '\t' { 8 - column % 8 } else { 1 };
        out.extend(std::iter::repeat_n(if c == '\t' { ' ' } else { c }, width));
        column += width;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::docstring_text;

    fn text(literal: &str) -> String {
        docstring_text(literal).unwrap_or_default()
    }

    #[test]
    fn the_margin_and_the_blank_ends_go() {
        assert_eq!(text("\"\"\"\n    One.\n\n      Two.\n    \"\"\""), "One.\n\n  Two.");
        assert_eq!(text("'''  One.\n\tTwo.\n'''"), "One.\nTwo.");
        assert_eq!(text("'One.'"), "One.");
        assert_eq!(text("''"), "");
    }

    #[test]
    fn escapes_are_resolved_but_not_in_raw_strings() {
        assert_eq!(text(r#""a \"b\" \\d""#), r#"a "b" \d"#);
        assert_eq!(text(r#"r"""\d""""#), r"\d");
    }

    #[test]
    fn bytes_and_f_strings_are_no_docstrings() {
        assert_eq!(docstring_text("b'x'"), None);
        assert_eq!(docstring_text("f'x'"), None);
    }
}

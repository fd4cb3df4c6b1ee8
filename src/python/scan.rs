//! A lexer for the little that does not need a tree: names outside comments and strings, and how deep brackets nest.
//! It runs on every document.

/// A piece of source that [`lexemes`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lexeme {
    /// An identifier or keyword, also those inside the braces of an f-string.
    Name,
    /// A comment, without its line end.
    Comment,
    /// A string literal with its quotes, without its prefix.
    Text,
}

/// What a byte may begin, outside strings and comments.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Other,
    Open,
    Close,
    Hash,
    Quote,
    Digit,
    Name,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'(' | b'[' | b'{' => Class::Open,
            b')' | b']' | b'}' => Class::Close,
            b'#' => Class::Hash,
            b'"' | b'\'' => Class::Quote,
            b'0'..=b'9' => Class::Digit,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Class::Name,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

/// What [`layout`] finds in a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// How deep brackets nest.
    pub nesting: usize,
    /// Bytes of comments, each from its `#` to the end of its line.
    pub comment_bytes: usize,
}

/// How deep brackets nest in `source`, and how much of it is comments. Unclosed strings end as for [`lexemes`].
pub fn layout(source: &str) -> Layout {
    let bytes = source.as_bytes();
    let mut found = Layout::default();
    let (mut at, mut depth) = (0usize, 0usize);
    while let Some(&byte) = bytes.get(at) {
        match CLASSES[usize::from(byte)] {
            Class::Open => {
                depth += 1;
                found.nesting = found.nesting.max(depth);
                at += 1;
            }
            Class::Close => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            Class::Hash => {
                let end = line_end(bytes, at);
                found.comment_bytes += end - at;
                at = end;
            }
            Class::Quote => at = string_end(bytes, at),
            Class::Other | Class::Digit | Class::Name => at += 1,
        }
    }
    found
}

/// Reports each name, comment and string of `source` with its byte range. Unclosed strings end at their line (one
/// quote) or at the end of the source (three).
pub fn lexemes(source: &str, mut report: impl FnMut(Lexeme, usize, usize)) {
    let bytes = source.as_bytes();
    let mut at = 0usize;
    while let Some(&byte) = bytes.get(at) {
        match CLASSES[usize::from(byte)] {
            Class::Other | Class::Open | Class::Close => at += 1,
            Class::Hash => {
                let end = line_end(bytes, at);
                report(Lexeme::Comment, at, end);
                at = end;
            }
            Class::Quote => {
                let end = string_end(bytes, at);
                report(Lexeme::Text, at, end);
                at = end;
            }
            Class::Digit => at = name_end(bytes, at),
            Class::Name => {
                let end = name_end(bytes, at);
                let quote = matches!(bytes.get(end), Some(b'"' | b'\''));
                if quote && is_prefix(&bytes[at..end]) {
                    let close = string_end(bytes, end);
                    report(Lexeme::Text, end, close);
                    if bytes[at..end].iter().any(|b| matches!(b | 0x20, b'f' | b't')) {
                        interpolated_names(bytes, end, close, &mut report);
                    }
                    at = close;
                } else {
                    report(Lexeme::Name, at, end);
                    at = end;
                }
            }
        }
    }
}

/// Names between the braces of an f-string; format specifications count too, which errs towards reporting.
fn interpolated_names(bytes: &[u8], start: usize, end: usize, report: &mut impl FnMut(Lexeme, usize, usize)) {
    let (mut at, mut depth) = (start, 0usize);
    while at < end {
        match bytes[at] {
            b'{' if bytes.get(at + 1) == Some(&b'{') && depth == 0 => at += 2,
            b'{' => {
                depth += 1;
                at += 1;
            }
            b'}' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            byte if is_name(byte) => {
                let stop = name_end(bytes, at).min(end);
                if depth > 0 && !byte.is_ascii_digit() {
                    report(Lexeme::Name, at, stop);
                }
                at = stop;
            }
            _ => at += 1,
        }
    }
}

fn is_name(byte: u8) -> bool {
    matches!(CLASSES[usize::from(byte)], Class::Name | Class::Digit)
}

fn name_end(bytes: &[u8], start: usize) -> usize {
    bytes[start..].iter().position(|b| !is_name(*b)).map_or(bytes.len(), |n| start + n)
}

fn line_end(bytes: &[u8], start: usize) -> usize {
    memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |n| start + n)
}

fn is_prefix(name: &[u8]) -> bool {
    name.len() <= 2 && name.iter().all(|b| matches!(b | 0x20, b'r' | b'b' | b'u' | b'f' | b't'))
}

/// The byte after the string that opens at `start`. Raw strings step over backslashes as well: there too a
/// backslash keeps the quote after it from closing.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let quote = bytes[start];
    let triple = bytes.get(start + 1) == Some(&quote) && bytes.get(start + 2) == Some(&quote);
    if triple {
        return triple_end(bytes, start + 3, quote);
    }
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'\n' => return at,
            _ if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn triple_end(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(quote, b'\\', rest)) {
        at += found;
        if bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at..].starts_with(&[quote; 3]) {
            return at + 3;
        } else {
            at += 1;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::{Lexeme, layout, lexemes};

    fn names(source: &str) -> Vec<&str> {
        let mut found = Vec::new();
        lexemes(source, |lexeme, start, end| {
            if lexeme == Lexeme::Name {
                found.push(&source[start..end]);
            }
        });
        found
    }

    #[test]
    fn names_in_strings_and_comments_are_passed_over() {
        assert_eq!(names("a = 'b c' # d\n\"\"\"e\nf\"\"\"; g(0x1f, 1e5)"), ["a", "g"]);
        assert_eq!(names(r"rb'\' x' y"), ["y"]);
    }

    #[test]
    fn names_in_the_braces_of_an_f_string_are_found() {
        assert_eq!(names("f'{{no}} word {os.sep!r} {x:>{width}}'"), ["os", "sep", "r", "x", "width"]);
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(layout("([{}], '((((', # (((\n)").nesting, 3);
        assert_eq!(layout("'''(( \\'''((''' + r\"\"\"((\"\" (\"\"\"").nesting, 0);
    }

    #[test]
    fn comments_are_counted_and_hashes_in_strings_are_not() {
        let comments = |text: &str| layout(text).comment_bytes;
        assert_eq!(comments("# all\nx = 1  # end\n"), "# all".len() + "# end".len());
        assert_eq!(comments("x = '#fff'; y = \"a\\\"#\"\n"), 0);
        assert_eq!(comments("x = '#'  # it's # here"), "# it's # here".len());
        assert_eq!(comments("'unclosed # string\n# next\n"), "# next".len());
        assert_eq!(comments("\"\"\"Uses:\n# a heading, no comment\n\"\"\"\n# one\n"), "# one".len());
        assert_eq!(comments("x = f'''\n# {y}\n'''"), 0);
    }

    #[test]
    fn an_unclosed_string_ends_with_its_line_or_the_source() {
        assert_eq!(names("a = 'oops\nb"), ["a", "b"]);
        assert_eq!(names("a = '''oops\nb"), ["a"]);
        assert_eq!(names("a = 'oops\\"), ["a"]);
    }
}

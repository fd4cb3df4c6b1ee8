//! Measures of a text, for the thresholds that are set elsewhere. One pass over the bytes and one over the lines: this
//! runs on every document.

/// What can be measured without parsing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Signals {
    /// Bytes of UTF-8.
    pub bytes: u64,
    /// Lines; a last line without a line end counts.
    pub lines: u64,
    /// Characters of the longest line, without its line end.
    pub longest_line: u64,
    /// Mean characters a line, without line ends.
    pub mean_line: f32,
    /// Letters and digits among all characters, line ends included. Every character beyond ASCII counts as a letter.
    pub alphanumeric_share: f32,
    /// Bytes from a `#` that is not in a one-line string to the end of its line, among all bytes. Docstrings are not
    /// comments; a `#` in one that spans lines counts all the same, since strings are followed within a line only.
    pub comment_share: f32,
    /// The words near the top by which a generator marks its output.
    pub generated: Option<&'static str>,
}

/// Measures `text`, whose lines end in `\n`.
pub fn signals(text: &str) -> Signals {
    let bytes = text.as_bytes();
    let totals = Totals::of(bytes);
    let lines = Lines::of(bytes, totals.characters == bytes.len() as u64);
    let line_characters = totals.characters - lines.ends;
    Signals {
        bytes: bytes.len() as u64,
        lines: lines.count,
        longest_line: lines.longest,
        mean_line: share(line_characters, lines.count),
        alphanumeric_share: share(totals.alphanumeric, totals.characters),
        comment_share: share(lines.comment_bytes, bytes.len() as u64),
        generated: generated(bytes),
    }
}

fn share(part: u64, whole: u64) -> f32 {
    if whole == 0 {
        0.0
    } else {
        (part as f64 / whole as f64) as f32
    }
}

struct Totals {
    characters: u64,
    alphanumeric: u64,
}

impl Totals {
    // Branches would keep the loop from being vectorised.
    #[expect(clippy::needless_bitwise_bool)]
    fn of(bytes: &[u8]) -> Self {
        let (mut characters, mut alphanumeric) = (0, 0);
        // Counts of a chunk fit a byte, so that the compiler sums sixteen or more bytes at a time.
        for chunk in bytes.chunks(240) {
            let (mut starts, mut words) = (0_u8, 0_u8);
            for &byte in chunk {
                let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
                let digit = byte.wrapping_sub(b'0') < 10;
                starts += u8::from(byte & 0xC0 != 0x80);
                words += u8::from(letter | digit | (byte >= 0xC0));
            }
            characters += u64::from(starts);
            alphanumeric += u64::from(words);
        }
        Self {
            characters,
            alphanumeric,
        }
    }
}

#[derive(Default)]
struct Lines {
    count: u64,
    /// Line ends.
    ends: u64,
    longest: u64,
    comment_bytes: u64,
}

impl Lines {
    fn of(bytes: &[u8], ascii: bool) -> Self {
        let mut lines = Self::default();
        let mut start = 0;
        let mut comment = None;
        let mut quotes = Quotes::default();
        for at in memchr::memchr2_iter(b'\n', b'#', bytes) {
            if bytes[at] == b'\n' {
                lines.end(
                    &bytes[start..at],
                    ascii,
                    comment.take().map_or(0, |from| at - from),
                );
                lines.ends += 1;
                start = at + 1;
                quotes = Quotes {
                    at: start,
                    open: None,
                };
            } else if comment.is_none() && !quotes.hold(bytes, at) {
                comment = Some(at);
            }
        }
        if start < bytes.len() {
            lines.end(
                &bytes[start..],
                ascii,
                comment.map_or(0, |from| bytes.len() - from),
            );
        }
        lines
    }

    fn end(&mut self, line: &[u8], ascii: bool, comment_bytes: usize) {
        let characters = if ascii {
            line.len()
        } else {
            line.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
        };
        self.count += 1;
        self.longest = self.longest.max(characters as u64);
        self.comment_bytes += comment_bytes as u64;
    }
}

/// Where strings open and close, within a line. Each byte is looked at once, however many `#` the line has.
#[derive(Default)]
struct Quotes {
    at: usize,
    open: Option<u8>,
}

impl Quotes {
    /// Whether position `to` of the line is inside a string.
    fn hold(&mut self, bytes: &[u8], to: usize) -> bool {
        while self.at < to {
            let byte = bytes[self.at];
            match self.open {
                Some(_) if byte == b'\\' => self.at += 1,
                Some(quote) if byte == quote => self.open = None,
                None if byte == b'"' || byte == b'\'' => self.open = Some(byte),
                _ => {}
            }
            self.at += 1;
        }
        self.open.is_some()
    }
}

/// Marks that only generators leave, whatever line they stand on.
const MARKS: [&str; 10] = [
    "do not edit",
    "do not modify",
    "@generated",
    "autogenerated",
    "auto-generated",
    "automatically generated",
    "file was generated",
    "file is generated",
    "generated by the protocol buffer compiler",
    "generated code",
];
/// Words that are a mark in a comment, and ordinary in a docstring.
const COMMENT_MARKS: [&str; 2] = ["generated by", "generated from"];

const HEAD_LINES: usize = 10;
const HEAD_BYTES: usize = 2048;

fn generated(bytes: &[u8]) -> Option<&'static str> {
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    let end = memchr::memchr_iter(b'\n', head)
        .nth(HEAD_LINES - 1)
        .unwrap_or(head.len());
    let mut lower = [0; HEAD_BYTES];
    let lower = &mut lower[..end];
    lower.copy_from_slice(&head[..end]);
    lower.make_ascii_lowercase();
    let has = |line: &[u8], mark: &&str| memchr::memmem::find(line, mark.as_bytes()).is_some();
    // Nearly every file fails these, and is done.
    if !has(lower, &"generated") && !has(lower, &"do not") {
        return None;
    }
    let anywhere = MARKS.iter().find(|mark| has(lower, mark));
    let mut lines = lower
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_start);
    let found = anywhere.or_else(|| {
        lines.find_map(|line| {
            COMMENT_MARKS
                .iter()
                .find(|mark| line.starts_with(b"#") && has(line, mark))
        })
    });
    found.copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f32, b: f32) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn lines_and_characters_are_counted() {
        let measured = signals("ab1\n\nlonger äß\nx");
        assert_eq!(
            (measured.bytes, measured.lines, measured.longest_line),
            (18, 4, 9)
        );
        assert!(near(measured.mean_line, 13.0 / 4.0), "{measured:?}");
        assert!(
            near(measured.alphanumeric_share, 12.0 / 16.0),
            "{measured:?}"
        );
        assert_eq!(signals("a\n").lines, 1);
        assert_eq!(signals(""), Signals::default());
    }

    #[test]
    fn totals_are_right_over_many_chunks() {
        let text = "aZ09_ é\n".repeat(1000);
        let measured = signals(&text);
        assert_eq!(
            (measured.lines, measured.longest_line, measured.bytes),
            (1000, 7, 9000)
        );
        assert!(near(measured.alphanumeric_share, 5.0 / 8.0), "{measured:?}");
    }

    #[test]
    fn comments_are_counted_and_hashes_in_strings_are_not() {
        let comments =
            |text: &str| (signals(text).comment_share * text.len() as f32).round() as usize;
        assert_eq!(
            comments("# all\nx = 1  # end\n"),
            "# all".len() + "# end".len()
        );
        assert_eq!(comments("x = '#fff'; y = \"a\\\"#\"\n"), 0);
        assert_eq!(comments("x = '#'  # it's # here"), "# it's # here".len());
        assert_eq!(comments("'unclosed # string\n# next\n"), "# next".len());
    }

    #[test]
    fn a_line_of_many_hashes_takes_linear_time() {
        let text = "'#".repeat(1 << 20);
        assert_eq!(signals(&text).longest_line, 2 << 20);
    }

    #[test]
    fn generated_files_are_known_by_their_marks() {
        let mark = |text: &str| signals(text).generated;
        assert_eq!(
            mark(
                "# -*- coding: utf-8 -*-\n# Generated by the protocol buffer compiler.  DO NOT EDIT!\n"
            ),
            Some("do not edit")
        );
        assert_eq!(
            mark("# Generated by Django 4.2 on 2023-05-01\n"),
            Some("generated by")
        );
        assert_eq!(
            mark("\"\"\"This file is generated from x.y.\"\"\"\n"),
            Some("file is generated")
        );
        assert_eq!(
            mark("\"\"\"Reads reports generated by coverage.\"\"\"\n"),
            None
        );
        assert_eq!(mark(&("x = 1\n".repeat(10) + "# do not edit\n")), None);
    }
}

//! JSONL files: one source file a line, with the provenance that its row tells.

use std::io::{self, BufRead};

use super::reader::{broken, refused};
use super::row;
use super::select::{MemberKind, Selection, Verdict, too_large};
use super::stream::Stream;
use super::text::{self, Flaw};
use super::{Document, Entry, Fault, JsonlFields, Provenance, Source};

/// The entries of a JSONL file. Every line is a position, blank ones too.
pub(super) struct JsonlEntries {
    input: Stream,
    selection: Selection,
    fields: JsonlFields,
    /// What rows that tell less fall back on.
    fallback: Provenance,
    shard: String,
    max_line_bytes: u64,
    next: u64,
    from: u64,
    done: bool,
    line: Vec<u8>,
}

/// What came of reading a line.
enum Line {
    End,
    /// It is in the buffer.
    Held,
    /// It was longer than the buffer may grow; its length in bytes.
    Passed(u64),
}

impl JsonlEntries {
    pub(super) fn new(
        input: Stream,
        selection: Selection,
        source: &Source,
        fallback: Provenance,
        shard: String,
        from: u64,
    ) -> Self {
        Self {
            input,
            selection,
            fields: source.fields.clone(),
            fallback,
            shard,
            max_line_bytes: source.max_line_bytes(),
            next: 0,
            from,
            done: false,
            line: Vec::new(),
        }
    }

    fn step(&mut self, position: u64) -> io::Result<Option<Entry>> {
        let hold = if position < self.from { 0 } else { self.max_line_bytes };
        let length = match read_line(&mut self.input, &mut self.line, hold)? {
            Line::End => {
                self.done = true;
                return Ok(None);
            }
            Line::Passed(_) if position < self.from => return Ok(None),
            Line::Passed(length) => length,
            Line::Held if self.line.trim_ascii().is_empty() => return Ok(None),
            Line::Held => return Ok(self.row(position)),
        };
        let message = format!("line {}: {length} bytes, over {}", position + 1, self.max_line_bytes);
        Ok(Some(refused(position, self.shard.clone(), Fault::TooLarge, message)))
    }

    fn row(&self, position: u64) -> Option<Entry> {
        let line = position + 1;
        let refuse = |path: String, fault, message: String| {
            Some(refused(position, path, fault, format!("line {line}: {message}")))
        };
        let row = match row::parse(&self.line, &self.fields) {
            Ok(row) => row,
            Err(message) => return refuse(self.shard.clone(), Fault::BrokenLine, message),
        };
        let size = row.content.len() as u64;
        let path = match row.path {
            Some(path) => match self.selection.judge(&path, MemberKind::File, size) {
                Verdict::Skip => return None,
                Verdict::Read(path) => path,
                Verdict::Refuse { path, fault, message } => return refuse(path, fault, message),
            },
            None => format!("line-{line}.py"),
        };
        let limit = self.selection.max_file_bytes();
        if size > limit {
            return refuse(path, Fault::TooLarge, too_large(size, limit));
        }
        let content = match text::tidy_as(&path, row.content) {
            Ok(content) => content,
            Err(Flaw { fault, message }) => return refuse(path, fault, message),
        };
        let provenance = Provenance {
            repository: row.repository.unwrap_or_else(|| self.fallback.repository.clone()),
            revision: row.revision.or_else(|| self.fallback.revision.clone()),
            licence: row.licence.or_else(|| self.fallback.licence.clone()),
            licence_path: None,
        };
        let provenance = Some(provenance);
        Some(Entry::Document(Document { entry: position, path, content, provenance }))
    }
}

impl Iterator for JsonlEntries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        while !self.done {
            let position = self.next;
            self.next += 1;
            match self.step(position) {
                Ok(None) => {}
                Ok(Some(entry)) => return Some(entry),
                Err(error) => {
                    self.done = true;
                    return (position >= self.from).then(|| broken(position, &self.shard, &error));
                }
            }
        }
        None
    }
}

/// Reads to the end of the line, holding it if it has at most `hold` bytes, else only counting them.
fn read_line(input: &mut dyn BufRead, line: &mut Vec<u8>, hold: u64) -> io::Result<Line> {
    line.clear();
    let mut length = 0_u64;
    let mut fits = true;
    loop {
        let available = input.fill_buf()?;
        if available.is_empty() && length == 0 {
            return Ok(Line::End);
        }
        let newline = memchr::memchr(b'\n', available);
        let part = &available[..newline.unwrap_or(available.len())];
        length += part.len() as u64;
        fits &= length <= hold;
        if fits {
            line.extend_from_slice(part);
        } else if line.capacity() > 0 {
            // Given back at once: a line this long is rare.
            *line = Vec::new();
        }
        let consumed = part.len() + usize::from(newline.is_some());
        input.consume(consumed);
        if newline.is_some() || consumed == 0 {
            return Ok(if fits { Line::Held } else { Line::Passed(length) });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::corpus::fixture::{gzip, lay, zstd};
    use serde_json::json;

    fn row(path: &str, content: &str) -> String {
        json!({
            "size": 3, "nested": {"content": "no"}, "content": content,
            "max_stars_repo_name": "o/n", "max_stars_repo_path": path,
            "max_stars_repo_head_hexsha": "abc", "max_stars_repo_licenses": ["MIT", "Apache-2.0"],
        })
        .to_string()
    }

    #[test]
    fn rows_of_the_stack_are_read_with_their_provenance() {
        let data = format!("{}\n\n{}\n{}", row("a.py", "a = 1\r\n"), row("b.c", "b"), row("c.py", "c"));
        for (name, data) in [
            ("r.jsonl", data.clone().into_bytes()),
            ("r.jsonl.gz", gzip(data.as_bytes())),
            ("r.jsonl.zst", zstd(data.as_bytes())),
        ] {
            let laid = lay(name, &data);
            assert_eq!(laid.paths(), [(0, "a.py".to_owned()), (3, "c.py".to_owned())]);
            let Entry::Document(document) = &laid.entries()[0] else { panic!("{name}") };
            assert_eq!(document.content, "a = 1\n");
            let provenance = Provenance {
                repository: "o/n".to_owned(),
                revision: Some("abc".to_owned()),
                licence: Some("MIT AND Apache-2.0".to_owned()),
                licence_path: None,
            };
            assert_eq!(document.provenance.as_ref(), Some(&provenance));
        }
    }

    #[test]
    fn a_row_that_tells_less_falls_back_on_the_source() {
        let data = r#"{"text": "a = 1", "max_stars_repo_name": null, "max_stars_repo_licenses": []}"#;
        let mut laid = lay("rows.jsonl", data.as_bytes());
        laid.source.fields.content = "text".to_owned();
        laid.source.licence = Some("MIT".to_owned());
        let Entry::Document(document) = &laid.entries()[0] else { panic!("not read") };
        assert_eq!(document.path, "line-1.py");
        let provenance = document.provenance.as_ref().unwrap();
        assert_eq!((provenance.repository.as_str(), provenance.licence.as_deref()), ("rows", Some("MIT")));
    }

    #[test]
    fn broken_lines_are_rejected_with_file_and_line_and_the_rest_is_read() {
        let lines = ["{\"content\": \"x", "[1]", "{\"other\": 1}", "{\"content\": 7}", "{} x", &row("a.py", "a")];
        let laid = lay("r.jsonl", lines.join("\n").as_bytes());
        let entries = laid.entries();
        assert!(matches!(&entries[5], Entry::Document(document) if document.entry == 5));
        let messages: Vec<_> = entries[..5]
            .iter()
            .map(|entry| match entry {
                Entry::Rejected(r) if r.fault == Fault::BrokenLine && r.path == "r.jsonl" => &*r.message,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(messages[0].starts_with("line 1: EOF while parsing a string (column"), "{}", messages[0]);
        assert!(messages[1].contains("expected a JSON object"), "{}", messages[1]);
        assert_eq!(messages[2], "line 3: the row has no field `content`");
        assert!(messages[3].contains("expected a string"), "{}", messages[3]);
        assert!(messages[4].starts_with("line 5: "), "{}", messages[4]);
    }

    #[test]
    fn a_line_too_long_to_hold_is_passed_over_and_told_with_its_size() {
        let long = "x".repeat(2 << 20);
        let data = gzip(format!("{long}\n{}\n{long}", row("a.py", "a = 1")).as_bytes());
        let mut laid = lay("r.jsonl.gz", &data);
        laid.source.max_file_bytes = 1000;
        let broken = "r.jsonl.gz".to_owned();
        let expected = [(0, broken.clone(), Fault::TooLarge), (2, broken, Fault::TooLarge)];
        assert_eq!(laid.faults(), expected);
        assert_eq!(laid.last_message(), "line 3: 2097152 bytes, over 1056576");
    }

    #[test]
    fn a_passed_over_line_gives_its_memory_back() {
        let mut line = Vec::new();
        let mut input: &[u8] = &[&[b'x'; 5000][..], b"\nshort\n"].concat();
        assert!(matches!(read_line(&mut input, &mut line, 100), Ok(Line::Passed(5000))));
        assert_eq!(line.capacity(), 0);
        assert!(matches!(read_line(&mut input, &mut line, 100), Ok(Line::Held)));
        assert_eq!(line, b"short");
        assert!(matches!(read_line(&mut input, &mut line, 100), Ok(Line::End)));
    }

    #[test]
    fn content_is_held_to_the_same_rules_as_files() {
        let rows = [
            row("a.py", "a\0"),
            row("b.py", " "),
            row("../c.py", "c"),
            row("d.py", &"d".repeat(11)),
            row("e.ipynb", "{"),
        ];
        let mut laid = lay("r.jsonl", rows.join("\n").as_bytes());
        laid.source.max_file_bytes = 10;
        let faults: Vec<_> = laid.faults().into_iter().map(|(_, _, fault)| fault).collect();
        let expected = [Fault::NulByte, Fault::Empty, Fault::UnsafePath, Fault::TooLarge, Fault::BrokenNotebook];
        assert_eq!(faults, expected);
        assert!(laid.last_message().starts_with("line 5: not a notebook"));
    }

    #[test]
    fn a_stream_that_ends_early_tells_how_many_lines_were_read() {
        let data = (0..5000).map(|at| row(&format!("{at}.py"), &format!("x = {}", at * at)) + "\n");
        let packed = gzip(data.collect::<String>().as_bytes());
        let laid = lay("r.jsonl.gz", &packed[..packed.len() / 2]);
        let count = laid.entries().len() - 1;
        assert!(count > 100);
        assert_eq!(laid.faults(), [(count as u64, "r.jsonl.gz".to_owned(), Fault::Corrupt)]);
    }
}

//! JSON objects one after the other: one a line, one over many lines, or the members of one list.
//!
//! The objects' borders are found before they are parsed, so that a large list is never held whole, and every object
//! knows the line that it begins on.

use std::io::{self, BufRead};

use super::error::{Place, RecordError, RecordResult};
use super::row::Row;

/// An object longer than this is damage, not data.
const LONGEST_BYTES: usize = 256 << 20;

/// The objects of a stream.
pub(super) struct Objects<R> {
    input: R,
    place: Place,
    /// Inside the list that the file is.
    in_list: bool,
    ended: bool,
    buffer: Vec<u8>,
}

impl<R: BufRead> Objects<R> {
    pub(super) fn new(input: R, place: Place) -> Self {
        Self { input, place, in_list: false, ended: false, buffer: Vec::new() }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let available = self.input.fill_buf()?;
        let Some(&byte) = available.first() else { return Ok(None) };
        self.input.consume(1);
        self.place.line += u64::from(byte == b'\n');
        Ok(Some(byte))
    }

    /// Reads up to the end of the next object into the buffer: the line it begins on, or none at the end.
    fn advance(&mut self) -> Result<Option<u64>, String> {
        let said = |error: io::Error| format!("{error}; the file may be damaged or cut short");
        self.buffer.clear();
        let first = loop {
            match self.byte().map_err(said)? {
                None if self.in_list => return Err("the list has no end: the file is cut short".to_owned()),
                None => return Ok(None),
                // Also the three of a byte order mark.
                Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | 0xef | 0xbb | 0xbf) => {}
                Some(b'[') if !self.in_list => self.in_list = true,
                Some(b']') if self.in_list => self.in_list = false,
                Some(b'{') => break self.place.line,
                Some(other) => return Err(format!("not a JSON object: it begins with `{}`", other.escape_ascii())),
            }
        };
        self.buffer.push(b'{');
        let (mut depth, mut in_text, mut escaped) = (1_u32, false, false);
        let mut whole = false;
        while !whole {
            let available = self.input.fill_buf().map_err(said)?;
            if available.is_empty() {
                // The parser says what is missing, and where.
                break;
            }
            let mut used = 0;
            for &byte in available {
                used += 1;
                self.place.line += u64::from(byte == b'\n');
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if in_text => escaped = true,
                    b'"' => in_text = !in_text,
                    b'{' | b'[' if !in_text => depth += 1,
                    b'}' | b']' if !in_text => depth -= 1,
                    // No text of JSON goes over a line's end: the object is broken here, and what follows is another.
                    b'\n' if in_text => whole = true,
                    _ => {}
                }
                whole |= depth == 0;
                if whole {
                    break;
                }
            }
            self.buffer.extend_from_slice(&available[..used]);
            self.input.consume(used);
            if self.buffer.len() > LONGEST_BYTES {
                return Err(format!("the object is longer than {} MiB", LONGEST_BYTES >> 20));
            }
        }
        Ok(Some(first))
    }
}

impl<R: BufRead> Iterator for Objects<R> {
    type Item = RecordResult<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let (place, problem) = match self.advance() {
            Ok(None) => {
                self.ended = true;
                return None;
            }
            Ok(Some(line)) => {
                let place = Place { path: self.place.path.clone(), line };
                match serde_json::from_slice(&self.buffer) {
                    Ok(fields) => return Some(Ok(Row { place, fields })),
                    Err(error) => (place, format!("not a JSON object: {}", told(&error))),
                }
            }
            Err(problem) => (self.place.clone(), problem),
        };
        self.ended = true;
        Some(Err(RecordError::Row { place, problem }))
    }
}

/// The message with the place within the object, which starts at the line that is told beside it.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let cut = text.rfind(" at line ").unwrap_or(text.len());
    match error.line() {
        0 | 1 => format!("{} (column {})", &text[..cut], error.column()),
        line => format!("{} ({} lines further down, column {})", &text[..cut], line - 1, error.column()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<(u64, String), String>> {
        let place = Place { path: "x.json".into(), line: 1 };
        let rows = Objects::new(text.as_bytes(), place);
        rows.map(|row| match row {
            Ok(row) => Ok((row.place.line, serde_json::Value::Object(row.fields).to_string())),
            Err(error) => Err(error.to_string()),
        })
        .collect()
    }

    #[test]
    fn objects_are_found_in_lines_in_a_list_and_over_lines() {
        let expected =
            |lines: [u64; 2]| vec![Ok((lines[0], "{\"a\":\"}{\"}".into())), Ok((lines[1], "{\"b\":[1,{}]}".into()))];
        assert_eq!(read("{\"a\":\"}{\"}\n\n{\"b\":[1,{}]}"), expected([1, 3]));
        assert_eq!(read("[{\"a\":\"}{\"},\n{\"b\":[1,{}]}]\n"), expected([1, 2]));
        assert_eq!(read("\u{feff}[\n  {\n \"a\": \"}{\"\n },\n {\"b\":\n [1, {}]}\n]"), expected([2, 5]));
        assert_eq!(read("{\"q\":\"say \\\"{\\\" \\\\\"}"), [Ok((1, "{\"q\":\"say \\\"{\\\" \\\\\"}".into()))]);
        assert_eq!(read(""), []);
        assert_eq!(read("[]"), []);
    }

    #[test]
    fn what_is_broken_is_told_with_its_line_and_ends_the_reading() {
        let last = |text: &str| read(text).pop().unwrap().unwrap_err();
        assert!(
            last("{\"a\":1}\n{\"a\":\n").contains("x.json:2: not a JSON object: EOF"),
            "{}",
            last("{\"a\":1}\n{\"a\":\n")
        );
        assert!(last("{\"a\":1}\n{\"a\": \"x\n{\"a\":1}").starts_with("x.json:2: not a JSON object: "));
        assert!(last("{\"a\":1}\nnull").contains("x.json:2: not a JSON object: it begins with `n`"));
        assert!(last("[{\"a\":1}").contains("cut short"));
        assert!(last("{\n \"a\": 1,\n b}").contains("2 lines further down"));
        assert_eq!(read("x\n{\"a\":1}").len(), 1);
    }
}

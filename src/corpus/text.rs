//! From the bytes of a file to its text: UTF-8, no byte order mark, no NUL, `\n` line ends, notebooks as code.

use std::path::Path;

use super::{Document, Entry, Fault, Rejected, notebook};

/// Why bytes are not a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) fault: Fault,
    pub(super) message: String,
}

impl Flaw {
    pub(super) fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into() }
    }
}

/// The entry that a file's bytes make.
pub(super) fn entry(position: u64, path: String, bytes: Vec<u8>) -> Entry {
    match decode(&path, bytes) {
        Ok(content) => Entry::Document(Document { entry: position, path, content, provenance: None }),
        Err(Flaw { fault, message }) => Entry::Rejected(Rejected { entry: position, path, fault, message }),
    }
}

fn decode(path: &str, bytes: Vec<u8>) -> Result<String, Flaw> {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let bytes = error.into_bytes();
            if declares_latin1(&bytes) {
                bytes.iter().map(|byte| char::from(*byte)).collect()
            } else {
                let line = 1 + memchr::memchr_iter(b'\n', &bytes[..at]).count();
                let message = format!("byte {at}, on line {line}, is not UTF-8");
                return Err(Flaw::new(Fault::InvalidUtf8, message));
            }
        }
    };
    tidy_as(path, text)
}

/// The text that the file at `path` stands for: a notebook's code, or what it holds.
pub(super) fn tidy_as(path: &str, text: String) -> Result<String, Flaw> {
    // Tidied first, so that an empty file is an empty file whatever its name; tidied again for the escapes in the JSON.
    let text = tidy(text)?;
    if is_notebook(path) { tidy(notebook::code(&text)?) } else { Ok(text) }
}

fn is_notebook(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("ipynb"))
}

/// Checks and normalises a text, whatever it came from.
fn tidy(mut text: String) -> Result<String, Flaw> {
    if text.starts_with('\u{FEFF}') {
        text.drain(..'\u{FEFF}'.len_utf8());
    }
    if let Some(at) = memchr::memchr(0, text.as_bytes()) {
        let line = 1 + memchr::memchr_iter(b'\n', &text.as_bytes()[..at]).count();
        return Err(Flaw::new(Fault::NulByte, format!("a NUL byte at byte {at}, on line {line}")));
    }
    if text.trim_start().is_empty() {
        let what = if text.is_empty() { "no bytes" } else { "white space only" };
        return Err(Flaw::new(Fault::Empty, what));
    }
    if memchr::memchr(b'\r', text.as_bytes()).is_some() {
        text = text.replace("\r\n", "\n").replace('\r', "\n");
    }
    Ok(text)
}

/// Whether one of the first two lines declares Latin-1, in the form that Python's PEP 263 reads.
fn declares_latin1(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'\n').take(2).any(|line| {
        let line = String::from_utf8_lossy(&line[..line.len().min(200)]).to_ascii_lowercase();
        if !line.trim_start().starts_with('#') {
            return false;
        }
        let Some((_, rest)) = line.split_once("coding") else {
            return false;
        };
        let Some(rest) = rest.strip_prefix([':', '=']) else {
            return false;
        };
        let name: String = rest
            .trim_start()
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
            .map(|c| if c == '_' { '-' } else { c })
            .collect();
        matches!(name.as_str(), "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" | "l1")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> (Fault, String) {
        let flaw = decode("a.py", bytes.to_vec()).unwrap_err();
        (flaw.fault, flaw.message)
    }

    #[test]
    fn line_ends_and_byte_order_mark_are_normalised() {
        let text = decode("a.py", b"\xEF\xBB\xBFa = 1\r\nb = 2\rc = 3\n".to_vec()).unwrap();
        assert_eq!(text, "a = 1\nb = 2\nc = 3\n");
    }

    #[test]
    fn invalid_utf8_is_told_with_byte_and_line() {
        assert_eq!(fault(b"a = 1\nb = '\xff'\n"), (Fault::InvalidUtf8, "byte 11, on line 2, is not UTF-8".to_owned()));
    }

    #[test]
    fn a_declared_latin1_file_is_read() {
        let text = decode("a.py", b"#!/bin/python\n# -*- coding: latin-1 -*-\nx = '\xe9'\n".to_vec());
        assert!(text.unwrap().contains("x = 'é'"));
        assert_eq!(fault(b"# encoding latin-1\nx = '\xe9'\n").0, Fault::InvalidUtf8);
        assert_eq!(fault(b"# coding: cp1252\nx = '\xe9'\n").0, Fault::InvalidUtf8);
    }

    #[test]
    fn nul_bytes_and_emptiness_are_rejected() {
        assert_eq!(fault(b"a\n\0"), (Fault::NulByte, "a NUL byte at byte 2, on line 2".to_owned()));
        assert_eq!(fault(b""), (Fault::Empty, "no bytes".to_owned()));
        assert_eq!(fault(b"\xEF\xBB\xBF \r\n\t"), (Fault::Empty, "white space only".to_owned()));
    }
}

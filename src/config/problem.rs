//! What is wrong with a pipeline file, and where.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// A place in a file, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Position {
    /// The place of byte `offset` in `text`.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = &text[..text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Where.
    pub position: Position,
    /// What, and what is allowed.
    pub message: String,
}

impl Problem {
    /// A problem at the start of `span`.
    pub fn at(text: &str, span: &Range<usize>, message: impl Into<String>) -> Self {
        Self { position: Position::of(text, span.start), message: message.into() }
    }
}

/// Everything that is wrong with one file.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// In the order of the file.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, Problem { position, message }) in self.problems.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            let (file, Position { line, column }) = (self.file.display(), position);
            write!(f, "{separator}{file}:{line}:{column}: {message}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_characters_not_bytes() {
        assert_eq!(Position::of("a\nüü x", 7), Position { line: 2, column: 4 });
    }
}

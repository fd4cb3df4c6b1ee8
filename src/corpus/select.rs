//! Which members of a shard are read: safe path, regular file, chosen by pattern, small enough.

use glob::{MatchOptions, Pattern};

use super::{CorpusError, Fault, Source};

/// What a member is, beside its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemberKind {
    File,
    Folder,
    /// Symbolic or hard.
    Link,
    /// Something else, in words for the message.
    Other(&'static str),
}

/// What to do with a member.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not asked for.
    Skip,
    /// Asked for, and to be read as this path.
    Read(String),
    /// Asked for, and refused before reading.
    Refuse { path: String, fault: Fault, message: String },
}

/// Decides for each member of a shard.
pub(super) struct Selection {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    max_file_bytes: u64,
    /// Top folder that paths lose, with its `/`.
    root: Option<String>,
}

/// Compiles patterns, naming the setting at fault.
pub(super) fn compile(setting: &'static str, patterns: &[String]) -> Result<Vec<Pattern>, CorpusError> {
    let compiled = patterns.iter().map(|pattern| {
        Pattern::new(pattern).map_err(|error| CorpusError::Setting {
            setting,
            message: format!("holds `{pattern}`, which is not a pattern: {error}"),
        })
    });
    compiled.collect()
}

impl Selection {
    pub(super) fn new(source: &Source, root: Option<&str>) -> Result<Self, CorpusError> {
        Ok(Self {
            include: compile("include", &source.include)?,
            exclude: compile("exclude", &source.exclude)?,
            max_file_bytes: source.max_file_bytes,
            root: root.map(|root| format!("{root}/")),
        })
    }

    pub(super) fn max_file_bytes(&self) -> u64 {
        self.max_file_bytes
    }

    /// Whether the patterns choose `path`.
    pub(super) fn chooses(&self, path: &str) -> bool {
        // `*` stays within a folder; only `**` crosses into others.
        const OPTIONS: MatchOptions =
            MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };
        let any = |patterns: &[Pattern]| patterns.iter().any(|p| p.matches_with(path, OPTIONS));
        any(&self.include) && !any(&self.exclude)
    }

    /// Judges a member by its name as the archive gives it, its kind and its declared size.
    ///
    /// A name that leaves the archive is refused whatever the patterns say: it tells of an archive not to be trusted.
    pub(super) fn judge(&self, name: &str, kind: MemberKind, size: u64) -> Verdict {
        if kind == MemberKind::Folder {
            return Verdict::Skip;
        }
        let path = match safe_path(name) {
            Ok(path) => path,
            Err(message) => {
                let (path, message) = (printable(name), message.to_owned());
                return Verdict::Refuse { path, fault: Fault::UnsafePath, message };
            }
        };
        let path = match &self.root {
            Some(root) => path.strip_prefix(root.as_str()).unwrap_or(&path).to_owned(),
            None => path,
        };
        if !self.chooses(&path) {
            return Verdict::Skip;
        }
        let (fault, message) = match kind {
            MemberKind::Link => (Fault::Link, "a link, which is not followed".to_owned()),
            MemberKind::Other(what) => (Fault::Unreadable, format!("{what}, not a file")),
            _ if size > self.max_file_bytes => (Fault::TooLarge, too_large(size, self.max_file_bytes)),
            _ => return Verdict::Read(path),
        };
        Verdict::Refuse { path, fault, message }
    }
}

/// The message for a file over the limit.
pub(super) fn too_large(size: u64, limit: u64) -> String {
    format!("{size} bytes, over max_file_bytes = {limit}")
}

/// Longest path that is read, in bytes; Linux opens none that is longer.
const LONGEST_PATH: usize = 4096;

/// `name` with `/` between its parts and no `.` among them, or why it may not be used.
pub(super) fn safe_path(name: &str) -> Result<String, &'static str> {
    if name.len() > LONGEST_PATH {
        return Err("the path is longer than 4096 bytes");
    }
    if name.contains('\0') {
        return Err("the path holds a NUL byte");
    }
    // Zip archives made on Windows may have `\`.
    let name = name.replace('\\', "/");
    if name.starts_with('/') {
        return Err("the path is absolute");
    }
    let bytes = name.as_bytes();
    if bytes.len() > 1 && bytes[1] == b':' && bytes[0].is_ascii_alphabetic() {
        return Err("the path names a drive");
    }
    let mut path = String::with_capacity(name.len());
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("the path climbs out with `..`"),
            part => {
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(part);
            }
        }
    }
    if path.is_empty() { Err("the path is empty") } else { Ok(path) }
}

/// A name fit for a message and for a Postgres text: no control characters, not endless.
pub(super) fn printable(name: &str) -> String {
    let shown = name.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c });
    shown.take(LONGEST_PATH / 4).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::corpus::SourceKind;

    fn selection(root: Option<&str>) -> Selection {
        let mut source = Source::new(SourceKind::Archive, "x.zip");
        source.exclude = vec!["**/tests/**".to_owned()];
        source.max_file_bytes = 100;
        Selection::new(&source, root).unwrap()
    }

    #[test]
    fn patterns_choose_python_at_any_depth_and_exclusion_wins() {
        let selection = selection(None);
        assert!(selection.chooses("setup.py") && selection.chooses("a/b/c.py"));
        assert!(selection.chooses(".github/run.py") && selection.chooses("n.ipynb"));
        assert!(!selection.chooses("a/tests/b/c.py") && !selection.chooses("tests/c.py"));
        assert!(!selection.chooses("a.pyc") && !selection.chooses("py"));
    }

    #[test]
    fn a_star_stays_within_its_folder() {
        let mut source = Source::new(SourceKind::Dir, ".");
        source.include = vec!["src/*.py".to_owned()];
        let selection = Selection::new(&source, None).unwrap();
        assert!(selection.chooses("src/a.py") && !selection.chooses("src/b/a.py"));
    }

    #[test]
    fn the_top_folder_is_taken_off_before_matching() {
        let verdict = selection(Some("click-8")).judge("./click-8/src/a.py", MemberKind::File, 9);
        assert_eq!(verdict, Verdict::Read("src/a.py".to_owned()));
    }

    #[test]
    fn names_that_leave_the_archive_are_refused() {
        for name in ["/etc/a.py", "a/../../b.py", "..\\b.py", "C:\\b.py", "c:b.py", "a\0.py", "./"] {
            let verdict = selection(None).judge(name, MemberKind::File, 9);
            let refused =
                matches!(verdict, Verdict::Refuse { fault: Fault::UnsafePath, ref path, .. } if !path.contains('\0'));
            assert!(refused, "{name}: {verdict:?}");
        }
        assert_eq!(safe_path(&"a/".repeat(3000)), Err("the path is longer than 4096 bytes"));
    }

    #[test]
    fn links_devices_and_large_files_are_refused_only_where_asked_for() {
        let selection = selection(None);
        let fault = |name: &str, kind, size| match selection.judge(name, kind, size) {
            Verdict::Refuse { fault, .. } => Some(fault),
            _ => None,
        };
        assert_eq!(fault("a.py", MemberKind::Link, 0), Some(Fault::Link));
        assert_eq!(fault("a.py", MemberKind::Other("a device"), 0), Some(Fault::Unreadable));
        assert_eq!(fault("a.py", MemberKind::File, 101), Some(Fault::TooLarge));
        assert_eq!(fault("a.bin", MemberKind::File, 101), None);
        assert_eq!(fault("docs", MemberKind::Link, 0), None);
    }
}

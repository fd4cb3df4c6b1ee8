//! Which format a file has: its name alone decides, so that listing opens nothing.

use std::path::Path;

use super::SourceKind;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, of one or more members.
    Gzip,
    /// Zstandard, of one or more frames.
    Zstd,
}

/// How a shard is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A folder of files.
    Folder,
    /// A tar archive.
    Tar(Compression),
    /// A zip archive.
    Zip,
    /// A Python wheel: a zip archive whose top folders are packages.
    Wheel,
    /// JSON lines.
    Jsonl(Compression),
}

impl Format {
    /// The format of the file at `path`, if a source of `kind` can read it.
    pub fn of(path: &Path, kind: SourceKind) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        let endings: &[(&str, Self)] = match kind {
            SourceKind::Dir => &[],
            SourceKind::Archive => &[
                (".tar", Self::Tar(Compression::None)),
                (".tar.gz", Self::Tar(Compression::Gzip)),
                (".tgz", Self::Tar(Compression::Gzip)),
                (".tar.zst", Self::Tar(Compression::Zstd)),
                (".zip", Self::Zip),
                (".whl", Self::Wheel),
            ],
            SourceKind::Jsonl => &[
                (".jsonl", Self::Jsonl(Compression::None)),
                (".jsonl.gz", Self::Jsonl(Compression::Gzip)),
                (".jsonl.zst", Self::Jsonl(Compression::Zstd)),
            ],
        };
        endings.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, format)| *format)
    }

    /// Whether the name at `path` is of a kind that a source of `kind` stands for, in a form that is not read.
    pub(super) fn is_foreign(path: &Path, kind: SourceKind) -> bool {
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let endings: &[&str] = match kind {
            SourceKind::Dir => &[],
            SourceKind::Archive => &[
                ".tar.xz",
                ".txz",
                ".tar.bz2",
                ".tbz2",
                ".tbz",
                ".tar.lz4",
                ".tar.lzma",
                ".tar.br",
                ".tar.z",
                ".7z",
                ".rar",
            ],
            SourceKind::Jsonl => &[".jsonl.xz", ".jsonl.bz2", ".jsonl.lz4", ".jsonl.br", ".jsonl.zip"],
        };
        endings.iter().any(|ending| name.ends_with(ending))
    }

    /// The endings that a source of `kind` reads, for messages.
    pub(super) fn endings(kind: SourceKind) -> &'static str {
        match kind {
            SourceKind::Dir => "a folder",
            SourceKind::Archive => ".tar, .tar.gz, .tgz, .tar.zst, .zip, .whl",
            SourceKind::Jsonl => ".jsonl, .jsonl.gz, .jsonl.zst",
        }
    }
}

/// `name` without the ending that tells its format.
pub(super) fn stem(name: &str) -> &str {
    const ENDINGS: [&str; 9] =
        [".tar.gz", ".tar.zst", ".jsonl.gz", ".jsonl.zst", ".tgz", ".tar", ".zip", ".whl", ".jsonl"];
    let cut = ENDINGS.iter().find_map(|ending| {
        let at = name.len().checked_sub(ending.len())?;
        let same = name.is_char_boundary(at) && name[at..].eq_ignore_ascii_case(ending);
        same.then_some(at)
    });
    &name[..cut.unwrap_or(name.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_format_in_any_case() {
        let archive = |name: &str| Format::of(Path::new(name), SourceKind::Archive);
        assert_eq!(archive("a/click-8.1.7.tar.gz"), Some(Format::Tar(Compression::Gzip)));
        assert_eq!(archive("A.TGZ"), Some(Format::Tar(Compression::Gzip)));
        assert_eq!(archive("a.tar.zst"), Some(Format::Tar(Compression::Zstd)));
        assert_eq!(archive("a.whl"), Some(Format::Wheel));
        assert_eq!(archive("a.jsonl"), None);
        let jsonl = |name: &str| Format::of(Path::new(name), SourceKind::Jsonl);
        assert_eq!(jsonl("rows.jsonl.gz"), Some(Format::Jsonl(Compression::Gzip)));
        assert_eq!(jsonl("rows.json"), None);
    }

    #[test]
    fn the_stem_loses_the_whole_ending() {
        assert_eq!(stem("click-8.1.7.tar.gz"), "click-8.1.7");
        assert_eq!(stem("rows.JSONL.zst"), "rows");
        assert_eq!(stem("ä"), "ä");
    }
}

//! Listing a source: which folders and files it stands for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{CorpusError, Format, Source, SourceKind, folder};

/// One folder, archive or JSONL file: what a cursor counts within.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its path, relative to the pipeline file's folder where it lies below it, with `/`. Unique within the source, and
    /// the same on every machine that has the same layout.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// How it is read.
    pub format: Format,
    /// Its size on disk in bytes; for a folder, that of all files below.
    pub bytes: u64,
    /// When it last changed, in milliseconds since 1970; for a folder, the latest change below.
    pub modified_ms: i64,
}

/// Lists the shards of `source`, sorted by name. `base` is the folder of the pipeline file.
///
/// # Errors
/// When nothing is there, when a matched file has an unknown ending, or when a setting is wrong.
pub fn shards(source: &Source, base: &Path) -> Result<Vec<Shard>, CorpusError> {
    source.check()?;
    let mut shards = Vec::new();
    for path in matches(source, base)? {
        let metadata = fs::metadata(&path).map_err(|error| CorpusError::Listing { path: path.clone(), error })?;
        let format = match source.kind {
            SourceKind::Dir if metadata.is_dir() => Format::Folder,
            // A pattern such as `repos/*` may well meet a README beside the folders.
            SourceKind::Dir => continue,
            kind => Format::of(&path, kind)
                .ok_or_else(|| CorpusError::UnknownFormat { path: path.clone(), allowed: Format::endings(kind) })?,
        };
        let (bytes, modified_ms) = match format {
            Format::Folder => measure(&path),
            _ => (metadata.len(), milliseconds(&metadata)),
        };
        let name = name(&path, base);
        shards.push(Shard { name, path, format, bytes, modified_ms });
    }
    if shards.is_empty() {
        return Err(CorpusError::NothingMatches {
            pattern: source.path.clone(),
            base: base.to_owned(),
            hint: match source.kind {
                SourceKind::Dir => "name a folder, or a pattern that matches folders",
                SourceKind::Archive => "name an archive, a folder of archives, or a pattern",
                SourceKind::Jsonl => "name a JSONL file, a folder of them, or a pattern",
            },
        });
    }
    shards.sort_by(|a, b| a.name.cmp(&b.name));
    shards.dedup_by(|a, b| a.name == b.name);
    Ok(shards)
}

/// The paths that the source's `path` leads to: itself if it is there, else what it matches as a pattern.
fn matches(source: &Source, base: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    let literal = base.join(&source.path);
    if literal.exists() {
        return match source.kind {
            SourceKind::Archive | SourceKind::Jsonl if literal.is_dir() => files_in(&literal, source.kind),
            _ => Ok(vec![literal]),
        };
    }
    // The base may itself hold characters that patterns give a meaning.
    let escaped = glob::Pattern::escape(&base.to_string_lossy());
    let pattern = Path::new(&escaped).join(&source.path);
    let paths = glob::glob(&pattern.to_string_lossy())
        .map_err(|error| CorpusError::Setting { setting: "path", message: format!("is not a pattern: {error}") })?;
    let paths = paths
        .map(|path| path.map_err(|error| CorpusError::Listing { path: error.path().to_owned(), error: error.into() }));
    // A folder met by an archive pattern is no archive, whatever its name.
    let files_only = source.kind != SourceKind::Dir;
    paths.filter(|path| !path.as_ref().is_ok_and(|path| files_only && path.is_dir())).collect()
}

/// The files in `folder` that a source of `kind` reads. Others are passed over, but for archives in a form that is not
/// read: they were meant.
fn files_in(folder: &Path, kind: SourceKind) -> Result<Vec<PathBuf>, CorpusError> {
    let listing = |error| CorpusError::Listing { path: folder.to_owned(), error };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(listing)? {
        let path = entry.map_err(listing)?.path();
        if Format::of(&path, kind).is_some() && path.is_file() {
            files.push(path);
        } else if Format::is_foreign(&path, kind) && path.is_file() {
            return Err(CorpusError::UnknownFormat { path, allowed: Format::endings(kind) });
        }
    }
    Ok(files)
}

fn name(path: &Path, base: &Path) -> String {
    let inside = path.strip_prefix(base).unwrap_or(path);
    let parts: PathBuf = inside.components().filter(|part| part.as_os_str() != ".").collect();
    let name = parts.to_string_lossy().replace('\\', "/");
    if name.is_empty() { ".".to_owned() } else { name }
}

/// Bytes and latest change of all files below `folder`. What cannot be looked at is met again, and told, at reading.
fn measure(folder: &Path) -> (u64, i64) {
    let files = folder::walk(folder).filter_map(Result::ok).filter(|e| e.file_type().is_file());
    files
        .filter_map(|file| file.metadata().ok())
        .fold((0, 0), |(bytes, latest), metadata| (bytes + metadata.len(), latest.max(milliseconds(&metadata))))
}

fn milliseconds(metadata: &fs::Metadata) -> i64 {
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "12345").unwrap();
        }
        folder
    }

    fn names(kind: SourceKind, path: &str, base: &Path) -> Vec<String> {
        let shards = shards(&Source::new(kind, path), base).unwrap();
        shards.into_iter().map(|shard| shard.name).collect()
    }

    #[test]
    fn a_pattern_a_folder_and_a_file_lead_to_sorted_shards() {
        let folder = folder(&["in/b.tar.gz", "in/a.whl", "in/notes.txt", "in/x.tar/y.py", "r.jsonl"]);
        let base = folder.path();
        assert_eq!(names(SourceKind::Archive, "in", base), ["in/a.whl", "in/b.tar.gz"]);
        assert_eq!(names(SourceKind::Archive, "./in/[ab].*", base), ["in/a.whl", "in/b.tar.gz"]);
        assert_eq!(names(SourceKind::Archive, "in/*.tar*", base), ["in/b.tar.gz"]);
        assert_eq!(names(SourceKind::Jsonl, "./r.jsonl", base), ["r.jsonl"]);
    }

    #[test]
    fn each_matched_folder_is_a_shard_with_the_size_of_its_files() {
        let folder = folder(&["repos/b/x.py", "repos/a/x.py", "repos/a/d/y.py", "repos/README"]);
        let listed = shards(&Source::new(SourceKind::Dir, "repos/*"), folder.path()).unwrap();
        let seen: Vec<_> = listed.iter().map(|s| (s.name.as_str(), s.bytes, s.format)).collect();
        assert_eq!(seen, [("repos/a", 10, Format::Folder), ("repos/b", 5, Format::Folder)]);
        assert!(listed[0].modified_ms > 1_600_000_000_000);
        assert_eq!(names(SourceKind::Dir, ".", folder.path()), ["."]);
    }

    #[test]
    fn a_base_with_pattern_characters_is_taken_literally() {
        let outer = folder(&["[x]/a.zip"]);
        assert_eq!(names(SourceKind::Archive, "*.zip", &outer.path().join("[x]")), ["a.zip"]);
    }

    #[test]
    fn nothing_matching_is_an_error_that_names_the_pattern() {
        let folder = folder(&["a.txt"]);
        let source = Source::new(SourceKind::Archive, "in/*.tar.gz");
        let error = shards(&source, folder.path()).unwrap_err().to_string();
        assert!(error.contains("nothing matches `in/*.tar.gz` in /"), "{error}");
    }

    #[test]
    fn a_file_of_another_format_is_an_error_that_names_the_allowed() {
        let folder = folder(&["xz/a.tar.xz", "xz/a.tar.gz", "bz2/b.TAR.BZ2", "rows/c.jsonl.xz"]);
        let said = |kind, path: &str| shards(&Source::new(kind, path), folder.path()).unwrap_err().to_string();
        for (path, name) in [("xz/*.xz", "a.tar.xz"), ("xz", "a.tar.xz"), ("bz2", "b.TAR.BZ2")] {
            let error = said(SourceKind::Archive, path);
            let allowed = "is not one of .tar, .tar.gz, .tgz, .tar.zst, .zip, .whl: pack it anew";
            assert!(error.contains(&format!("{name} {allowed}")), "{error}");
        }
        assert_eq!(names(SourceKind::Archive, "xz/*.gz", folder.path()), ["xz/a.tar.gz"]);
        assert!(said(SourceKind::Jsonl, "rows").contains("c.jsonl.xz is not one of .jsonl, .jsonl.gz, .jsonl.zst"));
    }
}

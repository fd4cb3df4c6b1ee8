//! The settings of one source, as the pipeline file writes them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CorpusError;
use super::select::compile;

/// What a source's `path` leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// Folders of source files; each matched folder is one repository.
    Dir,
    /// Archives: `.tar`, `.tar.gz`, `.tgz`, `.tar.zst`, `.zip`, `.whl`; each is one repository.
    Archive,
    /// JSON lines, one file of source a line: `.jsonl`, `.jsonl.gz`, `.jsonl.zst`.
    Jsonl,
}

/// Where source files are read from, and which of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What `path` leads to: `dir`, `archive` or `jsonl`.
    pub kind: SourceKind,
    /// A file, a folder or a pattern such as `packages/*.tar.gz`, relative to the pipeline file's folder. For `archive`
    /// and `jsonl` a folder stands for the files of that kind right inside it.
    pub path: String,
    /// Name of the repository or package; left out, it is told from the archive, the folder or the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Commit or version; left out, it is told from the archive, the folder or the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// SPDX identifier of the licence. It takes the place of what archives and folders tell; a JSONL row that names its
    /// own licence keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Patterns of the paths to read, within the repository.
    #[serde(default = "default_include")]
    pub include: Vec<String>,
    /// Patterns of the paths to leave out, stronger than `include`.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Files larger than this many bytes are rejected as `too_large`.
    #[serde(default = "default_max_file_bytes")]
    pub max_file_bytes: u64,
    /// Names of the fields in JSONL rows; those of The Stack by default.
    #[serde(default)]
    pub fields: JsonlFields,
}

/// Names of the fields in JSONL rows. A row must have the content; a row without one of the others is read all the same.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JsonlFields {
    /// The source text.
    pub content: String,
    /// The repository's name.
    pub repository: String,
    /// The path inside the repository; rows without one are read whatever `include` says.
    pub path: String,
    /// The commit or version.
    pub revision: String,
    /// The licence: a string, or a list of strings.
    pub licence: String,
}

impl Default for JsonlFields {
    fn default() -> Self {
        Self {
            content: "content".to_owned(),
            repository: "max_stars_repo_name".to_owned(),
            path: "max_stars_repo_path".to_owned(),
            revision: "max_stars_repo_head_hexsha".to_owned(),
            licence: "max_stars_repo_licenses".to_owned(),
        }
    }
}

fn default_include() -> Vec<String> {
    vec!["**/*.py".to_owned(), "**/*.ipynb".to_owned()]
}

fn default_max_file_bytes() -> u64 {
    1_000_000
}

/// A value in Postgres may not reach 1 GiB; half of it leaves room for escaping.
const LARGEST_MAX_FILE_BYTES: u64 = 512 << 20;

impl Source {
    /// A source of `kind` at `path` with every other setting at its default.
    pub fn new(kind: SourceKind, path: impl Into<String>) -> Self {
        Self {
            kind,
            path: path.into(),
            repository: None,
            revision: None,
            licence: None,
            include: default_include(),
            exclude: Vec::new(),
            max_file_bytes: default_max_file_bytes(),
            fields: JsonlFields::default(),
        }
    }

    /// Checks what the types cannot, without touching the file system.
    ///
    /// # Errors
    /// [`CorpusError::Setting`] with the first setting that is wrong.
    pub fn check(&self) -> Result<(), CorpusError> {
        let wrong = |setting, message: &str| Err(CorpusError::Setting { setting, message: message.to_owned() });
        if self.path.trim().is_empty() {
            return wrong("path", "is empty: name a file, a folder or a pattern");
        }
        if let Err(error) = glob::Pattern::new(&self.path) {
            return wrong("path", &format!("is not a pattern: {error}"));
        }
        if self.include.is_empty() {
            return wrong("include", "is empty: leave it out for `**/*.py` and `**/*.ipynb`");
        }
        compile("include", &self.include)?;
        compile("exclude", &self.exclude)?;
        if !(1..=LARGEST_MAX_FILE_BYTES).contains(&self.max_file_bytes) {
            let allowed = format!("must be from 1 to {LARGEST_MAX_FILE_BYTES}");
            return wrong("max_file_bytes", &allowed);
        }
        if self.fields.content.is_empty() {
            return wrong("fields", "has no name for `content`");
        }
        Ok(())
    }

    /// Longest JSONL line that is held, in bytes: JSON escapes can make a text up to six times longer, and the other
    /// fields need room too.
    pub(super) fn max_line_bytes(&self) -> u64 {
        self.max_file_bytes * 8 + (1 << 20)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_source_needs_only_its_kind_and_path() {
        let source: Source = toml::from_str("kind = 'archive'\npath = 'packages/*.whl'").unwrap();
        assert_eq!(source, Source::new(SourceKind::Archive, "packages/*.whl"));
        source.check().unwrap();
    }

    #[test]
    fn settings_survive_being_written_and_read_again() {
        let mut source = Source::new(SourceKind::Jsonl, "rows.jsonl.zst");
        source.licence = Some("MIT".to_owned());
        source.fields.content = "text".to_owned();
        let text = serde_json::to_string(&source).unwrap();
        assert_eq!(serde_json::from_str::<Source>(&text).unwrap(), source);
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        let error = toml::from_str::<Source>("kind = 'dir'\npath = '.'\nglob = '*'").unwrap_err();
        assert!(error.message().contains("unknown field `glob`"), "{error}");
    }

    #[test]
    fn a_wrong_setting_is_named_with_what_is_allowed() {
        let refused = |change: fn(&mut Source)| {
            let mut source = Source::new(SourceKind::Dir, ".");
            change(&mut source);
            source.check().unwrap_err().to_string()
        };
        assert!(refused(|source| source.path.clear()).starts_with("`path` is empty"));
        assert!(refused(|source| source.include.clear()).starts_with("`include` is empty"));
        assert!(refused(|source| source.exclude.push("a**b".into())).contains("`a**b`"));
        assert!(refused(|source| source.max_file_bytes = 0).contains("from 1 to"));
        assert!(refused(|source| source.fields.content.clear()).contains("content"));
    }

    #[test]
    fn the_schema_tells_what_each_setting_means() {
        let schema = serde_json::to_value(schemars::schema_for!(Source)).unwrap();
        let about = &schema["properties"]["max_file_bytes"];
        assert_eq!(about["default"], 1_000_000);
        assert!(about["description"].as_str().unwrap().contains("too_large"));
        assert_eq!(schema["required"], serde_json::json!(["kind", "path"]));
    }
}

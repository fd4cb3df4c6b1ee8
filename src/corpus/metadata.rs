//! What a package says of itself: `PKG-INFO` and `METADATA` files, and the names of archives and their top folders.

use super::licence;

/// The fields of a `PKG-INFO` or `METADATA` file that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    pub(super) licence: Option<String>,
}

impl Metadata {
    /// Reads the header fields (<https://packaging.python.org/specifications/core-metadata/>), up to the first empty line.
    ///
    /// The licence is, in this order: the expression; the short name, or the text, in `License`; the classifiers, if
    /// each says which licence it means.
    pub(super) fn parse(text: &str) -> Self {
        let (mut expression, mut named) = (None, None);
        let mut classified: Option<Vec<&'static str>> = Some(Vec::new());
        let mut metadata = Self::default();
        for (key, value) in fields(text) {
            let value = value.trim().to_owned();
            if value.is_empty() || value == "UNKNOWN" {
                continue;
            }
            match key.to_ascii_lowercase().as_str() {
                "name" => metadata.name = Some(normal_name(&value)),
                "version" => metadata.version = Some(value),
                "license-expression" => expression = Some(value),
                "license" => {
                    named = licence::from_name(&value).or_else(|| licence::from_text(&value));
                }
                "classifier" if value.starts_with("License ::") && value != "License :: OSI Approved" => {
                    let id = licence::from_classifier(&value);
                    classified = classified.zip(id).map(|(mut ids, id)| {
                        ids.push(id);
                        ids
                    });
                }
                _ => {}
            }
        }
        // Several classifiers do not say whether one may choose: all of them hold.
        let classified = classified.filter(|ids| !ids.is_empty()).map(|ids| ids.join(" AND "));
        metadata.licence = expression.or(named.map(str::to_owned)).or(classified);
        metadata
    }
}

/// Header fields with their continuation lines.
fn fields(text: &str) -> Vec<(&str, String)> {
    let mut fields: Vec<(&str, String)> = Vec::new();
    for line in text.lines() {
        if line.trim().is_empty() && !line.starts_with(' ') {
            break;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line.trim_start().trim_start_matches('|'));
            }
        } else if let Some((key, value)) = line.split_once(':') {
            fields.push((key.trim(), value.to_owned()));
        }
    }
    fields
}

/// A package's name in the normal form of PEP 503, so that a wheel and an sdist agree.
pub(super) fn normal_name(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

/// Name and version in the file name of a wheel: `name-version(-build)?-python-abi-platform`.
pub(super) fn of_wheel(stem: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = stem.split('-').collect();
    (parts.len() >= 5).then(|| (normal_name(parts[0]), parts[1].to_owned()))
}

/// Name and version in `name-1.2.3`, the form of sdists and of tags on GitHub.
pub(super) fn name_and_version(stem: &str) -> Option<(&str, &str)> {
    let (name, version) = stem.rsplit_once('-')?;
    let digits = version.strip_prefix('v').unwrap_or(version);
    (!name.is_empty() && digits.starts_with(|c: char| c.is_ascii_digit())).then_some((name, version))
}

/// The repository in the name of a top folder as GitHub makes it: `name-REF` or `owner-name-COMMIT`.
pub(super) fn github_repository<'a>(folder: &'a str, commit: &str) -> &'a str {
    let short = folder.rsplit_once('-').filter(|(_, end)| end.len() >= 7 && commit.starts_with(end));
    let branch = ["-main", "-master", "-develop", "-HEAD"];
    let branch = branch.iter().find_map(|ending| folder.strip_suffix(ending));
    short.map(|(name, _)| name).or(branch).or_else(|| name_and_version(folder).map(|(name, _)| name)).unwrap_or(folder)
}

/// Whether `text` is a commit's name: SHA-1 or SHA-256 in hexadecimal.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn licence(fields: &str) -> Option<String> {
        Metadata::parse(&format!("Metadata-Version: 2.1\nName: X\n{fields}\n\nLicense: GPLv3\n")).licence
    }

    #[test]
    fn name_and_version_are_read_up_to_the_description() {
        let metadata = Metadata::parse("Name: Foo.Bar_baz\nVersion: 1.2\nLicense: UNKNOWN\n\nVersion: 9\n");
        assert_eq!(metadata.name.as_deref(), Some("foo-bar-baz"));
        assert_eq!(metadata.version.as_deref(), Some("1.2"));
        assert_eq!(metadata.licence, None);
    }

    #[test]
    fn the_licence_comes_from_the_clearest_field() {
        let mit = "Classifier: License :: OSI Approved :: MIT License";
        let bsd = "Classifier: License :: OSI Approved :: BSD License";
        let expression = "License-Expression: Apache-2.0 OR BSD-3-Clause";
        assert_eq!(licence(&format!("License: MIT\n{expression}")).as_deref(), Some("Apache-2.0 OR BSD-3-Clause"));
        assert_eq!(licence(&format!("License: BSD-3-Clause\n{bsd}")).as_deref(), Some("BSD-3-Clause"));
        assert_eq!(licence(&format!("License: see LICENSE\n{mit}")).as_deref(), Some("MIT"));
        assert_eq!(licence(&format!("{mit}\n{bsd}")), None);
        assert_eq!(licence("License: BSD"), None);
    }

    #[test]
    fn a_licence_text_over_several_lines_is_recognised() {
        let text = "License: Copyright X\n        \n        Redistribution and use in source and\n        binary forms\nKeywords: a";
        assert_eq!(licence(text).as_deref(), Some("BSD-2-Clause"));
    }

    #[test]
    fn file_and_folder_names_tell_name_and_version() {
        assert_eq!(of_wheel("Foo_bar-1.2-py3-none-any"), Some(("foo-bar".to_owned(), "1.2".to_owned())));
        assert_eq!(of_wheel("foo"), None);
        assert_eq!(name_and_version("python-dateutil-2.9.0.post0"), Some(("python-dateutil", "2.9.0.post0")));
        assert_eq!(name_and_version("my-repo"), None);
    }

    #[test]
    fn github_folders_tell_the_repository() {
        let commit = "874ca2bc1c30b93a4ac6e39b30e3cf9ffbb4a7d1";
        assert_eq!(github_repository("click-8.1.7", commit), "click");
        assert_eq!(github_repository("click-main", commit), "click");
        assert_eq!(github_repository("pallets-click-874ca2b", commit), "pallets-click");
        assert_eq!(github_repository("click-some-branch", commit), "click-some-branch");
        assert!(is_commit(commit) && !is_commit("main"));
    }
}

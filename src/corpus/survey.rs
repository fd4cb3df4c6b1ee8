//! A first pass over a shard: where its files come from, under what licence, and which top folder they share.

use std::fs::{self, File};
use std::io::{self, Read};
use std::sync::Arc;

use super::licence::{self, is_licence_file};
use super::metadata::{self, Metadata};
use super::select::{MemberKind, safe_path};
use super::stream::{self, BombGuard};
use super::walker::Walker;
use super::{Format, Provenance, Shard, Source, format, git, zipped};

/// What is known of a shard before its files are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Where the files come from. For JSONL, what rows that tell less fall back on.
    pub provenance: Provenance,
    /// Number of members of an archive; of one that is damaged, those before the damage.
    pub entries: Option<u64>,
    /// The single top folder that an archive's paths lose.
    pub root: Option<String>,
}

impl Shard {
    /// Looks a shard through: archives member by member, folders at their top only, JSONL not at all.
    ///
    /// What cannot be read here is met again, and told, by [`Shard::read`]; so this always answers.
    pub fn survey(&self, source: &Source) -> Survey {
        let mut findings = Findings::default();
        // An error ends the look, not what was found before.
        let _ = match self.format {
            Format::Jsonl(_) => Ok(()),
            Format::Folder => self.survey_folder(&mut findings),
            Format::Tar(compression) => stream::open(&self.path, compression, BombGuard::DEFAULT, &Arc::default())
                .and_then(|input| survey_tar(Walker::new(input), &mut findings)),
            Format::Zip | Format::Wheel => self.survey_zip(&mut findings),
        };
        self.conclude(source, findings)
    }

    fn survey_folder(&self, findings: &mut Findings) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_file() && wants(&name) {
                findings.offer(&name, &head(File::open(entry.path())?)?);
            }
        }
        findings.commit = git::commit(&self.path);
        findings.repository = git::repository(&self.path);
        Ok(())
    }

    fn survey_zip(&self, findings: &mut Findings) -> io::Result<()> {
        let mut archive = zipped::open(&self.path)?;
        findings.commit = comment_commit(&String::from_utf8_lossy(archive.comment()));
        findings.entries = Some(archive.len() as u64);
        for index in 0..archive.len() {
            let (name, kind, _) = zipped::describe(&archive.by_index_data(index)?);
            if findings.see(&name, kind)
                && let Ok(member) = archive.by_index(index)
            {
                findings.offer(&name, &head(member)?);
            }
        }
        Ok(())
    }

    fn conclude(&self, source: &Source, findings: Findings) -> Survey {
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        let stem = format::stem(&file);
        // In a wheel, the top folders are the packages.
        let archive = matches!(self.format, Format::Tar(_) | Format::Zip);
        let root = if archive { findings.top.root() } else { None };
        let named = match self.format {
            Format::Wheel => metadata::of_wheel(stem),
            Format::Tar(_) | Format::Zip => metadata::name_and_version(stem)
                .or_else(|| metadata::name_and_version(root.as_deref()?))
                .map(|(name, version)| (metadata::normal_name(name), version.to_owned())),
            Format::Folder | Format::Jsonl(_) => None,
        };
        let (file_name, file_version) = named.unzip();
        let on_github = findings.commit.as_deref().zip(root.as_deref());
        let on_github = on_github.map(|(commit, root)| metadata::github_repository(root, commit).to_owned());
        let package = findings.metadata.map(|(_, metadata)| metadata).unwrap_or_default();
        let repository = (source.repository.clone())
            .or(findings.repository)
            .or(package.name)
            .or(on_github)
            .or(file_name)
            .unwrap_or_else(|| if stem.is_empty() { self.name.clone() } else { stem.to_owned() });
        let revision = (source.revision.clone()).or(findings.commit).or(package.version).or(file_version);
        let (text_licence, licence_path) = findings.licence.map(|found| (found.id, found.path)).unzip();
        let licence = (source.licence.clone()).or(package.licence).or(text_licence.flatten().map(str::to_owned));
        let strip = root.as_ref().map(|root| format!("{root}/"));
        let licence_path = licence_path.map(|path| match &strip {
            Some(root) => path.strip_prefix(root.as_str()).unwrap_or(&path).to_owned(),
            None => path,
        });
        let provenance = Provenance { repository, revision, licence, licence_path };
        Survey { provenance, entries: findings.entries, root }
    }
}

fn survey_tar(mut walker: Walker, findings: &mut Findings) -> io::Result<()> {
    while let Some(member) = walker.next_member()? {
        *findings.entries.get_or_insert(0) += 1;
        if findings.see(&member.name, member.kind) && member.size <= licence::TEXT_BYTES as u64 {
            let text = walker.read(&member)?;
            findings.offer(&member.name, &String::from_utf8_lossy(&text));
        } else {
            walker.skip(&member)?;
        }
    }
    findings.commit = walker.comment().and_then(comment_commit);
    Ok(())
}

fn comment_commit(comment: &str) -> Option<String> {
    Some(comment.trim().to_owned()).filter(|comment| metadata::is_commit(comment))
}

fn head(input: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    input.take(licence::TEXT_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The best of what was seen so far. "Best" never depends on the order in which members come.
#[derive(Default)]
struct Findings {
    commit: Option<String>,
    repository: Option<String>,
    entries: Option<u64>,
    metadata: Option<((usize, String), Metadata)>,
    licence: Option<FoundLicence>,
    top: Top,
}

/// A licence file. Smaller is better: recognised, of the lesser GPL (whose folder holds the GPL too), near the top, first
/// by name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct FoundLicence {
    unknown: bool,
    not_lesser: bool,
    depth: usize,
    path: String,
    id: Option<&'static str>,
}

impl Findings {
    /// Notes a member, and says whether its text is wanted.
    fn see(&mut self, name: &str, kind: MemberKind) -> bool {
        let Ok(path) = safe_path(name) else {
            return false;
        };
        self.top.see(&path, kind);
        kind == MemberKind::File && wants(&path)
    }

    fn offer(&mut self, name: &str, text: &str) {
        let Ok(path) = safe_path(name) else { return };
        let depth = path.matches('/').count();
        if is_metadata(&path) {
            let rank = (depth, path);
            if self.metadata.as_ref().is_none_or(|(best, _)| rank < *best) {
                self.metadata = Some((rank, Metadata::parse(text)));
            }
            return;
        }
        let id = licence::from_text(text);
        let not_lesser = !id.is_some_and(|id| id.starts_with("LGPL"));
        let found = FoundLicence { unknown: id.is_none(), not_lesser, depth, path, id };
        if self.licence.as_ref().is_none_or(|best| found < *best) {
            self.licence = Some(found);
        }
    }
}

/// Whether the text of the member at `path` tells something.
fn wants(path: &str) -> bool {
    is_metadata(path) || is_licence(path)
}

/// `PKG-INFO` at the top of an sdist, `METADATA` in the `.dist-info` of a wheel.
fn is_metadata(path: &str) -> bool {
    match path.split_once('/') {
        None => path == "PKG-INFO",
        Some((folder, "METADATA")) => folder.ends_with(".dist-info"),
        Some((_, rest)) => rest == "PKG-INFO",
    }
}

/// A licence file of the package itself: near the top, where those of bundled packages are not.
fn is_licence(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let depth = if folder.is_empty() { 0 } else { 1 + folder.matches('/').count() };
    // A folder of licences elsewhere holds those of parts, or of several choices.
    let collected = folder.ends_with(".dist-info/licenses");
    depth <= 1 && is_licence_file(name) || depth <= 2 && collected
}

/// The first parts of the members' paths.
#[derive(Default)]
struct Top {
    first: Option<String>,
    mixed: bool,
    is_package: bool,
}

impl Top {
    fn see(&mut self, path: &str, kind: MemberKind) {
        let (folder, rest) = path.split_once('/').unwrap_or((path, ""));
        // A file right at the top has no folder to lose.
        self.mixed |= rest.is_empty() && kind != MemberKind::Folder;
        self.is_package |= rest == "__init__.py";
        match &self.first {
            Some(first) => self.mixed |= first != folder,
            None => self.first = Some(folder.to_owned()),
        }
    }

    /// The folder around everything, unless it is a Python package, whose name its paths need.
    fn root(&self) -> Option<String> {
        self.first.clone().filter(|_| !self.mixed && !self.is_package)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::corpus::fixture::{gzip, lay, tar, tar_member, zip};
    use crate::corpus::{SourceKind, shards};

    const COMMIT: &str = "874ca2bc1c30b93a4ac6e39b30e3cf9ffbb4a7d1";
    const MIT: &[u8] = b"Permission is hereby granted, free of charge, to any person obtaining a copy. \
        The above copyright notice and this permission notice shall be included";
    const GPL: &[u8] = b"GNU GENERAL PUBLIC LICENSE Version 3, 29 June 2007";
    const LGPL: &[u8] = b"GNU LESSER GENERAL PUBLIC LICENSE Version 3, 29 June 2007";

    fn survey(name: &str, data: &[u8]) -> Survey {
        let laid = lay(name, data);
        laid.shard.survey(&laid.source)
    }

    fn provenance(repository: &str, revision: &str, licence: &str, path: &str) -> Provenance {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Provenance {
            repository: repository.to_owned(),
            revision: some(revision),
            licence: some(licence),
            licence_path: some(path),
        }
    }

    #[test]
    fn an_sdist_tells_name_version_and_licence() {
        let data = tar(&[
            ("Foo_Bar-1.2/foo_bar/LICENSE", GPL),
            ("Foo_Bar-1.2/LICENSE.txt", MIT),
            ("Foo_Bar-1.2/PKG-INFO", b"Name: Foo_Bar\nVersion: 1.2\n"),
        ]);
        let found = survey("foo_bar-1.2.tar.gz", &gzip(&data));
        assert_eq!(found.provenance, provenance("foo-bar", "1.2", "MIT", "LICENSE.txt"));
        assert_eq!((found.entries, found.root.as_deref()), (Some(3), Some("Foo_Bar-1.2")));
    }

    #[test]
    fn a_wheel_tells_its_licence_expression() {
        let data = zip(
            &[
                ("foo/__init__.py", b""),
                ("foo-1.2.dist-info/METADATA", b"Name: foo\nVersion: 1.2\nLicense-Expression: 0BSD OR MIT\n"),
                ("foo-1.2.dist-info/licenses/LICENSE", MIT),
            ],
            "",
        );
        let found = survey("foo-1.2-py3-none-any.whl", &data);
        let path = "foo-1.2.dist-info/licenses/LICENSE";
        assert_eq!(found.provenance, provenance("foo", "1.2", "0BSD OR MIT", path));
        assert_eq!(found.root, None);
    }

    #[test]
    fn github_archives_tell_the_commit() {
        let record = format!("52 comment={COMMIT}\n");
        let tarball = [
            tar_member("pax_global_header", tar::EntryType::XGlobalHeader, record.as_bytes()),
            tar(&[("click-8.1.7/LICENSE", MIT), ("click-8.1.7/a.py", b"a")]),
        ];
        let found = survey("v8.1.7.tar.gz", &gzip(&tarball.concat()));
        assert_eq!(found.provenance, provenance("click", COMMIT, "MIT", "LICENSE"));
        assert_eq!(found.entries, Some(2));
        let zipball = zip(&[("pallets-click-874ca2b/a.py", b"a")], COMMIT);
        assert_eq!(survey("z.zip", &zipball).provenance, provenance("pallets-click", COMMIT, "", ""));
    }

    #[test]
    fn the_order_of_members_decides_nothing() {
        let files: [(&str, &[u8]); 3] = [("p/COPYING", GPL), ("p/COPYING.LESSER", LGPL), ("p/LICENSE", b"see COPYING")];
        let mut reversed = files;
        reversed.reverse();
        let found = survey("p.tar", &tar(&files));
        assert_eq!(found, survey("p.tar", &tar(&reversed)));
        assert_eq!(found.provenance, provenance("p", "", "LGPL-3.0-only", "COPYING.LESSER"));
    }

    #[test]
    fn a_top_folder_is_kept_where_it_is_a_package_or_not_alone() {
        let root = |files: &[&str]| {
            let files: Vec<(&str, &[u8])> = files.iter().map(|name| (*name, &b"x"[..])).collect();
            survey("x.tar", &tar(&files)).root
        };
        assert_eq!(root(&["p/a.py", "p/b/c.py"]).as_deref(), Some("p"));
        assert_eq!(root(&["p/a.py", "p/__init__.py"]), None);
        assert_eq!(root(&["p/a.py", "q/a.py"]), None);
        assert_eq!(root(&["p/a.py", "setup.py"]), None);
    }

    #[test]
    fn settings_take_the_place_of_what_is_found() {
        let mut laid = lay("foo-1.tar", &tar(&[("foo-1/LICENSE", MIT)]));
        laid.source.repository = Some("o/foo".to_owned());
        laid.source.revision = Some("r".to_owned());
        laid.source.licence = Some("ISC".to_owned());
        let found = laid.shard.survey(&laid.source).provenance;
        assert_eq!(found, provenance("o/foo", "r", "ISC", "LICENSE"));
    }

    #[test]
    fn a_damaged_archive_is_surveyed_as_far_as_it_goes() {
        let data = tar(&[("foo-1/LICENSE", MIT), ("foo-1/a.py", b"a")]);
        let found = survey("foo-1.tar", &data[..1200]);
        assert_eq!(found.provenance, provenance("foo", "1", "MIT", "LICENSE"));
        assert_eq!(survey("foo-1.zip", b"no").provenance, provenance("foo", "1", "", ""));
    }

    #[test]
    fn a_checkout_tells_its_remote_and_commit() {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path().join("here/.git");
        fs::create_dir_all(&git).unwrap();
        fs::write(git.join("HEAD"), COMMIT).unwrap();
        fs::write(git.join("config"), "[remote \"origin\"]\n\turl = https://x.org/o/n.git\n").unwrap();
        fs::write(folder.path().join("here/COPYING"), GPL).unwrap();
        let source = Source::new(SourceKind::Dir, "*");
        let shard = shards(&source, folder.path()).unwrap().swap_remove(0);
        let found = shard.survey(&source).provenance;
        assert_eq!(found, provenance("o/n", COMMIT, "GPL-3.0-only", "COPYING"));
    }
}

//! What a git checkout says of itself, from its files alone.

use std::fs;
use std::path::Path;

use super::metadata::is_commit;

/// The commit that the checkout in `folder` stands at.
pub(super) fn commit(folder: &Path) -> Option<String> {
    let git = folder.join(".git");
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(reference) = head.trim().strip_prefix("ref:").map(str::trim) else {
        return Some(head.trim().to_owned()).filter(|commit| is_commit(commit));
    };
    let loose = fs::read_to_string(git.join(reference)).ok().map(|commit| commit.trim().to_owned());
    let commit = loose.or_else(|| {
        let packed = fs::read_to_string(git.join("packed-refs")).ok()?;
        let lines = packed.lines().filter_map(|line| line.split_once(' '));
        lines.into_iter().find(|(_, name)| *name == reference).map(|(commit, _)| commit.to_owned())
    });
    commit.filter(|commit| is_commit(commit))
}

/// `owner/name` of the remote `origin`.
pub(super) fn repository(folder: &Path) -> Option<String> {
    let config = fs::read_to_string(folder.join(".git/config")).ok()?;
    let origin = config.split("[remote \"origin\"]").nth(1)?.split("\n[").next()?;
    let url = origin.lines().find_map(|line| line.trim().strip_prefix("url")?.trim().strip_prefix('='))?;
    let url = url.trim().trim_end_matches('/');
    let url = url.strip_suffix(".git").unwrap_or(url);
    let mut parts = url.rsplit(['/', ':']).filter(|part| !part.is_empty());
    let (name, owner) = (parts.next()?, parts.next()?);
    Some(format!("{owner}/{name}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const COMMIT: &str = "874ca2bc1c30b93a4ac6e39b30e3cf9ffbb4a7d1";

    fn checkout(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(".git").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn the_commit_is_found_detached_loose_and_packed() {
        let head = ("HEAD", "ref: refs/heads/main\n");
        let packed = format!("# pack-refs with: peeled\n{COMMIT} refs/heads/main\n");
        let cases = [
            checkout(&[("HEAD", COMMIT)]),
            checkout(&[head, ("refs/heads/main", COMMIT)]),
            checkout(&[head, ("packed-refs", &packed)]),
        ];
        for folder in cases {
            assert_eq!(commit(folder.path()).as_deref(), Some(COMMIT));
        }
        assert_eq!(commit(checkout(&[head]).path()), None);
    }

    #[test]
    fn the_remote_names_the_repository_in_both_forms_of_address() {
        for url in ["https://github.com/pallets/click.git", "git@github.com:pallets/click"] {
            let config = format!("[core]\n\tbare = false\n[remote \"origin\"]\n\turl = {url}\n[branch \"x\"]\n");
            assert_eq!(repository(checkout(&[("config", &config)]).path()).as_deref(), Some("pallets/click"));
        }
    }
}

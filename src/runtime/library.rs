//! Finding `libonnxruntime`.

use std::path::{Path, PathBuf};

use super::RuntimeError;
use super::raw;
use crate::env::ORT_LIBRARY;

/// The oldest usable library is 1.this: the interface that `ort` is built for.
pub const MINIMUM_MINOR: u32 = ort::MINOR_VERSION;

/// A library that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// The file.
    pub path: PathBuf,
    /// Its version.
    pub version: String,
}

/// Looks for the library: the file that `ORT_DYLIB_PATH` names, else `onnxruntime/` in the data folder, else the
/// system's folders. The first that is there is checked and used; another is not tried in its place.
///
/// # Errors
/// When there is none, or the one found is not usable.
pub fn find_library(data_dir: &Path) -> Result<Library, RuntimeError> {
    if let Some(path) = std::env::var_os(ORT_LIBRARY).filter(|path| !path.is_empty()) {
        return checked(PathBuf::from(path));
    }
    let own = data_dir.join("onnxruntime");
    let mut places = vec![own];
    places.extend(SYSTEM.iter().map(PathBuf::from));
    match places.iter().find_map(|place| in_folder(place)) {
        Some(path) => checked(path),
        None => Err(RuntimeError::NoLibrary { places }),
    }
}

/// Where Linux and macOS systems keep libraries.
const SYSTEM: [&str; 7] = [
    "/usr/local/lib",
    "/usr/lib",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/opt/onnxruntime/lib",
    "/opt/homebrew/lib",
];

/// The library in a folder; with several versions the one whose name is last.
fn in_folder(folder: &Path) -> Option<PathBuf> {
    let prefix = format!("{}onnxruntime.", std::env::consts::DLL_PREFIX);
    let other = format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let entries = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let names = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with(&prefix) && name.contains(&std::env::consts::DLL_SUFFIX[1..]) || name == other
    });
    names.map(|entry| entry.path()).max()
}

fn checked(path: PathBuf) -> Result<Library, RuntimeError> {
    let bad = |message: String| RuntimeError::BadLibrary { path: path.clone(), message };
    if !path.is_file() {
        return Err(bad("there is no such file".to_owned()));
    }
    let version = raw::version(&path).map_err(bad)?;
    let minor = version.strip_prefix("1.").and_then(|rest| rest.split('.').next()).and_then(|n| n.parse::<u32>().ok());
    if minor.is_none_or(|minor| minor < MINIMUM_MINOR) {
        return Err(bad(format!("it is version {version}, and 1.{MINIMUM_MINOR} or later is needed")));
    }
    let path = std::path::absolute(&path).unwrap_or(path);
    Ok(Library { path, version })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_library_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("libonnxruntime.so.1.99.0");
        std::fs::write(&path, b"not a library").unwrap();
        let error = checked(path.clone()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{} is not a usable ONNX Runtime: ", path.display())), "{error}");
        assert!(error.ends_with("fetch one with `make onnxruntime`, or name another in ORT_DYLIB_PATH"), "{error}");
        let error = checked(dir.path().join("none.so")).unwrap_err().to_string();
        assert!(error.contains("there is no such file"), "{error}");
    }

    #[test]
    fn a_library_of_something_else_is_refused() {
        let libc = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6"];
        if let Some(path) = libc.iter().map(PathBuf::from).find(|path| path.is_file()) {
            assert!(checked(path).unwrap_err().to_string().contains("OrtGetApiBase"));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_newest_library_of_a_folder_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(in_folder(dir.path()), None);
        for name in ["libonnxruntime.so.1.31.0", "libonnxruntime.so.1.32.0", "libonnxruntime_providers_shared.so"] {
            std::fs::write(dir.path().join(name), b"").unwrap();
        }
        assert_eq!(in_folder(dir.path()), Some(dir.path().join("libonnxruntime.so.1.32.0")));
    }
}

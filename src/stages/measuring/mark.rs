//! What tells one model from another.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::stages::training::WrongInput;

/// Hash over all that decides a model's rewards: weights, tokenizer, configuration; 32 hex digits. Blocks, at the disk's
/// speed.
///
/// # Errors
/// [`WrongInput`] when the folder is no model.
pub fn model_mark(folder: &Path) -> anyhow::Result<String> {
    let listing = std::fs::read_dir(folder).map_err(|error| WrongInput(format!("{}: {error}", folder.display())))?;
    let decides = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.ends_with(".safetensors") || matches!(name.as_str(), "config.json" | "tokenizer.json")
    };
    let mut files: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).filter(decides).collect();
    files.sort();
    if !files.iter().any(|file| file.ends_with("config.json")) {
        let folder = folder.display();
        return Err(WrongInput(format!("{folder} is no model: there is no config.json in it")).into());
    }
    let mut hasher = blake3::Hasher::new();
    for path in files {
        let open = || -> std::io::Result<()> {
            let file = File::open(&path)?;
            hasher.update(path.file_name().unwrap_or_default().as_encoded_bytes());
            hasher.update(&file.metadata()?.len().to_le_bytes());
            hasher.update_reader(file)?;
            Ok(())
        };
        let mut open = open;
        open().with_context(|| format!("reading {}", path.display()))?;
    }
    Ok(hasher.finalize().to_hex()[..32].to_owned())
}

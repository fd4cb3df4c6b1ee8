//! The folder of the model that a training starts from; fresh ones are made here.

use std::path::{Path, PathBuf};

use super::{Base, Job, WrongInput};
use crate::train::fresh;

/// The folder to start from. A fresh model is made beside the trained one's folder, once: it is the same after a kill.
///
/// # Errors
/// When the folder has no model, or a fresh one cannot be made.
pub(super) fn prepare(job: &Job) -> anyhow::Result<PathBuf> {
    let (preset, vocab, tokenizer, seed) = match &job.base {
        Base::Folder(folder) => {
            if !folder.join("config.json").is_file() {
                return Err(WrongInput(format!(
                    "{} is no model: there is no config.json in it; `codepmp init` makes a fresh model",
                    folder.display()
                ))
                .into());
            }
            return Ok(folder.clone());
        }
        Base::Fresh { preset, vocab, tokenizer, seed } => (*preset, *vocab, tokenizer, *seed),
    };
    let folder = beside(&job.out);
    let same = format!("{preset:?} {vocab:?} {tokenizer:?} {seed} {}\n", job.mark());
    let note = folder.join("fresh.txt");
    if std::fs::read(&note).is_ok_and(|found| found == same.as_bytes()) {
        return Ok(folder);
    }
    if note.exists() || !folder.join("config.json").exists() {
        // What is there was made here for other pairs, or never finished.
        let _ = std::fs::remove_dir_all(&folder);
    }
    let tokenizer = match tokenizer {
        Some(from) => fresh::load_tokenizer(&from.join("tokenizer.json"))?,
        None => {
            let pairs = Vec::clone(&job.pairs.pairs);
            let texts = pairs.into_iter().flat_map(|pair| [pair.prompt, pair.chosen, pair.rejected]);
            fresh::learn(texts, vocab.unwrap_or_else(|| preset.vocab_size()))?
        }
    };
    fresh::create(preset, &tokenizer, seed, &folder)?;
    std::fs::write(&note, same)?;
    Ok(folder)
}

fn beside(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".fresh");
    name.into()
}

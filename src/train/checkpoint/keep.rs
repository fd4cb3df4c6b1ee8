//! Which checkpoints stay: the newest ones, to go on from, and those at chosen steps, to decay from.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::error::CheckpointError;
use super::read::checkpoints;
use super::{FOLDER, STATE};
use crate::train::folder::FolderError;
use crate::train::folder::disk::{remove_folder, sync_folder};

/// Removes all but the newest `last` checkpoints and those whose steps are in `for_good`.
///
/// # Errors
/// When one cannot be removed.
pub fn keep(out: &Path, last: usize, for_good: &BTreeSet<u64>) -> Result<(), CheckpointError> {
    let mut all = checkpoints(out)?;
    all.truncate(all.len().saturating_sub(last));
    for (_, path) in all.iter().filter(|(step, _)| !for_good.contains(step)) {
        remove(path)?;
    }
    Ok(())
}

/// Removes all checkpoints of a run, and what unfinished ones left.
///
/// # Errors
/// When one cannot be removed.
pub fn remove_all(out: &Path) -> Result<(), CheckpointError> {
    for (_, path) in checkpoints(out)? {
        remove(&path)?;
    }
    let folder = out.join(FOLDER);
    remove_folder(&folder).map_err(|source| FolderError::Write { path: folder, source })?;
    Ok(())
}

/// The state goes first: a folder without it is no checkpoint, should the rest stay.
fn remove(path: &Path) -> Result<(), CheckpointError> {
    let removed = fs::remove_file(path.join(STATE)).and_then(|()| sync_folder(path)).and_then(|()| remove_folder(path));
    Ok(removed.map_err(|source| FolderError::Write { path: path.to_owned(), source })?)
}

//! Stages that call models, through request files in place of calls: exported, submitted, imported.
//!
//! Every step may be killed and taken again. The order of things: a file counts when the database says so, and appears
//! under its name after that; a file is uploaded, then the batch is marked as being made, then it is made, so that one that
//! got no reply can be found by its file; results are committed with their requests. One process at a time is at the
//! batches of a stage.

mod export;
mod import;
mod submit;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

pub use export::{Exported, export};
pub use import::{Tally, collect, import_files};
pub use submit::{release, status, submit};

use super::rows::RowWork;
use super::{AnyStage, Loaded, check, load};
use crate::config::Pipeline;
use crate::ids::{BatchId, StageId};
use crate::llm::EndpointSettings;
use crate::store::Store;
use crate::store::batch::BatchRow;
use crate::store::lock::StageLock;

/// A batch with the stage that it belongs to, as it was when it was exported.
pub struct Open {
    /// The batch.
    pub row: BatchRow,
    /// Its endpoint, as the pipeline file has it now: keys, places and prices may have changed.
    pub settings: EndpointSettings,
    loaded: Loaded,
    at: usize,
}

impl Open {
    /// Reads the pipeline that the batch was exported from.
    ///
    /// # Errors
    /// When this program does not know that pipeline any more.
    pub async fn new(store: &Store, row: BatchRow) -> anyhow::Result<Self> {
        let run = store.run(Some(row.run_id)).await?;
        let loaded = check(Pipeline::parse(Path::new(&run.file), run.definition)?)?;
        let at = loaded.plan.find(&row.stage).filter(|&at| work_of(&loaded.plan.stages[at].stage).is_some());
        let at = at.with_context(|| format!("batch {}: run {} has no stage `{}`", row.id, row.run_id, row.stage))?;
        let then = &loaded.plan.stages[at].stage;
        let then = work_of(then).map(|work| work.endpoint.settings.clone()).context("a model stage")?;
        let now = load(Path::new(&run.file)).ok().and_then(|now| {
            let endpoints = now.endpoints_of(&[]);
            endpoints.iter().find(|endpoint| endpoint.name == row.endpoint).map(|endpoint| endpoint.settings.clone())
        });
        // Another model's endpoint is not where the batch is.
        let settings = now.filter(|now| now.model == then.model).unwrap_or(then);
        Ok(Self { row, settings, loaded, at })
    }

    /// The work of its stage.
    ///
    /// # Errors
    /// None that can happen: it was checked.
    pub fn work(&self) -> anyhow::Result<&RowWork> {
        work_of(&self.loaded.plan.stages[self.at].stage).context("a model stage")
    }

    /// Where its request file is.
    pub fn file(&self) -> PathBuf {
        PathBuf::from(&self.row.file)
    }
}

/// The work of a stage that calls a model.
pub fn work_of(stage: &AnyStage) -> Option<&RowWork> {
    match stage {
        AnyStage::Describe(describe) => Some(&describe.work),
        AnyStage::Generate(generate) => Some(&generate.work),
        AnyStage::Judge(judge) => Some(&judge.work),
        _ => None,
    }
}

/// Name of a request: batch, line, and the request's hash, so that no file of elsewhere is taken for ours.
fn custom_id(batch: BatchId, ordinal: i32, key: [u8; 16]) -> String {
    format!("codepmp-{batch}-{ordinal}-{:032x}", u128::from_be_bytes(key))
}

/// Reads a request's name.
fn read_custom_id(text: &str) -> Option<(BatchId, i32, [u8; 16])> {
    let mut parts = text.strip_prefix("codepmp-")?.split('-');
    let (batch, ordinal, key) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
    let known = parts.next().is_none() && key.len() == 32;
    known.then_some((batch, ordinal, u128::from_str_radix(key, 16).ok()?.to_be_bytes()))
}

/// Where a request file is while it is not known to the database.
fn unfinished(file: &Path) -> PathBuf {
    file.with_extension("jsonl.part")
}

/// Gives a request file that the database knows its name, if that was not done yet.
fn finish_file(file: &Path) -> anyhow::Result<()> {
    let part = unfinished(file);
    if !file.exists() && part.exists() {
        std::fs::rename(&part, file).with_context(|| format!("naming {}", file.display()))?;
    }
    Ok(())
}

/// The sole right to the batches of a stage.
async fn lock(store: &Store, stage: StageId) -> anyhow::Result<StageLock> {
    match store.try_lock_stage(stage).await? {
        Some(lock) => Ok(lock),
        None => bail!("another process is at the batches of this stage: wait for it to end"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_and_others_do_not() {
        let id = custom_id(BatchId(12), 345, [0xab; 16]);
        assert_eq!(id, format!("codepmp-12-345-{}", "ab".repeat(16)));
        assert_eq!(read_custom_id(&id), Some((BatchId(12), 345, [0xab; 16])));
        for other in ["", "request-1", "codepmp-1-2", "codepmp-1-2-ab", &format!("{id}-1"), &id.replace("345", "x")] {
            assert_eq!(read_custom_id(other), None, "{other}");
        }
    }
}

//! `export`: writes pairs to files that Hugging Face `datasets` and TRL read as they are.

mod card;
mod parquet;
mod sink;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use futures::TryStreamExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use self::parquet::{Columns, Group, long, optional_long, text};
pub use self::sink::Sink;
use super::{AnyStage, Kind, only_need, resolve};
use crate::engine::Context;
use crate::ids::StageId;
use crate::store::Store;

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
pub enum ExportFormat {
    /// One JSON object a line.
    #[serde(rename = "jsonl")]
    #[value(name = "jsonl")]
    Jsonl,
    /// The same, compressed.
    #[serde(rename = "jsonl.zst")]
    #[value(name = "jsonl.zst")]
    JsonlZst,
    /// Parquet, compressed with zstd.
    #[serde(rename = "parquet")]
    #[value(name = "parquet")]
    Parquet,
}

impl ExportFormat {
    /// Name of the file of a split.
    pub(super) fn file(self, split: &str) -> String {
        let ending = match self {
            Self::Jsonl => "jsonl",
            Self::JsonlZst => "jsonl.zst",
            Self::Parquet => "parquet",
        };
        format!("{split}.{ending}")
    }
}

/// Settings of an `export` stage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportSettings {
    /// jsonl, jsonl.zst or parquet.
    #[serde(default = "jsonl")]
    pub format: ExportFormat,
    /// Folder for `train.*` and `test.*`, relative to the pipeline file's folder.
    pub out: String,
}

/// Says which pairs the files beside it were made of.
const MARK: &str = "export.json";

/// The data set's card.
const CARD: &str = "README.md";

fn jsonl() -> ExportFormat {
    ExportFormat::Jsonl
}

/// An `export` stage.
#[derive(Debug)]
pub struct Export {
    settings: ExportSettings,
    base: PathBuf,
}

impl Export {
    /// Checks the settings.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(settings: ExportSettings, base: PathBuf) -> Result<Self, (&'static str, String)> {
        if settings.out.trim().is_empty() {
            return Err(("out", "is empty: name a folder".into()));
        }
        Ok(Self { settings, base })
    }

    /// Writes the files, unless those that are there were made of the same pairs.
    pub async fn run(&self, mut context: Context<AnyStage>) -> anyhow::Result<()> {
        if !context.inputs_end().await {
            return Ok(());
        }
        let Some(lock) = super::pair::lock(&context).await? else { return Ok(()) };
        let out = resolve(&self.base, &self.settings.out);
        let (pairs, newest) = context.store.pair_mark(context.needs[0][0]).await?;
        let needed = context.plan.find(&context.stage().name).map(|own| &context.plan.stages[own].needs);
        let made_of = needed.and_then(|needs| Some(&context.plan.stages[*needs.first()?].fingerprint));
        let mark = json!({ "pairs": pairs, "newest": newest, "stage": made_of, "format": self.settings.format });
        let note = out.join(MARK);
        let whole = ["train", "test"].iter().all(|split| out.join(self.settings.format.file(split)).exists())
            && out.join(CARD).exists();
        if whole && std::fs::read(&note).is_ok_and(|found| found == mark.to_string().as_bytes()) {
            tracing::info!("{} holds these {pairs} pairs already", out.display());
        } else {
            let (train, test) = export_pairs(&context.store, context.needs[0][0], self.settings.format, &out).await?;
            context.meter().add_done(train + test);
            std::fs::write(&note, mark.to_string()).with_context(|| format!("writing {}", note.display()))?;
        }
        lock.release().await;
        Ok(())
    }
}

/// Writes the pairs of a stage to `train.*` and `test.*` in `out`, and their card; the number of rows in each.
///
/// Each file is written under another name and takes its own when it is whole.
///
/// # Errors
/// When the folder cannot be written or the database fails.
pub async fn export_pairs(
    store: &Store,
    stage: StageId,
    format: ExportFormat,
    out: &Path,
) -> anyhow::Result<(u64, u64)> {
    std::fs::create_dir_all(out).with_context(|| format!("creating the folder {}", out.display()))?;
    let mut counts = [0; 2];
    for (count, split) in counts.iter_mut().zip(["train", "test"]) {
        let path = out.join(format.file(split));
        *count =
            write(store, stage, format, split, &path).await.with_context(|| format!("writing {}", path.display()))?;
    }
    card::write(store, stage, format, counts, out).await?;
    Ok((counts[0], counts[1]))
}

async fn write(store: &Store, stage: StageId, format: ExportFormat, split: &str, path: &Path) -> anyhow::Result<u64> {
    let mut sink = Sink::create(format, path)?;
    let mut rows = store.pairs(stage, split);
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        sink.write(row)?;
        count += 1;
    }
    sink.finish()?;
    Ok(count)
}

impl Kind for Export {
    fn identity(&self) -> serde_json::Value {
        json!(self.settings)
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        only_need(needs, &["pair"]).map(drop)
    }
}

//! Where pairs come from: the rows of a pair stage, or files.

use std::fmt;
use std::path::{Path, PathBuf};

use futures::TryStreamExt as _;
use tokio::task::spawn_blocking;

use super::choice::{add_texts, draw};
use super::{Adapter, PairChoice, WrongInput, contamination};
use crate::benchmark::{self, Format, Reasons};
use crate::engine::{Context, Stage as _};
use crate::ids::{RunId, StageId};
use crate::stages::{AnyStage, resolve};
use crate::store::{Store, StoreError};
use crate::train::data::{Pair, read_pairs, stored_pairs};

/// Where pairs come from.
#[derive(Clone, Debug)]
pub enum PairSource {
    /// The rows of a pair stage.
    Stage {
        /// The database.
        store: Store,
        /// The stage.
        stage: StageId,
        /// Its name.
        name: String,
        /// The decontaminate stages whose marks count; all of them if none is named.
        marked_by: Vec<StageId>,
    },
    /// A file, or a folder that an export wrote.
    Files(PathBuf),
    /// A benchmark's file or folder, as published.
    Benchmark(PathBuf, Adapter),
}

impl fmt::Display for PairSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage { stage, name, .. } => write!(f, "pair stage {name} ({stage})"),
            Self::Files(path) => path.display().fmt(f),
            Self::Benchmark(path, adapter) => write!(f, "{} ({})", path.display(), adapter.format),
        }
    }
}

/// Pairs that were read.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    /// In the order of the source.
    pub pairs: Vec<Pair>,
    /// Tells them from other pairs.
    pub mark: String,
    /// Rows of the source that made none.
    pub left_out: Reasons,
}

impl Pairs {
    fn new(pairs: Vec<Pair>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for pair in &pairs {
            add_texts(&mut hasher, pair);
            hasher.update(&pair.margin.to_le_bytes());
        }
        Self { pairs, mark: hasher.finalize().to_hex()[..32].to_owned(), left_out: Reasons::default() }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

impl PairSource {
    /// What `--data` names. `db`, a run or a pipeline need a `store`.
    ///
    /// # Errors
    /// When there is no such thing.
    pub async fn find(data: &str, stage: Option<&str>, store: Option<&Store>) -> anyhow::Result<Self> {
        let path = Path::new(data);
        let pipeline = path.extension().is_some_and(|ending| ending == "toml");
        let run = data.parse::<RunId>().ok().filter(|_| !path.exists());
        if path.exists() && !pipeline {
            return Ok(Self::Files(path.to_owned()));
        }
        // Whatever looks like a path and is not there is not looked for in the database.
        let looks_like_path = data.contains(['/', '\\']) || path.extension().is_some();
        if looks_like_path && !pipeline {
            return Err(WrongInput(format!(
                "--data {data}: there is no such file or folder; allowed too: `db`, a run, a pipeline's name or file"
            ))
            .into());
        }
        let Some(store) = store else {
            return Err(WrongInput(format!(
                "--data {data} needs the database, and --no-db leaves it alone: name a file, or leave --no-db out"
            ))
            .into());
        };
        let found = match (run, data) {
            (Some(run), _) => store.run(Some(run)).await,
            (None, "db") => store.run(None).await,
            (None, _) if pipeline => store.latest_run_of(&std::path::absolute(path)?.to_string_lossy()).await,
            (None, name) => store.latest_run_named(name).await,
        };
        let run = found.map_err(|error| match error {
            StoreError::Missing { .. } => WrongInput(format!("--data {data}: {error}")).into(),
            other => anyhow::Error::from(other),
        })?;
        let stages = store.run_stages(run.id).await?;
        let pairs: Vec<_> =
            (stages.iter()).filter(|row| row.kind == "pair" && stage.is_none_or(|stage| stage == row.name)).collect();
        let [only] = pairs[..] else {
            let names: Vec<_> = stages.iter().filter(|row| row.kind == "pair").map(|row| row.name.as_str()).collect();
            return Err(WrongInput(format!(
                "name one pair stage with --stage; run {} has: {}",
                run.id,
                names.join(", ")
            ))
            .into());
        };
        Ok(Self::Stage { store: store.clone(), stage: only.stage_id, name: only.name.clone(), marked_by: Vec::new() })
    }

    /// The files of a path, read with an adapter if there is one.
    pub fn of_files(path: PathBuf, adapter: Option<Adapter>) -> Self {
        match adapter {
            Some(adapter) => Self::Benchmark(path, adapter),
            None => Self::Files(path),
        }
    }

    /// The same, its files read with an adapter if there is one.
    ///
    /// # Errors
    /// When there are no files to read.
    pub fn adapted(self, adapter: Option<Adapter>) -> Result<Self, WrongInput> {
        match (self, adapter) {
            (Self::Files(path), adapter) => Ok(Self::of_files(path, adapter)),
            (source, None) => Ok(source),
            (source, Some(_)) => Err(WrongInput(format!("--format is of a file, and --data names {source}"))),
        }
    }

    /// Reads what `choice` means.
    ///
    /// # Errors
    /// When a file is damaged, or the database fails.
    pub async fn read(&self, choice: &PairChoice) -> anyhow::Result<Pairs> {
        let split = choice.split.name();
        if choice.clean && !matches!(self, Self::Stage { .. }) {
            let what = "carries no marks of decontaminate stages: `clean` is for the pairs of the database";
            return Err(WrongInput(format!("{self} {what}")).into());
        }
        let mut left_out = Reasons::default();
        let mut pairs = match self {
            Self::Stage { store, stage, .. } => {
                let mut pairs = stored_pairs(store, *stage, split).try_concat().await?;
                // So that the same pairs in another database train the same model.
                pairs.sort_by_cached_key(|pair| draw(0, pair));
                pairs
            }
            Self::Files(path) => {
                let path = path.clone();
                let read = move || {
                    let pairs = read_pairs(&path, split).and_then(Iterator::collect);
                    pairs.map_err(|error| WrongInput(format!("{error}{}", hint(&path))))
                };
                spawn_blocking(read).await??
            }
            Self::Benchmark(path, adapter) => {
                let (path, adapter) = (path.clone(), adapter.clone());
                let (pairs, found) = spawn_blocking(move || adapter.read(&path, split)).await??;
                left_out = found;
                pairs
            }
        };
        if choice.clean {
            let marked = contamination::marked(self).await?;
            pairs.retain(|pair| !marked.contains(&pair.id));
        }
        Ok(Pairs { left_out, ..Pairs::new(choice.choose(pairs).map_err(WrongInput)?) })
    }
}

/// What else a file could be that cannot be read as pairs.
fn hint(path: &Path) -> String {
    let found = path.is_file().then(|| benchmark::detect(path).ok().flatten()).flatten();
    match found.filter(|format| *format != Format::Pairs && format.has_pairs()) {
        Some(format) => format!("; its fields are those of {format}: say so with --format, or `format` in a stage"),
        None => String::new(),
    }
}

/// The source of a stage: its file, or the pair stage that it needs.
pub fn source_of(
    context: &Context<AnyStage>,
    data: Option<&str>,
    adapter: Option<&Adapter>,
    base: &Path,
) -> anyhow::Result<PairSource> {
    if let Some(data) = data {
        return Ok(PairSource::of_files(resolve(base, data), adapter.cloned()));
    }
    let needs = context.stage().needs.iter().zip(&context.needs[0]);
    let kind = |need: usize| context.plan.stages[need].stage.kind();
    let marked_by = needs.clone().filter(|(need, _)| kind(**need) == "decontaminate").map(|(_, id)| *id).collect();
    for (&need, &stage) in needs {
        let planned = &context.plan.stages[need];
        if planned.stage.kind() == "pair" {
            let name = planned.name.clone();
            return Ok(PairSource::Stage { store: context.store.clone(), stage, name, marked_by });
        }
    }
    anyhow::bail!("a bug: the stage has no pairs")
}

/// Says what is wrong if a stage has no pairs, or two sources of them.
///
/// # Errors
/// What is allowed, as a sentence.
pub fn check_source(needs: &[(&str, &AnyStage)], data: Option<&str>) -> Result<(), String> {
    let stages: Vec<&str> = needs.iter().filter(|(_, stage)| stage.kind() == "pair").map(|(name, _)| *name).collect();
    match (&stages[..], data) {
        ([_], None) | ([], Some(_)) => Ok(()),
        ([], None) => Err("it has no pairs: add a pair stage to `needs`, or name a file in `data`".into()),
        (_, Some(_)) => Err(format!("`data` names a file, and `needs` the pair stage `{}`: one of them", stages[0])),
        (many, None) => Err(format!("it needs exactly one pair stage, and there are {}", many.join(", "))),
    }
}

//! A database of a bench's own: a new embedded cluster that syncs each commit, or `DATABASE_URL`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use codepmp::engine::runner::{Options, Outcome, Runner};
use codepmp::stages::{Loaded, Services, load};
use codepmp::store::Store;
use codepmp::store::pool::{Database, database};
use codepmp::store::runs::NewRun;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Result;

/// A folder that the server's user may enter.
pub fn folder() -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(dir)
}

/// A new cluster in `dir`, with the tables.
pub async fn open(dir: &Path) -> Result<(Database, Store)> {
    let database = database(&dir.join("data"), None).await?;
    let store = Store::from(database.clone());
    Ok((database, store))
}

/// Runs a pipeline to its end; seconds from its start, simulators and connections not counted.
pub async fn run(store: &Store, text: &str, dir: &Path, options: Options) -> Result<(Outcome, f64)> {
    let file = dir.join("pipeline.toml");
    std::fs::write(&file, text)?;
    let loaded = load(&file)?;
    let used = loaded.endpoints_of(&options.select);
    let services = Services::start(&used, &loaded.simulators, &loaded.pipeline.base()).await?;
    let Loaded { pipeline, plan, .. } = loaded;
    let new = NewRun {
        pipeline: pipeline.name.clone(),
        file: file.to_string_lossy().into_owned(),
        definition: pipeline.text.clone(),
        options: json!({}),
    };
    let start = std::time::Instant::now();
    let runner = Runner::new(plan, store.clone(), pipeline.seed, options);
    let outcome = runner.run(&new, &CancellationToken::new()).await?;
    let seconds = start.elapsed().as_secs_f64();
    drop(services);
    if let Some((stage, error)) = outcome.failures.first() {
        return Err(format!("stage `{stage}` failed: {error:#}").into());
    }
    Ok((outcome, seconds))
}

/// Seconds of processor time that the server in `dir` has used so far, its children included.
pub fn server_seconds(dir: &Path) -> Result<f64> {
    let pid = std::fs::read_to_string(dir.join("data/postgres/data/postmaster.pid"))?;
    let pid = pid.lines().next().ok_or("an empty postmaster.pid")?.to_owned();
    let mut seconds = 0.0;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        // A process may end between the two reads; it counts with its parent then.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let used = super::Used::of(&stat)?;
        if used.pid == pid {
            seconds += used.own + used.children;
        } else if used.parent == pid {
            seconds += used.own;
        }
    }
    Ok(seconds)
}

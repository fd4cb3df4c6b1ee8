//! Results into the database: in any order, from any number of files, each counted once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::Utc;
use serde::Serialize;

use super::super::rows::landing::{Landing, land};
use super::submit::{status, told};
use super::{Open, lock, read_custom_id};
use crate::ids::{BatchId, WorkerId};
use crate::llm::{BatchResult, Batches, FailureClass, ResultReader};
use crate::store::Store;
use crate::store::answers::{AnswerSink, Ending, Finished};
use crate::store::batch::Landed;
use crate::store::tasks::Task;

/// Results that are committed together.
const TOGETHER: usize = 500;
/// The longest line that is read: an answer online may not be longer either.
const LONGEST: u64 = 8 << 20;

/// What became of the lines of result files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Answers.
    pub answered: u64,
    /// Rows that were rejected.
    pub rejected: u64,
    /// Failures whose rows are to be done again.
    pub returned: u64,
    /// Lines for a request that another line of this import, or an import before, had brought.
    pub repeated: u64,
    /// Lines that name no request of these batches.
    pub foreign: u64,
    /// Lines that cannot be read.
    pub malformed: u64,
    /// Requests of which no line came; their rows are to be done again.
    pub missing: u64,
}

/// Fetches and imports the results of a submitted batch that has ended on the server; none if it has not.
///
/// # Errors
/// When the server does not give them, or they cannot be written beside the request file.
pub async fn collect(store: &Store, open: Open) -> anyhow::Result<Option<Tally>> {
    let Some(remote) = status(store, &open).await?.filter(crate::llm::RemoteBatch::has_ended) else { return Ok(None) };
    let api = Batches::new(&open.settings)?;
    let mut files = Vec::new();
    for (file, end) in [(&remote.output_file_id, "results.jsonl"), (&remote.error_file_id, "errors.jsonl")] {
        let Some(id) = file else { continue };
        let path = open.file().with_extension(end);
        api.download(id, &path).await.map_err(|failure| told(&open, &failure))?;
        files.push(path);
    }
    import_files(store, vec![open], &files, true).await.map(Some)
}

/// Imports result files of `batches`, in any order and mixture. If they are `complete`, requests that no line came for
/// are accounted for as missing.
///
/// # Errors
/// When a file cannot be read, or another process is at the batches.
pub async fn import_files(
    store: &Store,
    batches: Vec<Open>,
    files: &[PathBuf],
    complete: bool,
) -> anyhow::Result<Tally> {
    let mut imports = BTreeMap::new();
    let mut locks = HashMap::new();
    for open in batches {
        if let std::collections::hash_map::Entry::Vacant(entry) = locks.entry(open.row.stage_id) {
            entry.insert(lock(store, open.row.stage_id).await?);
        }
        imports.insert(open.row.id, Import::new(store, open).await?);
    }
    let mut tally = Tally::default();
    let mut result = Ok(());
    for file in files {
        result = read_file(store, &mut imports, file, &mut tally).await;
        if result.is_err() {
            break;
        }
    }
    for (id, import) in imports {
        if result.is_ok() {
            result = import.end(store, id, complete, &mut tally).await;
        }
    }
    for lock in locks.into_values() {
        lock.release().await;
    }
    result.map(|()| tally)
}

async fn read_file(
    store: &Store,
    imports: &mut BTreeMap<BatchId, Import>,
    path: &Path,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let reading = || format!("reading {}", path.display());
    let mut lines = BufReader::with_capacity(1 << 16, File::open(path).with_context(reading)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut lines).take(LONGEST).read_until(b'\n', &mut line).with_context(reading)? == 0 {
            break;
        }
        if line.len() as u64 == LONGEST && !line.ends_with(b"\n") {
            tally.malformed += 1;
            while !line.is_empty() && !line.ends_with(b"\n") {
                line.clear();
                (&mut lines).take(LONGEST).read_until(b'\n', &mut line).with_context(reading)?;
            }
            continue;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        // Any endpoint's reader finds the name; the batch's own takes its key out.
        let Some(id) = name_of(&line) else {
            tally.malformed += 1;
            continue;
        };
        let import =
            read_custom_id(&id).and_then(|(batch, ordinal, key)| Some((imports.get_mut(&batch)?, ordinal, key)));
        let Some((import, ordinal, key)) = import else {
            tally.foreign += 1;
            continue;
        };
        match import.reader.read(&line) {
            Ok(result) => import.pending.push((ordinal, key, result)),
            Err(_) => tally.malformed += 1,
        }
        if import.pending.len() >= TOGETHER {
            import.flush(store, tally).await?;
        }
    }
    for import in imports.values_mut() {
        import.flush(store, tally).await?;
    }
    Ok(())
}

/// The `custom_id` of a line.
fn name_of(line: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        custom_id: String,
    }
    serde_json::from_slice::<Named>(line).ok().map(|named| named.custom_id)
}

/// The import of one batch.
struct Import {
    open: Open,
    reader: ResultReader,
    worker: crate::store::lock::Worker,
    pending: Vec<(i32, [u8; 16], BatchResult)>,
    seen: HashSet<i32>,
}

impl Import {
    async fn new(store: &Store, open: Open) -> anyhow::Result<Self> {
        let worker = store.enter_worker(open.row.run_id).await?;
        Ok(Self { reader: ResultReader::new(&open.settings), open, worker, pending: Vec::new(), seen: HashSet::new() })
    }

    /// Commits what has gathered.
    async fn flush(&mut self, store: &Store, tally: &mut Tally) -> anyhow::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return Ok(());
        }
        let ordinals: Vec<i32> = pending.iter().map(|(ordinal, ..)| *ordinal).collect();
        let requests = store.batch_requests(self.open.row.id, &ordinals).await?;
        let requests: HashMap<i32, _> = requests.into_iter().map(|row| (row.ordinal, row)).collect();
        let mut ids = store.call_ids(pending.len() as u32).await?.into_iter();
        let mut landed = Vec::with_capacity(pending.len());
        for (ordinal, key, result) in pending {
            let Some(row) = requests.get(&ordinal).filter(|row| row.request_key == key) else {
                tally.foreign += 1;
                continue;
            };
            if !row.is_open() || !self.seen.insert(ordinal) {
                tally.repeated += 1;
                continue;
            }
            let (class, landing) = self.land(key, result, ids.by_ref())?;
            match landing.ending {
                Ending::Answered { .. } => tally.answered += 1,
                Ending::Rejected { .. } => tally.rejected += 1,
                Ending::Released => tally.returned += 1,
            }
            let Landing { calls, ending, .. } = landing;
            let task = Task { input_id: row.input_id, snippet_id: row.snippet_id, sample: row.sample };
            let finished = Finished { task, calls, ending, entered: None };
            landed.push(Landed { ordinal, class, finished });
        }
        if landed.is_empty() {
            return Ok(());
        }
        let sink = self.sink(self.worker.id)?;
        store.import_results(&sink, self.open.row.id, &landed).await?;
        Ok(self.worker.keep_alive(store).await?)
    }

    /// What a result means for its row. What passes by itself, and what every row would meet, is done again; an answer that
    /// is to be continued when it is cut is asked for online.
    fn land(
        &self,
        key: [u8; 16],
        result: BatchResult,
        ids: impl Iterator<Item = crate::ids::CallId>,
    ) -> anyhow::Result<(&'static str, Landing)> {
        use FailureClass::{Connection, Overloaded, Throttled, TimedOut, Truncated};
        let work = self.open.work()?;
        let (row, settings) = (&self.open.row, &self.open.settings);
        let class = result.result.as_ref().err().map(|failure| failure.class);
        let sent_at = row.submitted_at.unwrap_or(row.created_at);
        let latency = (Utc::now() - sent_at).to_std().unwrap_or_default();
        let prices = settings.prices().map(|prices| prices.times(settings.batch.price_factor));
        let mut landing = land(work, key, result.into_outcome(sent_at, latency), prices, ids);
        let again = match class {
            Some(Connection | Overloaded | Throttled | TimedOut) => true,
            Some(Truncated) => work.policies.parts() > 1,
            _ => false,
        };
        if again {
            landing.ending = Ending::Released;
        }
        Ok((class.map_or("ok", FailureClass::as_str), landing))
    }

    fn sink(&self, worker: WorkerId) -> anyhow::Result<AnswerSink> {
        let (work, row) = (self.open.work()?, &self.open.row);
        Ok(AnswerSink {
            run: row.run_id,
            stage: row.stage_id,
            worker,
            inputs: work.inputs(),
            role: work.role().to_owned(),
            endpoint: row.endpoint.clone(),
            model: work.endpoint.settings.model.clone(),
        })
    }

    /// Leaves, and ends the batch if nothing of it is out any more.
    async fn end(self, store: &Store, id: BatchId, complete: bool, tally: &mut Tally) -> anyhow::Result<()> {
        self.worker.leave(store).await?;
        let row = store.batches(&[id]).await?.pop();
        let ended = row.as_ref().is_none_or(|row| matches!(row.state.as_str(), "imported" | "released"));
        if !ended && (complete || row.is_some_and(|row| row.out == 0)) {
            tally.missing += store.end_batch(id, "imported", "missing").await?;
        }
        Ok(())
    }
}

//! Rows of a stage into request files.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::rows::RowWork;
use super::super::rows::landing::{ending, rejected};
use super::super::rows::purse::bound;
use super::super::{Loaded, WrongInput};
use super::{custom_id, finish_file, lock, unfinished, work_of};
use crate::engine::Stage as _;
use crate::engine::runner::{Options, register};
use crate::ids::{BatchId, RunId, StageId, WorkerId};
use crate::llm::{ChatRequest, request_line};
use crate::progress::{Meter, State};
use crate::store::Store;
use crate::store::answers::{AnswerSink, Ending, Finished};
use crate::store::batch::NewRequest;
use crate::store::budget::{Amount, Spender};
use crate::store::runs::NewRun;
use crate::store::tasks::{Claimed, Follow};

/// Rows claimed at once.
const ROWS: u64 = 1000;

/// What an export came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Exported {
    /// Files, with their batch and the number of requests.
    pub files: Vec<(BatchId, PathBuf, usize)>,
    /// Rows that the ledger had an answer for.
    pub from_ledger: u64,
    /// Rows whose prompt could not be rendered.
    pub rejected: u64,
    /// Rows left to be done, as the same request is in a batch already, or is larger than a file may be.
    pub left: u64,
    /// Whether it ended at a cap.
    pub capped: bool,
}

/// Writes the rows that the stage called `name` has to do into files in `folder`, up to the limit and within the caps of
/// `options`.
///
/// # Errors
/// When the stage calls no model, another process is at its batches, or the folder cannot be written to.
pub async fn export(
    loaded: &Loaded,
    name: &str,
    folder: &Path,
    store: &Store,
    options: &Options,
    stop: &CancellationToken,
) -> anyhow::Result<Exported> {
    let at = loaded.plan.find(name).with_context(|| format!("there is no stage `{name}`"))?;
    let planned = &loaded.plan.stages[at];
    let Some(work) = work_of(&planned.stage) else {
        return Err(
            WrongInput(format!("stage `{name}` calls no model, so there is nothing to put into a batch")).into()
        );
    };
    let folder = std::path::absolute(folder)?;
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let ids = register(&loaded.plan, store).await?;
    let lock = lock(store, ids[at]).await?;
    store.forget_unfinished_batches(ids[at]).await?;
    for batch in store.batches(&[]).await?.iter().filter(|batch| batch.stage_id == ids[at]) {
        finish_file(Path::new(&batch.file))?;
    }

    let file = std::path::absolute(&loaded.pipeline.file)?;
    let new = NewRun {
        pipeline: loaded.pipeline.name.clone(),
        file: file.to_string_lossy().into_owned(),
        definition: loaded.pipeline.text.clone(),
        options: json!({ "batch": "export", "select": [name], "limit": options.limit }),
    };
    let entries: Vec<_> = (loaded.plan.stages.iter().zip(&ids))
        .map(|(planned, &id)| (id, planned.name.clone(), planned.stage.kind()))
        .collect();
    let run = store.enter_run(&new, &entries).await?;
    for planned in &loaded.plan.stages {
        let meter = Meter::new(planned.name.clone(), planned.stage.kind());
        // Its rows are out and not done.
        meter.set_state(if planned.name == name { State::Interrupted } else { State::Skipped });
        store.note_stage(run, &meter, None).await?;
    }
    let worker = store.enter_worker(run).await?;
    let mut export = Export {
        work,
        store,
        folder,
        name,
        run,
        stage: ids[at],
        worker: worker.id,
        spender: Spender { worker: worker.id, stage: ids[at], stages: ids.clone(), caps: options.caps },
        file: None,
        keys: HashSet::new(),
        held: Vec::new(),
        exported: Exported::default(),
    };
    let result = export.all(ids[planned.needs[0]], options.limit, stop).await;
    // What was claimed and not written is free again, whatever happened.
    store.release(ids[at], worker.id).await?;
    store.give_back(worker.id, ids[at]).await?;
    worker.leave(store).await?;
    let state = match &result {
        Err(_) => State::Failed,
        Ok(()) if stop.is_cancelled() => State::Interrupted,
        Ok(()) => State::Done,
    };
    store.end_run(run, state).await?;
    lock.release().await;
    result.map(|()| export.exported)
}

/// A file that is being written.
struct Open {
    batch: BatchId,
    path: PathBuf,
    out: BufWriter<File>,
    bytes: u64,
    requests: Vec<NewRequest>,
}

struct Export<'a> {
    work: &'a RowWork,
    store: &'a Store,
    folder: PathBuf,
    name: &'a str,
    run: RunId,
    stage: StageId,
    worker: WorkerId,
    spender: Spender,
    file: Option<Open>,
    /// Requests that were written.
    keys: HashSet<[u8; 16]>,
    /// Rows that go back at the end, so that they are not claimed again before.
    held: Vec<Finished>,
    exported: Exported,
}

impl Export<'_> {
    async fn all(&mut self, need: StageId, limit: Option<u64>, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut follow = Follow::default();
        while self.work.feed(self.store, self.stage, need, &mut follow).await? > 0 {}
        self.store.reclaim().await?;
        let mut left = limit.unwrap_or(u64::MAX);
        while left > 0 && !self.exported.capped && !stop.is_cancelled() {
            let rows = self.store.claim(self.stage, self.work.inputs(), self.worker, ROWS.min(left)).await?;
            if rows.is_empty() {
                break;
            }
            left -= self.take(rows).await?;
        }
        self.close().await?;
        let held = std::mem::take(&mut self.held);
        self.commit(held).await
    }

    /// Writes rows, but for those that need no request; the number written.
    async fn take(&mut self, rows: Vec<Claimed>) -> anyhow::Result<u64> {
        let mut requests: Vec<(Claimed, ChatRequest, [u8; 16])> = Vec::with_capacity(rows.len());
        let mut ended = Vec::new();
        for row in rows {
            match self.work.request(&row) {
                Ok(request) => {
                    let key = request.request_key();
                    requests.push((row, request, key));
                }
                Err(message) => {
                    self.exported.rejected += 1;
                    ended.push(finished(&row, rejected("prompt", message)));
                }
            }
        }
        let keys: Vec<[u8; 16]> = requests.iter().map(|(.., key)| *key).collect();
        self.store.forget_requests_of_the_dead(&keys.iter().copied().collect()).await?;
        // In this order: what is answered meanwhile is in one of them.
        let out = self.store.keys_out(&keys).await?;
        let ledger = self.store.ledger(&keys).await?;
        let mut open = Vec::with_capacity(requests.len());
        for (row, request, key) in requests {
            if let Some((call, answer)) = ledger.get(&key) {
                self.exported.from_ledger += 1;
                ended.push(finished(&row, ending(self.work, answer, *call)));
            } else if out.contains(&key) || !self.keys.insert(key) {
                self.hold(&row);
            } else {
                open.push((row, request, key));
            }
        }
        self.commit(ended).await?;
        let affordable = self.reserve(&open).await?;
        self.exported.capped = affordable < open.len();
        let mut written = 0;
        for (at, (row, request, key)) in open.into_iter().enumerate() {
            if at < affordable {
                written += u64::from(self.write(&row, &request, key).await?);
            } else {
                self.hold(&row);
            }
        }
        Ok(written)
    }

    /// What a request may cost in a batch. A batch answers in one part.
    fn bound(&self, request: &ChatRequest) -> Amount {
        let settings = &self.work.endpoint.settings;
        let prices = settings.prices().map(|prices| prices.times(settings.batch.price_factor));
        bound(request, 1, self.work.endpoint.context_tokens(), prices)
    }

    /// Reserves what `open` may cost, or the first so many of it, which are returned.
    async fn reserve(&self, open: &[(Claimed, ChatRequest, [u8; 16])]) -> anyhow::Result<usize> {
        if self.spender.caps.is_none() {
            return Ok(open.len());
        }
        let unfinished: Amount = self.file.iter().flat_map(|file| &file.requests).map(|request| request.bound).sum();
        let sums: Vec<Amount> = (open.iter())
            .scan(Amount::default(), |sum, (_, request, _)| {
                *sum += self.bound(request);
                Some(*sum)
            })
            .collect();
        let wishes: Vec<Amount> = sums.iter().rev().copied().collect();
        let reserved = self.store.reserve(&self.spender, unfinished, &wishes).await?;
        Ok(reserved.granted.map_or(0, |granted| sums.partition_point(|sum| granted.covers(*sum))))
    }

    /// Writes a request into the file, or into a new one if that is full; false if it fits into none.
    async fn write(&mut self, row: &Claimed, request: &ChatRequest, key: [u8; 16]) -> anyhow::Result<bool> {
        let limits = &self.work.endpoint.settings.batch;
        let bound = self.bound(request);
        loop {
            let (batch, ordinal, bytes) = match &self.file {
                Some(file) => (file.batch, file.requests.len() + 1, file.bytes),
                None => {
                    self.open().await?;
                    continue;
                }
            };
            let line = request_line(&custom_id(batch, ordinal as i32, key), request);
            let fits = ordinal <= limits.max_requests as usize && bytes + line.len() as u64 <= limits.max_bytes;
            match &mut self.file {
                Some(file) if fits => {
                    file.out.write_all(line.as_bytes()).with_context(|| format!("writing {}", file.path.display()))?;
                    file.bytes += line.len() as u64;
                    file.requests.push(NewRequest {
                        ordinal: ordinal as i32,
                        input_id: row.input_id,
                        snippet_id: row.snippet_id,
                        sample: row.sample,
                        request_key: key,
                        bound,
                    });
                    return Ok(true);
                }
                _ if ordinal == 1 => {
                    tracing::warn!(
                        "a request of {} bytes is larger than batch.max_bytes: it stays to be done",
                        line.len()
                    );
                    self.hold(row);
                    return Ok(false);
                }
                _ => self.close().await?,
            }
        }
    }

    async fn open(&mut self) -> anyhow::Result<()> {
        let batch = self.store.enter_batch(self.run, self.stage, &self.work.endpoint.name).await?;
        let path = self.folder.join(format!("{}-{batch}.jsonl", self.name));
        if path.exists() {
            bail!("{} is there already, from another database: choose another folder", path.display());
        }
        let part = unfinished(&path);
        let file = File::create(&part).with_context(|| format!("making {}", part.display()))?;
        self.file = Some(Open { batch, path, out: BufWriter::new(file), bytes: 0, requests: Vec::new() });
        Ok(())
    }

    /// Ends the file: on disk, then in the database, then under its name.
    async fn close(&mut self) -> anyhow::Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let Open { batch, path, out, bytes, requests } = file;
        let part = unfinished(&path);
        if requests.is_empty() {
            let _ = std::fs::remove_file(part);
            return Ok(self.store.forget_unfinished_batches(self.stage).await?);
        }
        let written = || format!("writing {}", part.display());
        out.into_inner()
            .map_err(std::io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all())
            .with_context(written)?;
        self.store.fill_batch(batch, self.worker, (&path.to_string_lossy(), bytes), &requests).await?;
        finish_file(&path)?;
        self.exported.files.push((batch, path, requests.len()));
        Ok(())
    }

    fn hold(&mut self, row: &Claimed) {
        self.exported.left += 1;
        self.held.push(finished(row, Ending::Released));
    }

    async fn commit(&self, rows: Vec<Finished>) -> anyhow::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let sink = AnswerSink {
            run: self.run,
            stage: self.stage,
            worker: self.worker,
            inputs: self.work.inputs(),
            role: self.work.role().to_owned(),
            endpoint: self.work.endpoint.name.clone(),
            model: self.work.endpoint.settings.model.clone(),
        };
        Ok(self.store.commit_answers(&sink, &rows).await?)
    }
}

fn finished(row: &Claimed, ending: Ending) -> Finished {
    Finished { task: row.task(), calls: Vec::new(), ending, entered: None }
}

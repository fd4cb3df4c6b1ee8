//! The beginning of a chain: shards are read one after the other, documents worked on in parallel, taken up in order.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use anyhow::{Context as _, bail};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::batch::Committer;
use super::steps::{Fresh, Steps, Worked};
use crate::corpus::{self, Entry, Format, Provenance, Rejected, Shard, Source, Survey};
use crate::dedupe::ContentHash;
use crate::engine::Context;
use crate::ids::ShardId;
use crate::stages::AnyStage;
use crate::store::chain::{NewShard, Rejection, ShardRow};

/// Bytes of text that are worked on at once by one thread.
const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of text in one transaction, about.
const BATCH_BYTES: usize = 4 << 20;
/// Identifiers fetched at once.
const ID_BLOCK: usize = 4096;

/// A stretch of a shard.
struct Chunk {
    shard: ShardId,
    from: u64,
    to: u64,
    finished: bool,
    documents: Vec<Fresh>,
    rejected: Vec<Rejected>,
}

/// The same, with the documents under work.
struct Pending {
    shard: ShardId,
    from: u64,
    to: u64,
    finished: bool,
    bytes: usize,
    worked: oneshot::Receiver<Vec<Worked>>,
    rejected: Vec<Rejected>,
}

/// Documents to work on, and where they are awaited.
type Job = (Vec<Fresh>, oneshot::Sender<Vec<Worked>>);

/// Hands documents to the threads that work on them, and to the task that takes them up in order.
struct Dispatch {
    jobs: Sender<Job>,
    pending: mpsc::Sender<anyhow::Result<Pending>>,
}

impl Dispatch {
    /// Waits while too many are pending; false if nobody wants them any more. Blocks.
    fn send(&self, chunk: Chunk) -> bool {
        let Chunk { shard, from, to, finished, documents, rejected } = chunk;
        let bytes = documents.iter().map(|fresh| fresh.document.content.len()).sum();
        let (done, worked) = oneshot::channel();
        let pending = Pending { shard, from, to, finished, bytes, worked, rejected };
        self.pending.blocking_send(Ok(pending)).is_ok() && self.jobs.send((documents, done)).is_ok()
    }
}

/// Works on documents until there are no more. Blocks.
fn work(jobs: &Mutex<Receiver<Job>>, worker: &impl Fn(Vec<Fresh>) -> Vec<Worked>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((documents, done)) = job else { return };
        let _ = done.send(worker(documents));
    }
}

/// Reads every shard that is not finished.
pub async fn shards(context: &Context<AnyStage>, mut steps: Steps) -> anyhow::Result<()> {
    let queue = list(context).await?;
    let threads = available_parallelism().map_or(2, std::num::NonZero::get);
    // More than are worked on at once, so that one long document does not keep the other threads idle.
    let (send_pending, mut pending) = mpsc::channel::<anyhow::Result<Pending>>(4 * threads);
    let (send_jobs, jobs) = channel();
    let jobs = Arc::new(Mutex::new(jobs));
    // As many threads as cores and always the same ones: each has a parser, and memory that is warm.
    let workers: Vec<_> = std::iter::repeat_with(|| {
        let (jobs, worker) = (Arc::clone(&jobs), steps.worker());
        spawn_blocking(move || work(&jobs, &worker))
    })
    .take(threads)
    .collect();
    let (limit, stop) = (context.limit, context.shutdown.clone());
    let dispatch = Dispatch { jobs: send_jobs, pending: send_pending };
    let reader = spawn_blocking(move || read(queue, limit, &stop, &dispatch));

    let last = context.store.last_document(context.id()).await?;
    let mut committer = Committer::new(context, steps.positions_at(last));
    let mut ids = Vec::new().into_iter();
    let (mut bytes, stage, meter) = (0, context.id(), Arc::clone(context.meter()));
    while let Some(chunk) = pending.recv().await {
        let chunk = chunk?;
        for rejected in chunk.rejected {
            meter.add_rejected(1);
            committer.batch().rejections.push(Rejection {
                stage: Some(stage),
                entry: Some((chunk.shard, rejected.entry)),
                path: rejected.path.replace('\0', "\u{fffd}"),
                class: rejected.fault.as_str().to_owned(),
                message: rejected.message.replace('\0', "\u{fffd}"),
                ..Rejection::default()
            });
        }
        for mut document in chunk.worked.await.context("a bug: the work on a document ended early")? {
            let id = match ids.next() {
                Some(id) => id,
                None => {
                    ids = context.store.document_ids(ID_BLOCK).await?.into_iter();
                    ids.next().context("the database gave no identifiers")?
                }
            };
            document.number(id);
            steps.take(document, committer.batch())?;
            committer.reach(id);
            meter.add_done(1);
        }
        committer.read_to(chunk.shard, chunk.from, chunk.to, chunk.finished);
        bytes += chunk.bytes;
        let full = bytes >= BATCH_BYTES || committer.batch().rejections.len() > 10_000;
        // While the last commit is under way, the batch may grow: better than that the threads wait.
        if full && (bytes >= 4 * BATCH_BYTES || !committer.is_busy()) {
            bytes = 0;
            committer.start().await?;
        }
    }
    committer.flush().await?;
    reader.await.context("a bug: the reader ended early")?;
    for worker in workers {
        worker.await.context("a bug: the work on documents ended early")?;
    }
    Ok(())
}

type Work = (Source, Shard, Survey, ShardRow);

/// Lists what the sources match, enters new shards, and returns those that are to be read.
async fn list(context: &Context<AnyStage>) -> anyhow::Result<Vec<Work>> {
    let AnyStage::Ingest(ingest) = &context.stage().stage else { bail!("a bug: a chain without an ingest stage") };
    let known = context.store.shards(context.id()).await?;
    let (sources, base) = (ingest.settings.sources.clone(), ingest.base.clone());
    let seen = known.clone();
    let found = spawn_blocking(move || -> anyhow::Result<Vec<(Source, Shard, Survey)>> {
        let mut found = Vec::new();
        for source in sources {
            for shard in corpus::shards(&source, &base)? {
                if seen.get(&shard.name).is_some_and(|row| row.finished) {
                    found.push((source.clone(), shard, Survey::default()));
                } else {
                    let survey = shard.survey(&source);
                    found.push((source.clone(), shard, survey));
                }
            }
        }
        Ok(found)
    })
    .await
    .context("a bug: listing the sources ended early")??;

    let is_new = |shard: &&(Source, Shard, Survey)| !known.contains_key(&shard.1.name);
    let new: Vec<NewShard> = (found.iter().filter(is_new))
        .map(|(_, shard, survey)| NewShard {
            name: shard.name.clone(),
            kind: match shard.format {
                Format::Folder => "dir",
                Format::Jsonl(_) => "jsonl",
                Format::Tar(_) | Format::Zip | Format::Wheel => "archive",
            },
            bytes: shard.bytes,
            provenance: survey.provenance.clone(),
        })
        .collect();
    let mut rows = context.store.enter_shards(context.id(), &new).await?;
    let mut queue = Vec::new();
    for (source, shard, survey) in found {
        // Two sources may match the same file; it is read once.
        let Some(row) = rows.remove(&shard.name) else { continue };
        if row.finished {
            if row.bytes != shard.bytes as i64 {
                tracing::warn!("{} has changed since it was read; rename it to have it read again", shard.name);
            }
            continue;
        }
        if row.cursor > 0 && row.bytes != shard.bytes as i64 {
            bail!(
                "{} has changed while it was half read: restore it, or rename it to have it read as a new one",
                shard.name
            );
        }
        queue.push((source, shard, survey, row));
    }
    let entries: Option<u64> = queue.iter().map(|(_, _, survey, _)| survey.entries).sum();
    tracing::debug!("{} shards to read, {entries:?} entries", queue.len());
    Ok(queue)
}

/// Reads shards in order and hands on stretches of them, until told to stop. Blocks.
fn read(queue: Vec<Work>, limit: Option<u64>, stop: &CancellationToken, dispatch: &Dispatch) {
    let mut left = limit.unwrap_or(u64::MAX);
    let mut seen = HashSet::new();
    for (source, shard, survey, row) in queue {
        let start = row.cursor as u64;
        let entries = match shard.read(&source, &survey, start) {
            Ok(entries) => entries,
            Err(error) => {
                let _ = dispatch.pending.blocking_send(Err(error.into()));
                return;
            }
        };
        let provenance = Arc::new(Provenance {
            repository: row.repository,
            revision: row.revision,
            licence: row.licence,
            licence_path: row.licence_path,
        });
        let empty = |from| Chunk {
            shard: row.id,
            from,
            to: from,
            finished: false,
            documents: Vec::new(),
            rejected: Vec::new(),
        };
        let (mut chunk, mut bytes) = (empty(start), 0);
        for entry in entries {
            chunk.to = entry.position() + 1;
            match entry {
                Entry::Document(document) => {
                    bytes += document.content.len();
                    left -= 1;
                    let hash = ContentHash::of(&document.content);
                    let (shard, provenance, repeated) = (row.id, Arc::clone(&provenance), !seen.insert(hash));
                    chunk.documents.push(Fresh { shard, provenance, document, hash, repeated });
                }
                Entry::Rejected(rejected) => chunk.rejected.push(rejected),
            }
            let ending = left == 0 || stop.is_cancelled();
            if bytes >= CHUNK_BYTES || chunk.rejected.len() >= 1000 || ending {
                let next = empty(chunk.to);
                if !dispatch.send(std::mem::replace(&mut chunk, next)) || ending {
                    return;
                }
                bytes = 0;
            }
        }
        chunk.finished = true;
        if !dispatch.send(chunk) {
            return;
        }
    }
}

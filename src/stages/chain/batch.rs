//! Gathers what a stretch of documents leads to, and commits it with the chain's progress.

use anyhow::Context as _;
use tokio::task::JoinHandle;

use crate::engine::Context;
use crate::ids::{DocumentId, RunId, ShardId, StageId};
use crate::stages::AnyStage;
use crate::store::chain::ChainBatch;
use crate::store::{Store, StoreResult};

/// Commits batches one after the other, each while the next is gathered.
pub struct Committer {
    store: Store,
    run: RunId,
    ingest: Option<StageId>,
    batch: ChainBatch,
    positions: Vec<(StageId, DocumentId)>,
    reached: Option<DocumentId>,
    under_way: Option<JoinHandle<StoreResult<()>>>,
}

impl Committer {
    /// Starts from where each stage stands.
    pub fn new(context: &Context<AnyStage>, positions: Vec<(StageId, DocumentId)>) -> Self {
        let ingest = matches!(context.stage().stage, AnyStage::Ingest(_)).then(|| context.id());
        Self {
            store: context.store.clone(),
            run: context.run,
            ingest,
            batch: ChainBatch::default(),
            positions,
            reached: None,
            under_way: None,
        }
    }

    /// What is being gathered.
    pub fn batch(&mut self) -> &mut ChainBatch {
        &mut self.batch
    }

    /// Whether the last batch is still being committed.
    pub fn is_busy(&self) -> bool {
        self.under_way.as_ref().is_some_and(|under_way| !under_way.is_finished())
    }

    /// Notes that everything up to `document` is in the batch.
    pub fn reach(&mut self, document: DocumentId) {
        self.reached = Some(document);
    }

    /// Notes that a shard was read up to entry `to`.
    pub fn read_to(&mut self, shard: ShardId, from: u64, to: u64, finished: bool) {
        match self.batch.cursors.last_mut() {
            Some((last, _, end, ended)) if *last == shard && *end == from => (*end, *ended) = (to, finished),
            _ => self.batch.cursors.push((shard, from, to, finished)),
        }
    }

    /// Starts committing the batch once the one before it is in.
    ///
    /// # Errors
    /// When either commit fails.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.wait().await?;
        let mut batch = std::mem::take(&mut self.batch);
        if let Some(reached) = self.reached.take() {
            for (stage, position) in &mut self.positions {
                batch.positions.push((*stage, *position, reached));
                *position = reached;
            }
        }
        if batch.cursors.is_empty() && batch.positions.is_empty() {
            return Ok(());
        }
        let (store, run, ingest) = (self.store.clone(), self.run, self.ingest);
        self.under_way = Some(tokio::spawn(async move { store.commit_chain(run, ingest, &batch).await }));
        Ok(())
    }

    /// Commits the batch and waits until it is in.
    ///
    /// # Errors
    /// As [`Committer::start`].
    pub async fn flush(&mut self) -> anyhow::Result<()> {
        self.start().await?;
        self.wait().await
    }

    async fn wait(&mut self) -> anyhow::Result<()> {
        if let Some(under_way) = self.under_way.take() {
            under_way.await.context("a bug: the commit ended early")??;
        }
        Ok(())
    }
}

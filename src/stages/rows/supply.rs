//! Rows on their way into a stage's hands: inputs are queued, claimed and their prompts rendered, and then entered as under
//! way.
//!
//! All of it goes on in the background, so that answers that land meanwhile are committed without delay.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::task::JoinHandle;

use super::{Asking, RowWork};
use crate::ids::{CallId, StageId, WorkerId};
use crate::store::tasks::{Follow, Task};
use crate::store::under_way::Entered;
use crate::store::{Store, StoreResult};

/// What a claim brought.
pub struct Claim {
    /// Rows with their requests.
    pub rows: Vec<Asking>,
    /// Rows whose prompts cannot be rendered, and why.
    pub unfit: Vec<(Task, String)>,
    /// Whether the queue gave fewer than were asked for.
    pub is_all: bool,
    /// Identifiers for calls.
    pub call_ids: Vec<CallId>,
}

/// What a step brought.
pub enum Supplied {
    /// Rows were leased.
    Claimed(Claim),
    /// Their requests were entered, as far as nobody else had.
    Entered(Vec<Asking>, Entered),
    /// So many inputs were looked at, to queue those that are new.
    Fed(u64),
}

/// One claim, or one entering, at a time, and one look at the inputs beside it.
pub struct Supply {
    work: Arc<RowWork>,
    store: Store,
    stage: StageId,
    worker: WorkerId,
    /// The stage whose rows are its inputs.
    need: StageId,
    step: Option<JoinHandle<StoreResult<Supplied>>>,
    /// None: a look is under way.
    follow: Option<Follow>,
    feeding: Option<JoinHandle<StoreResult<(u64, Follow)>>>,
}

impl Supply {
    /// Nothing is under way.
    pub fn new(work: &Arc<RowWork>, store: &Store, stage: StageId, need: StageId, worker: WorkerId) -> Self {
        let (work, store, follow) = (Arc::clone(work), store.clone(), Some(Follow::default()));
        Self { work, store, stage, worker, need, step: None, follow, feeding: None }
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.may_step() && self.feeding.is_none()
    }

    /// Whether a claim or an entering can start.
    pub fn may_step(&self) -> bool {
        self.step.is_none()
    }

    /// Starts to look at inputs from before the start, if there may be any left and no look is under way.
    pub fn feed_first_round(&mut self) {
        if self.follow.as_ref().is_some_and(Follow::is_behind) {
            self.feed();
        }
    }

    /// Starts to look at inputs, if that is not under way.
    pub fn feed(&mut self) {
        let Some(mut follow) = self.follow.take() else { return };
        let (work, store, stage, need) = (Arc::clone(&self.work), self.store.clone(), self.stage, self.need);
        self.feeding = Some(tokio::spawn(async move {
            let seen = work.feed(&store, stage, need, &mut follow).await?;
            Ok((seen, follow))
        }));
    }

    /// Whether inputs are being looked at, or some from before the start are still to be.
    pub fn is_looking(&self) -> bool {
        self.follow.as_ref().is_none_or(Follow::is_behind)
    }

    /// How far inputs were followed, while nothing is under way.
    pub fn follow(&mut self) -> Option<&mut Follow> {
        self.follow.as_mut()
    }

    /// Starts to claim up to `want` rows and to fetch so many identifiers for calls.
    pub fn claim(&mut self, want: u64, ids: u32) {
        let (work, store, stage, worker) = (Arc::clone(&self.work), self.store.clone(), self.stage, self.worker);
        self.step = Some(tokio::spawn(async move {
            let call_ids = if ids > 0 { store.call_ids(ids).await? } else { Vec::new() };
            let claimed = store.claim(stage, work.inputs, worker, want).await?;
            let is_all = (claimed.len() as u64) < want;
            let mut claim = Claim { rows: Vec::new(), unfit: Vec::new(), is_all, call_ids };
            for row in claimed {
                match work.request(&row) {
                    Ok(request) => {
                        let key = request.request_key();
                        claim.rows.push((row.task(), request, key));
                    }
                    Err(message) => claim.unfit.push((row.task(), message)),
                }
            }
            Ok(Supplied::Claimed(claim))
        }));
    }

    /// Starts to enter the requests of rows.
    pub fn enter(&mut self, rows: Vec<Asking>) {
        let (store, stage, worker) = (self.store.clone(), self.stage, self.worker);
        self.step = Some(tokio::spawn(async move {
            let keys: HashSet<_> = rows.iter().map(|(.., key)| *key).collect();
            let entered = store.enter_requests(worker, stage, &keys).await?;
            Ok(Supplied::Entered(rows, entered))
        }));
    }

    /// Waits for what is under way; for ever if that is nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next(&mut self) -> anyhow::Result<Supplied> {
        tokio::select! {
            ended = ended(&mut self.step) => ended,
            fed = ended(&mut self.feeding) => {
                let (seen, follow) = fed?;
                self.follow = Some(follow);
                Ok(Supplied::Fed(seen))
            }
        }
    }
}

/// Waits for a task, which is gone then; for ever if there is none.
async fn ended<T>(task: &mut Option<JoinHandle<StoreResult<T>>>) -> anyhow::Result<T> {
    let ended = match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    };
    *task = None;
    Ok(ended.context("a bug: the supply of rows ended early")??)
}

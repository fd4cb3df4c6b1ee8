//! The work of stages that call models: claim rows, ask, commit each answer as it lands.
//!
//! One task owns all state, so there is nothing to lock: it claims rows ahead of need, starts calls, and commits
//! whatever has landed meanwhile. A request that is being asked, or whose answer is not committed yet, is never asked a
//! second time: later rows of the stage wait for its answer, and so do other stages and processes, which find it entered in
//! the database ([`elsewhere`]). All such requests of a stage together are at most the endpoint's concurrency, so a kill costs
//! no more answers than may be in flight.

mod accounts;
mod elsewhere;
pub mod landing;
pub mod purse;
mod quota;
mod supply;
mod work;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use self::elsewhere::Elsewhere;
use self::landing::{Landing, ending, land, rejected};
use self::purse::{CapReached, Purse};
use self::quota::Quota;
use self::supply::{Claim, Supplied, Supply};
pub use self::work::{Answered, RowWork};
use super::AnyStage;
use crate::engine::Context;
use crate::ids::CallId;
use crate::llm::{CallResult, ChatRequest, Client, Outcome};
use crate::store::StoreResult;
use crate::store::answers::{AnswerSink, Ending, Finished, NewCall};
use crate::store::budget::Spender;
use crate::store::tasks::Task;
use crate::store::under_way::Entered;

/// Commits under way at once: answers that land while one waits for the disk need not wait for it as well.
const COMMITS: usize = 2;
/// A further commit is started for this part of the concurrency, so that commits stay large under load.
const COMMIT_PART: usize = 8;
/// How long answers wait for others to be committed with, while there are few of them and none is being committed: a commit
/// costs the server as much as twenty answers do.
const GATHER: Duration = Duration::from_micros(500);
/// Pause between two looks at a queue that is empty for now.
const IDLE: Duration = Duration::from_millis(100);
/// How often the number of waiting rows is counted for the progress line, at most.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Runs the stage until everything that its inputs offer is answered or rejected.
pub async fn run(work: &Arc<RowWork>, mut context: Context<AnyStage>) -> anyhow::Result<()> {
    let client = work.endpoint.client()?;
    accounts::share(&work.endpoint, &context.store, context.worker).await?;
    let concurrency = client.settings().concurrency as usize;
    let spender =
        Spender { worker: context.worker, stage: context.id(), stages: context.all_ids.clone(), caps: context.caps };
    let mut driver = Driver {
        work,
        purse: Purse::new(spender),
        capped: None,
        sink: AnswerSink {
            run: context.run,
            stage: context.id(),
            worker: context.worker,
            inputs: work.inputs,
            role: work.role.clone(),
            endpoint: work.endpoint.name.clone(),
            model: work.model.to_string(),
        },
        quota: Quota::new(context.limit),
        may_claim: context.limit.is_none(),
        queue: VecDeque::new(),
        calls: JoinSet::new(),
        asking: HashMap::new(),
        elsewhere: Elsewhere::default(),
        landed: Vec::new(),
        landed_at: None,
        commits: JoinSet::new(),
        supply: Supply::new(work, &context.store, context.id(), context.needs[0][0], context.worker),
        look_again: None,
        call_ids: Vec::new(),
        stop: None,
        count_at: None,
    };
    let mut told = client.settings().concurrency;
    loop {
        let ending = context.shutdown.is_cancelled() || driver.stop.is_some() || driver.capped.is_some();
        if ending {
            driver.release_queue();
        } else {
            driver.refill(concurrency);
            driver.ask(&context, concurrency);
        }
        driver.start_commit(&context, concurrency);
        if !driver.is_idle() {
            driver.step(&context).await?;
            told = tell_concurrency(client, &context, told);
            continue;
        }
        client.account().rest().await;
        if ending || driver.is_finished(&mut context).await? {
            break;
        }
    }
    driver.purse.close(&context.store).await?;
    if let Some(capped) = driver.capped {
        return Err(capped.into());
    }
    match driver.stop {
        Some(reason) => {
            bail!("endpoint `{}`: {reason}; its rows stay to be done: mend it and run again", work.endpoint.name)
        }
        None => Ok(()),
    }
}

/// Shows when fewer calls are made at once than the setting allows; returns what is shown now, in place of `told`.
fn tell_concurrency(client: &Client, context: &Context<AnyStage>, told: u32) -> u32 {
    let (now, most) = (client.concurrency(), client.settings().concurrency);
    if now != told {
        let note = if now < most { format!("{now} of {most} calls at once") } else { String::new() };
        context.meter().set_note(note);
    }
    now
}

/// What a row came to; with the key of the request, if it was to ask one.
type Landed = (Option<[u8; 16]>, Finished);

/// A row, its request, and the request's key.
type Asking = (Task, ChatRequest, [u8; 16]);

struct Driver<'w> {
    work: &'w RowWork,
    purse: Purse,
    /// The cap leaves no room for another call.
    capped: Option<CapReached>,
    sink: AnswerSink,
    quota: Quota,
    /// Under a limit, nothing is claimed before all inputs are queued: so stages with the same inputs take the same ones.
    may_claim: bool,
    queue: VecDeque<Asking>,
    calls: JoinSet<(Task, [u8; 16], Outcome)>,
    /// Requests whose answer is not committed yet, with the rows that wait for the same answer.
    asking: HashMap<[u8; 16], Vec<Task>>,
    elsewhere: Elsewhere,
    /// Rows that wait for their answer are put down together with the call that they share.
    landed: Vec<Landed>,
    /// When the first of them did.
    landed_at: Option<Instant>,
    commits: JoinSet<StoreResult<Vec<Landed>>>,
    supply: Supply,
    /// Nothing was there to be claimed: not to be tried before.
    look_again: Option<Instant>,
    call_ids: Vec<CallId>,
    stop: Option<String>,
    /// When the waiting rows are counted again.
    count_at: Option<Instant>,
}

impl Driver<'_> {
    fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.calls.is_empty()
            && self.elsewhere.is_empty()
            && self.landed.is_empty()
            && self.commits.is_empty()
            && self.supply.is_idle()
    }

    /// Starts to claim rows when fewer are in hand than can be asked at once.
    fn refill(&mut self, concurrency: usize) {
        self.supply.feed_first_round();
        let too_early = self.look_again.is_some_and(|at| Instant::now() < at);
        let enough = self.queue.len() > concurrency || self.elsewhere.is_full() || self.elsewhere.is_due();
        if !self.supply.may_step() || enough || too_early || !self.may_claim {
            return;
        }
        let want = self.quota.left().min((concurrency * 2).clamp(32, 2048) as u64);
        if want == 0 {
            return;
        }
        self.look_again = None;
        let ids = if self.call_ids.len() < want as usize * 2 { want as u32 * 4 } else { 0 };
        self.supply.claim(want, ids);
    }

    /// Takes up what a claim brought; with too little, looks for new inputs.
    async fn receive(&mut self, context: &Context<AnyStage>, claim: Claim) -> anyhow::Result<()> {
        let Claim { rows, unfit, is_all, call_ids } = claim;
        self.call_ids.extend(call_ids);
        let claimed = (rows.len() + unfit.len()) as u64;
        let is_looking = self.supply.is_looking();
        self.quota.take(claimed);
        for (row, message) in unfit {
            self.land(None, row, Vec::new(), rejected("prompt", message));
        }
        if context.shutdown.is_cancelled() || self.stop.is_some() || self.capped.is_some() {
            for (row, ..) in rows {
                self.land(None, row, Vec::new(), Ending::Released);
            }
            return Ok(());
        }
        // A look for new inputs costs a query: not while calls are under way and the queue still gives.
        if is_all && (claimed == 0 || self.calls.is_empty()) {
            self.supply.feed();
        }
        if claimed == 0 {
            self.look_again = Some(Instant::now() + IDLE);
        }
        let (store, id) = (&context.store, context.id());
        // While inputs are still being queued the number would be too small.
        if !is_looking && self.count_at.is_none_or(|at| Instant::now() >= at) {
            store.merge_spending(id).await?;
            let begun = Instant::now();
            let open = store.count_open_tasks(id).await?;
            // It reads every open row: among millions that takes a while, so it is done less often there.
            self.count_at = Some(Instant::now() + COUNT_EVERY.max(begun.elapsed() * 50));
            let meter = context.meter();
            let total = meter.done() + meter.rejected() + open;
            meter.set_total(context.limit.map_or(total, |limit| limit.min(total)));
        }
        let rows = self.not_asked(rows);
        if !rows.is_empty() {
            self.supply.enter(rows);
        }
        Ok(())
    }

    /// Those whose requests are not being asked; the others wait for the answer.
    fn not_asked(&mut self, rows: Vec<Asking>) -> Vec<Asking> {
        let mut new = Vec::with_capacity(rows.len());
        for asking in rows {
            match self.asking.get_mut(&asking.2) {
                Some(waiting) => waiting.push(asking.0),
                None => new.push(asking),
            }
        }
        new
    }

    /// Serves what the ledger has, and queues what nobody asks yet.
    fn take_up(&mut self, rows: Vec<Asking>, entered: &Entered, context: &Context<AnyStage>) {
        for (row, request, key) in rows {
            if let Some((call, answer)) = entered.answers.get(&key) {
                context.meter().add_reused(1);
                let ending = ending(self.work, answer, *call);
                self.land(None, row, Vec::new(), ending);
                self.leave_off(key);
            } else if let Some(waiting) = self.asking.get_mut(&key) {
                waiting.push(row);
            } else if entered.mine.contains(&key) {
                self.asking.insert(key, Vec::new());
                self.queue.push_back((row, request, key));
            } else {
                self.elsewhere.wait((row, request, key));
            }
        }
    }

    /// Looks again for rows whose answers others were asking for.
    async fn look_elsewhere(&mut self, context: &Context<AnyStage>) -> anyhow::Result<()> {
        if self.queue.is_empty() && self.calls.is_empty() {
            // It keeps nothing that those need for whom it waits.
            self.work.endpoint.client()?.account().rest().await;
            self.purse.close(&context.store).await?;
        }
        let waiting = self.elsewhere.take();
        let waiting = self.not_asked(waiting);
        let keys = waiting.iter().map(|(.., key)| *key).collect();
        context.store.forget_requests_of_the_dead(&keys).await?;
        self.supply.enter(waiting);
        Ok(())
    }

    /// The row that has just landed is the one that its request was entered for.
    fn leave_off(&mut self, key: [u8; 16]) {
        if let Some((_, finished)) = self.landed.last_mut() {
            finished.entered = Some(key);
        }
    }

    fn ask(&mut self, context: &Context<AnyStage>, concurrency: usize) {
        // A kill costs what is asked and what is answered but not committed: both together stay within the bound.
        while self.asking.len() - self.queue.len() < concurrency {
            let Some((_, request, key)) = self.queue.front() else { return };
            if !self.purse.take(*key, || self.work.bound(request)) {
                let next = self.queue.iter().take(concurrency).map(|(_, request, _)| self.work.bound(request));
                return self.purse.reserve(&context.store, next);
            }
            let Some((row, request, key)) = self.queue.pop_front() else { return };
            let (endpoint, cancel) = (Arc::clone(&self.work.endpoint), context.shutdown.clone());
            let policies = Arc::clone(&self.work.policies);
            self.calls.spawn(async move {
                let outcome = match endpoint.client() {
                    Ok(client) => client.call_by(&policies, &request, &cancel).await,
                    Err(_) => Outcome { attempts: Vec::new(), result: CallResult::Cancelled },
                };
                (row, key, outcome)
            });
        }
    }

    /// Waits for the next call or commit to end.
    async fn step(&mut self, context: &Context<AnyStage>) -> anyhow::Result<()> {
        let gathering = self.landed_at.filter(|_| self.commits.is_empty());
        tokio::select! {
            supplied = self.supply.next() => match supplied? {
                Supplied::Claimed(claim) => self.receive(context, claim).await?,
                Supplied::Entered(rows, entered) => self.take_up(rows, &entered, context),
                Supplied::Fed(seen) if seen > 0 => self.look_again = None,
                Supplied::Fed(_) => {}
            },
            Some(committed) = self.commits.join_next() => {
                let finished = committed.context("a bug: the commit ended early")??;
                self.settle(context, finished);
            }
            Some(called) = self.calls.join_next() => {
                let (row, key, outcome) = called.context("a bug: a call ended early")?;
                self.hear(context, row, key, outcome).await?;
                while let Some(called) = self.calls.try_join_next() {
                    let (row, key, outcome) = called.context("a bug: a call ended early")?;
                    self.hear(context, row, key, outcome).await?;
                }
            }
            () = sleep_until(gathering.unwrap_or_else(Instant::now) + GATHER), if gathering.is_some() => {}
            reserved = self.purse.reserved() => self.capped = reserved?.err(),
            () = self.elsewhere.due(), if self.supply.may_step() => self.look_elsewhere(context).await?,
            // More rows may have come in while a few calls are slow; others may have given back what they had reserved.
            () = sleep(IDLE), if self.queue.is_empty() || self.purse.is_waiting() => {}
        }
        Ok(())
    }

    async fn hear(
        &mut self,
        context: &Context<AnyStage>,
        row: Task,
        key: [u8; 16],
        outcome: Outcome,
    ) -> anyhow::Result<()> {
        if self.call_ids.len() < outcome.attempts.len() {
            self.call_ids.extend(context.store.call_ids(1024).await?);
        }
        let ids = self.call_ids.split_off(self.call_ids.len() - outcome.attempts.len()).into_iter();
        let Landing { calls, ending, stop } = land(self.work, key, outcome, self.work.endpoint.settings.prices(), ids);
        if let Some(failure) = stop {
            self.stop.get_or_insert_with(|| failure.to_string());
        }
        for waiting in self.asking.get_mut(&key).map(std::mem::take).unwrap_or_default() {
            context.meter().add_reused(1);
            self.land(None, waiting, Vec::new(), ending.clone());
        }
        self.land(Some(key), row, calls, ending);
        self.leave_off(key);
        Ok(())
    }

    fn land(&mut self, key: Option<[u8; 16]>, task: Task, calls: Vec<NewCall>, ending: Ending) {
        let finished = Finished { task, calls, ending, entered: None };
        self.landed_at.get_or_insert_with(Instant::now);
        self.landed.push((key, finished));
    }

    fn start_commit(&mut self, context: &Context<AnyStage>, concurrency: usize) {
        let enough = self.landed.len() * COMMIT_PART >= concurrency;
        let gathered = self.calls.is_empty() || self.landed_at.is_some_and(|at| at.elapsed() >= GATHER);
        let worth_it = match self.commits.len() {
            0 => !self.landed.is_empty() && (enough || gathered),
            1..COMMITS => enough,
            _ => false,
        };
        if !worth_it {
            return;
        }
        self.landed_at = None;
        let batch = std::mem::take(&mut self.landed);
        let (store, sink) = (context.store.clone(), self.sink.clone());
        self.commits.spawn(async move {
            let (keys, rows): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            store.commit_answers(&sink, &rows).await?;
            Ok(keys.into_iter().zip(rows).collect())
        });
    }

    /// Counts what was committed, and lets go of its requests.
    fn settle(&mut self, context: &Context<AnyStage>, finished: Vec<Landed>) {
        let (mut done, mut rejected) = (0, 0);
        for (key, row) in finished {
            match row.ending {
                Ending::Answered { .. } => done += 1,
                Ending::Rejected { .. } => rejected += 1,
                // It is there to be claimed again, by this process as well.
                Ending::Released => self.quota.give_back(1),
            }
            let Some(key) = key else { continue };
            self.purse.settle(&key);
            // Rows that came while the answer was being committed find it in the ledger when they are claimed again.
            for waiting in self.asking.remove(&key).unwrap_or_default() {
                self.land(None, waiting, Vec::new(), Ending::Released);
            }
        }
        self.quota.reject(rejected);
        context.meter().add_done(done);
        context.meter().add_rejected(rejected);
    }

    fn release_queue(&mut self) {
        while let Some((row, _, key)) = self.queue.pop_front() {
            for waiting in self.asking.remove(&key).unwrap_or_default() {
                self.land(None, waiting, Vec::new(), Ending::Released);
            }
            self.land(None, row, Vec::new(), Ending::Released);
            self.leave_off(key);
        }
        for (row, ..) in self.elsewhere.take() {
            self.land(None, row, Vec::new(), Ending::Released);
        }
    }

    /// With nothing in hand: whether nothing is left, looking once more for what others left behind.
    async fn is_finished(&mut self, context: &mut Context<AnyStage>) -> anyhow::Result<bool> {
        if self.quota.left() == 0 {
            return Ok(true);
        }
        self.purse.close(&context.store).await?;
        let (id, ended) = (context.id(), *context.inputs_ended.borrow());
        self.supply.feed();
        if let Supplied::Fed(1..) = self.supply.next().await? {
            self.look_again = None;
            return Ok(false);
        }
        // An input may have been committed by a transaction that was still open at the last look.
        let follow = self.supply.follow().context("a bug: inputs are being looked at")?;
        if ended && follow.is_complete(&context.store).await? {
            if !std::mem::replace(&mut self.may_claim, true) {
                return Ok(false);
            }
            if !context.store.has_open_tasks(id).await? {
                let out = context.store.rows_out(id).await?;
                if out > 0 {
                    bail!("{out} rows are out in batches: `codepmp batch import` brings their answers, then run again");
                }
                return Ok(true);
            }
        }
        // Leased rows are with another worker, or with one that died, or were leased by a claim whose reply was lost.
        context.store.release(id, context.worker).await?;
        context.store.reclaim().await?;
        self.look_again = None;
        tokio::select! {
            () = sleep(IDLE) => {}
            () = context.shutdown.cancelled() => {}
        }
        Ok(false)
    }
}

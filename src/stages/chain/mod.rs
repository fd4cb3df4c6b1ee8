//! A chain of source stages: one stream of documents through filters, deduplication and parsing.
//!
//! Documents are worked on in parallel and taken up again in order, so that order of input alone decides ids and which
//! copy survives. Everything a batch of documents leads to is committed together with how far each stage has come; a
//! chain that was killed goes on after its last commit. Stages that stand behind the others (because a setting changed)
//! first catch up from the `documents` table.

mod batch;
mod read;
mod steps;

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::sleep;

use self::batch::Committer;
use self::steps::Steps;
use super::AnyStage;
use crate::engine::{Context, Stage as _};
use crate::ids::{DocumentId, StageId};
use crate::store::lock::StageLock;

/// Pause between two tries for the lock of a stage that another process works on.
const RETRY_LOCK: Duration = Duration::from_millis(300);

/// Runs the chain to the end of what there is.
pub async fn run(mut context: Context<AnyStage>) -> anyhow::Result<()> {
    if !context.inputs_end().await {
        return Ok(());
    }
    let Some(locks) = lock(&context).await? else { return Ok(()) };
    let ingest = ingest_of(&context)?;
    let reads = matches!(context.stage().stage, AnyStage::Ingest(_));
    catch_up(&context, ingest, usize::from(reads)).await?;
    if reads && !context.shutdown.is_cancelled() {
        let steps = Steps::open(&context, 1).await?;
        read::shards(&context, steps).await?;
    }
    for lock in locks {
        lock.release().await;
    }
    Ok(())
}

/// Takes the locks of all stages of the chain; `None` if the run is to end first.
async fn lock(context: &Context<AnyStage>) -> anyhow::Result<Option<Vec<StageLock>>> {
    let mut order = context.ids.clone();
    order.sort_unstable();
    let mut locks = Vec::with_capacity(order.len());
    for id in order {
        loop {
            if let Some(lock) = context.store.try_lock_stage(id).await? {
                locks.push(lock);
                break;
            }
            tokio::select! {
                () = sleep(RETRY_LOCK) => {}
                () = context.shutdown.cancelled() => return Ok(None),
            }
        }
    }
    Ok(Some(locks))
}

/// The ingest stage that the chain's documents come from.
fn ingest_of(context: &Context<AnyStage>) -> anyhow::Result<StageId> {
    if context.stage().stage.kind() == "ingest" {
        return Ok(context.id());
    }
    let ancestors = ancestors(context)?;
    let ingest = ancestors.iter().find(|&&at| context.plan.stages[at].stage.kind() == "ingest");
    let ingest = ingest.context("a bug: a source stage without an ingest stage")?;
    Ok(context.all_ids[*ingest])
}

fn ancestors(context: &Context<AnyStage>) -> anyhow::Result<Vec<usize>> {
    let own = context.plan.find(&context.stage().name).context("a bug: a stage that is not in its plan")?;
    Ok(context.plan.ancestors(own))
}

/// Brings each stage from `first` on up to the one before it: the last one first, then the last two, and so on.
async fn catch_up(context: &Context<AnyStage>, ingest: StageId, first: usize) -> anyhow::Result<()> {
    let above: Vec<StageId> = ancestors(context)?.into_iter().map(|at| context.all_ids[at]).collect();
    let mut positions = Vec::with_capacity(context.ids.len());
    for &id in &context.ids[first..] {
        positions.push(context.store.position(id).await?);
    }
    let top = match above.iter().rfind(|&&id| id != ingest) {
        Some(&before) if first == 0 => context.store.position(before).await?,
        _ => context.store.last_document(ingest).await?,
    };
    for at in (0..positions.len()).rev() {
        let until = if at == 0 { top } else { positions[at - 1] };
        if positions[at] > until {
            bail!(
                "stage `{}` is ahead of what it needs: was the database changed by hand?",
                context.group[first + at].name
            );
        }
        if positions[at] == until {
            continue;
        }
        let deciding: Vec<StageId> = above.iter().chain(&context.ids[first..first + at]).copied().collect();
        let mut steps = Steps::open(context, first + at).await?;
        let mut committer = Committer::new(context, steps.positions_at(positions[at]));
        let mut after: DocumentId = positions[at];
        while after < until && !context.shutdown.is_cancelled() {
            let page = context.store.documents_between(ingest, &deciding, after, until, 256).await?;
            let end = if page.len() < 256 { until } else { page[page.len() - 1].id };
            let worked = steps.work_stored(page).await?;
            for document in worked {
                steps.take(document, committer.batch())?;
            }
            committer.reach(end);
            committer.flush().await?;
            after = end;
        }
        if after < until {
            return Ok(());
        }
    }
    Ok(())
}

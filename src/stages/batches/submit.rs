//! Batches to the server, and how they stand there.

use anyhow::bail;

use super::{Open, finish_file, lock};
use crate::llm::{Batches, Failure, FailureClass, RemoteBatch};
use crate::store::Store;
use crate::store::batch::BatchNote;

/// Uploads a batch's file and makes the batch, from wherever that was broken off.
///
/// # Errors
/// When the file is gone, the server refuses it, or it cannot be told whether the server made it.
pub async fn submit(store: &Store, open: &Open) -> anyhow::Result<RemoteBatch> {
    let lock = lock(store, open.row.stage_id).await?;
    let submitted = step(store, open).await;
    lock.release().await;
    submitted
}

async fn step(store: &Store, open: &Open) -> anyhow::Result<RemoteBatch> {
    // Another process may have been at it since it was looked up.
    let Some(row) = store.batches(&[open.row.id]).await?.pop() else { bail!("batch {} is gone", open.row.id) };
    let api = Batches::new(&open.settings)?;
    let file = match (row.state.as_str(), row.file_id) {
        ("exported", _) => {
            finish_file(&open.file())?;
            if !open.file().exists() {
                bail!("{} is gone: `codepmp batch release {}` frees its rows", open.file().display(), row.id);
            }
            let file = api.upload(&open.file()).await.map_err(|failure| told(open, &failure))?;
            store
                .note_batch(row.id, &BatchNote { state: "uploaded", file_id: Some(&file), ..BatchNote::default() })
                .await?;
            file
        }
        ("uploaded", Some(file)) => file,
        ("submitting", Some(file)) => match api.find(&file).await {
            Ok(Some(found)) => return adopt(store, open, found).await,
            Ok(None) => file,
            Err(failure) => bail!(
                "batch {}: it is not known whether the server made it, and it does not list its batches ({failure}): look \
                 there for one of file {file}, and if there is none, `codepmp batch release {}`",
                row.id,
                row.id
            ),
        },
        ("submitted" | "ended", _) => bail!("batch {} is submitted already", row.id),
        (state, _) => bail!("batch {} is {state}", row.id),
    };
    store.note_batch(row.id, &BatchNote { state: "submitting", ..BatchNote::default() }).await?;
    match api.create(&file).await {
        Ok(made) => adopt(store, open, made).await,
        Err(failure) => {
            // A clear no means that there is no batch; else the next attempt looks for it first.
            let is_refused = matches!(
                failure.class,
                FailureClass::BadRequest
                    | FailureClass::Unauthorised
                    | FailureClass::OutOfQuota
                    | FailureClass::Throttled
            );
            let state = if is_refused { "uploaded" } else { "submitting" };
            let note = BatchNote { state, message: Some(&failure.message), ..BatchNote::default() };
            store.note_batch(row.id, &note).await?;
            Err(told(open, &failure))
        }
    }
}

async fn adopt(store: &Store, open: &Open, remote: RemoteBatch) -> anyhow::Result<RemoteBatch> {
    let note = BatchNote {
        state: "submitted",
        remote_id: Some(&remote.id),
        remote_state: Some(&remote.status),
        ..BatchNote::default()
    };
    store.note_batch(open.row.id, &note).await?;
    Ok(remote)
}

/// Asks how a submitted batch stands, and notes it; none if it was not submitted.
///
/// # Errors
/// When the server does not tell.
pub async fn status(store: &Store, open: &Open) -> anyhow::Result<Option<RemoteBatch>> {
    let Some(id) = open.row.remote_id.as_deref().filter(|_| matches!(open.row.state.as_str(), "submitted" | "ended"))
    else {
        return Ok(None);
    };
    let remote = Batches::new(&open.settings)?.get(id).await.map_err(|failure| told(open, &failure))?;
    let note = BatchNote {
        state: if remote.has_ended() { "ended" } else { "submitted" },
        remote_state: Some(&remote.status),
        output_file_id: remote.output_file_id.as_deref(),
        error_file_id: remote.error_file_id.as_deref(),
        message: remote.message.as_deref(),
        ..BatchNote::default()
    };
    store.note_batch(open.row.id, &note).await?;
    Ok(Some(remote))
}

/// Gives a batch up: the server is asked to stop it, and rows without an answer are to be done again; their number.
///
/// # Errors
/// When the server refuses to stop it: its answers would be paid for.
pub async fn release(store: &Store, open: &Open) -> anyhow::Result<u64> {
    let lock = lock(store, open.row.stage_id).await?;
    let released = async {
        if let Some(id) = open.row.remote_id.as_deref().filter(|_| open.row.state == "submitted") {
            let api = Batches::new(&open.settings)?;
            let remote = api.get(id).await.map_err(|failure| told(open, &failure))?;
            if !remote.has_ended() {
                api.cancel(id).await.map_err(|failure| told(open, &failure))?;
            }
        }
        Ok(store.end_batch(open.row.id, "released", "released").await?)
    };
    let released = released.await;
    lock.release().await;
    released
}

pub(super) fn told(open: &Open, failure: &Failure) -> anyhow::Error {
    anyhow::anyhow!("batch {}, endpoint `{}`: {failure}", open.row.id, open.row.endpoint)
}

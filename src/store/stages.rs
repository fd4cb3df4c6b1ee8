//! The `stages` table: fingerprints, and how far source stages have come.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::{Store, StoreResult};
use crate::ids::{DocumentId, StageId};

/// A stage to be found or made.
#[derive(Clone, Debug)]
pub struct NewStage {
    /// See `engine::fingerprint`.
    pub fingerprint: String,
    /// Kind.
    pub kind: String,
    /// Name in the pipeline file.
    pub name: String,
    /// The settings that decide its output.
    pub settings: serde_json::Value,
    /// What it needs.
    pub inputs: Vec<StageId>,
    /// Model, of stages that call one.
    pub model: Option<String>,
    /// Hash of the prompt, of stages that call a model.
    pub prompt_fingerprint: Option<String>,
    /// Sampling, of stages that call a model.
    pub sampling: Option<serde_json::Value>,
}

impl Store {
    /// Finds the stage by its fingerprint, or makes it.
    pub async fn register_stage(&self, stage: &NewStage) -> StoreResult<StageId> {
        let inputs: Vec<i64> = stage.inputs.iter().map(|id| id.0).collect();
        self.retrying(|| async {
            sqlx::query(
                "insert into stages (fingerprint, kind, name, settings, inputs, model, prompt_fingerprint, sampling)
                 select $1, $2, $3, $4, $5, $6, $7, $8 where not exists (select from stages where fingerprint = $1)
                 on conflict (fingerprint) do nothing",
            )
            .bind(&stage.fingerprint)
            .bind(&stage.kind)
            .bind(&stage.name)
            .bind(&stage.settings)
            .bind(&inputs)
            .bind(&stage.model)
            .bind(&stage.prompt_fingerprint)
            .bind(&stage.sampling)
            .execute(self.pool())
            .await?;
            // A statement of its own: the one before does not see a row that another process made while it ran.
            sqlx::query_scalar("select id from stages where fingerprint = $1")
                .bind(&stage.fingerprint)
                .fetch_one(self.pool())
                .await
        })
        .await
    }

    /// The name and the fingerprint of a stage.
    pub async fn stage_name(&self, stage: StageId) -> StoreResult<(String, String)> {
        self.retrying(|| async {
            sqlx::query_as("select name, fingerprint from stages where id = $1")
                .bind(stage)
                .fetch_one(self.pool())
                .await
        })
        .await
    }

    /// Ids of those of `fingerprints` that the database knows.
    pub async fn known_stages(&self, fingerprints: &[String]) -> StoreResult<HashMap<String, StageId>> {
        let rows: Vec<(String, StageId)> = self
            .retrying(|| async {
                sqlx::query_as("select fingerprint, id from stages where fingerprint = any($1)")
                    .bind(fingerprints)
                    .fetch_all(self.pool())
                    .await
            })
            .await?;
        Ok(rows.into_iter().collect())
    }

    /// The last document that a source stage has processed.
    pub async fn position(&self, stage: StageId) -> StoreResult<DocumentId> {
        self.retrying(|| async {
            sqlx::query_scalar("select position from stages where id = $1").bind(stage).fetch_one(self.pool()).await
        })
        .await
    }
}

/// Moves a source stage on. False: it was not where the caller left it, so another process has been at it.
pub(super) async fn advance(
    connection: &mut PgConnection,
    stage: StageId,
    from: DocumentId,
    to: DocumentId,
) -> sqlx::Result<bool> {
    let moved = sqlx::query("update stages set position = $3 where id = $1 and position = $2")
        .bind(stage)
        .bind(from)
        .bind(to)
        .execute(connection)
        .await?;
    Ok(moved.rows_affected() == 1)
}

/// Moves a stage on that has a single writer, by its lock.
pub(super) async fn advance_to(connection: &mut PgConnection, stage: StageId, to: i64) -> sqlx::Result<()> {
    sqlx::query("update stages set position = $2 where id = $1").bind(stage).bind(to).execute(connection).await?;
    Ok(())
}

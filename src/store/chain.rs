//! What a chain of source stages commits: documents, rejections, sketches and snippets, together with its progress.

use std::collections::HashMap;

use sqlx::{FromRow, PgConnection};

use super::copy::Copying;
use super::stages::advance;
use super::{Store, StoreError, StoreResult};
use crate::corpus::{Document, Provenance};
use crate::ids::{DocumentId, RunId, ShardId, StageId};
use crate::python::Snippet;

/// A shard as the database knows it.
#[derive(Clone, Debug, FromRow)]
pub struct ShardRow {
    /// Identifier.
    pub id: ShardId,
    /// Name within its stage.
    pub name: String,
    /// Next entry to read.
    pub cursor: i64,
    /// Whether its last entry was read.
    pub finished: bool,
    /// Size when it was first seen.
    pub bytes: i64,
    /// Repository of its documents.
    pub repository: String,
    /// Commit or version.
    pub revision: Option<String>,
    /// SPDX identifier.
    pub licence: Option<String>,
    /// Licence file.
    pub licence_path: Option<String>,
}

/// A shard to be entered.
#[derive(Clone, Debug)]
pub struct NewShard {
    /// Name within its stage.
    pub name: String,
    /// dir, archive or jsonl.
    pub kind: &'static str,
    /// Size on disk.
    pub bytes: u64,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// A document with its signals, on its way into the database.
#[derive(Debug)]
pub struct NewDocument {
    /// Identifier, from [`Store::document_ids`].
    pub id: DocumentId,
    /// Its shard.
    pub shard: ShardId,
    /// As read.
    pub document: Document,
    /// The shard's or its own.
    pub provenance: Provenance,
    /// See `documents.content_hash`.
    pub content_hash: [u8; 16],
    /// See `corpus::signals`.
    pub signals: crate::corpus::Signals,
    /// Syntax errors.
    pub parse_errors: u32,
}

/// A row of `rejections`.
#[derive(Clone, Debug, Default)]
pub struct Rejection {
    /// The stage that rejects.
    pub stage: Option<StageId>,
    /// Shard and entry, where the entry could not be read.
    pub entry: Option<(ShardId, u64)>,
    /// The document.
    pub document: Option<DocumentId>,
    /// Path.
    pub path: String,
    /// Reason.
    pub class: String,
    /// Reason in words.
    pub message: String,
    /// The document that was kept, and the similarity.
    pub kept: Option<(DocumentId, f32)>,
}

/// One transaction's worth of a chain.
#[derive(Debug, Default)]
pub struct ChainBatch {
    /// New documents, ascending.
    pub documents: Vec<NewDocument>,
    /// Rejected entries, documents and snippets.
    pub rejections: Vec<Rejection>,
    /// Sketches of kept documents.
    pub sketches: Vec<(StageId, DocumentId, Vec<u8>)>,
    /// Snippets, each with its stage, document and order in it.
    pub snippets: Vec<(StageId, DocumentId, u32, Snippet)>,
    /// Cursors of shards: from, to, and whether the shard has ended.
    pub cursors: Vec<(ShardId, u64, u64, bool)>,
    /// Positions of the stages: from, to.
    pub positions: Vec<(StageId, DocumentId, DocumentId)>,
}

const DOCUMENTS: &str = "documents (id, stage_id, shard_id, entry, repository, revision, path, licence, licence_path, \
    content, content_hash, bytes, lines, longest_line, mean_line, alphanumeric_share, comment_share, generated, \
    parse_errors)";
const SNIPPETS: &str = "snippets (stage_id, document_id, ordinal, unit, name, qualified_name, start_line, end_line, \
    signature, docstring, imports, text, token_estimate)";
const REJECTIONS: &str = "rejections (run_id, stage_id, shard_id, entry, document_id, path, class, message, \
    kept_document_id, similarity)";

impl Store {
    /// Enters shards that are new to `stage`, after those it has, and returns all of them by name.
    pub async fn enter_shards(&self, stage: StageId, shards: &[NewShard]) -> StoreResult<HashMap<String, ShardRow>> {
        self.retrying(|| async {
            let mut tx = self.pool().begin().await?;
            for shard in shards {
                sqlx::query(
                    "insert into shards (stage_id, ordinal, name, kind, bytes, repository, revision, licence, licence_path)
                     select $1, coalesce(max(ordinal) + 1, 0), $2, $3, $4, $5, $6, $7, $8 from shards where stage_id = $1
                     on conflict (stage_id, name) do nothing",
                )
                .bind(stage)
                .bind(&shard.name)
                .bind(shard.kind)
                .bind(shard.bytes as i64)
                .bind(&shard.provenance.repository)
                .bind(&shard.provenance.revision)
                .bind(&shard.provenance.licence)
                .bind(&shard.provenance.licence_path)
                .execute(&mut *tx)
                .await?;
            }
            tx.commit().await
        }).await?;
        self.shards(stage).await
    }

    /// Shards of an ingest stage, by name.
    pub async fn shards(&self, stage: StageId) -> StoreResult<HashMap<String, ShardRow>> {
        let rows: Vec<ShardRow> = self
            .retrying(|| async {
                sqlx::query_as(
                "select id, name, cursor, finished_at is not null as finished, bytes, repository, revision, licence,
                            licence_path from shards where stage_id = $1 order by ordinal",
            )
            .bind(stage)
            .fetch_all(self.pool())
            .await
            })
            .await?;
        Ok(rows.into_iter().map(|row| (row.name.clone(), row)).collect())
    }

    /// The next `count` identifiers of documents, ascending.
    pub async fn document_ids(&self, count: usize) -> StoreResult<Vec<DocumentId>> {
        self.retrying(|| async {
            sqlx::query_scalar("select nextval('documents_id_seq') from generate_series(1, $1) order by 1")
                .bind(count as i32)
                .fetch_all(self.pool())
                .await
        })
        .await
    }

    /// The last document of an ingest stage; 0 if it has none.
    pub async fn last_document(&self, ingest: StageId) -> StoreResult<DocumentId> {
        self.retrying(|| async {
            sqlx::query_scalar("select coalesce(max(id), 0) from documents where stage_id = $1")
                .bind(ingest)
                .fetch_one(self.pool())
                .await
        })
        .await
    }

    /// Commits a batch; documents belong to `stage`.
    ///
    /// # Errors
    /// [`StoreError::Overtaken`] if a shard or stage is not where the batch starts: another process has been at it, and
    /// nothing of the batch was kept.
    pub async fn commit_chain(&self, run: RunId, stage: Option<StageId>, batch: &ChainBatch) -> StoreResult<()> {
        let committed = self
            .retrying(|| async {
                let mut tx = self.pool().begin().await?;
                spare_foreign_keys(&mut tx).await?;
                if !move_on(&mut tx, batch).await? {
                    tx.rollback().await?;
                    return Ok(false);
                }
                if let Some(stage) = stage {
                    documents(&mut tx, stage, &batch.documents).await?;
                }
                rejections(&mut tx, run, &batch.rejections).await?;
                sketches(&mut tx, &batch.sketches).await?;
                snippets(&mut tx, &batch.snippets).await?;
                tx.commit().await?;
                Ok(true)
            })
            .await?;
        if committed { Ok(()) } else { Err(StoreError::Overtaken) }
    }

    /// Kept documents of a dedupe stage with their hashes and sketches, after `after`, in order.
    pub async fn sketches(
        &self,
        stage: StageId,
        after: DocumentId,
        rows: i64,
    ) -> StoreResult<Vec<(DocumentId, Vec<u8>, Vec<u8>)>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select k.document_id, d.content_hash, k.sketch from sketches k join documents d on d.id = k.document_id
                 where k.stage_id = $1 and k.document_id > $2 order by k.document_id limit $3",
            )
            .bind(stage)
            .bind(after)
            .bind(rows)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// Documents of `ingest` in (`after`, `until`] that none of `stages` has rejected, in order.
    pub async fn documents_between(
        &self,
        ingest: StageId,
        stages: &[StageId],
        after: DocumentId,
        until: DocumentId,
        rows: i64,
    ) -> StoreResult<Vec<StoredDocument>> {
        let stages: Vec<i64> = stages.iter().map(|id| id.0).collect();
        self.retrying(|| async {
            sqlx::query_as(
                "select d.id, d.path, d.content, d.bytes, d.lines, d.longest_line, d.mean_line,
                        d.alphanumeric_share, d.comment_share, d.generated, d.parse_errors, d.licence
                 from documents d
                 where d.stage_id = $1 and d.id > $2 and d.id <= $3
                   and not exists (select from rejections j where j.document_id = d.id and j.stage_id = any($4))
                 order by d.id limit $5",
            )
            .bind(ingest)
            .bind(after)
            .bind(until)
            .bind(&stages)
            .bind(rows)
            .fetch_all(self.pool())
            .await
        })
        .await
    }
}

/// A document as a later chain reads it back.
#[derive(Clone, Debug, FromRow)]
#[allow(missing_docs)] // the columns of `documents`
pub struct StoredDocument {
    pub id: DocumentId,
    pub path: String,
    pub content: String,
    pub bytes: i64,
    pub lines: i32,
    pub longest_line: i32,
    pub mean_line: f32,
    pub alphanumeric_share: f32,
    pub comment_share: f32,
    pub generated: Option<String>,
    pub parse_errors: i32,
    pub licence: Option<String>,
}

/// Leaves out the checks of foreign keys in this transaction, where the server lets us: they cost a third of the time.
/// Rows refer only to stages and shards that the transaction has locked, and to documents that it makes or that were
/// kept before; the program removes neither.
async fn spare_foreign_keys(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query(
        "select set_config('session_replication_role', 'replica', true) where current_setting('is_superuser') = 'on'",
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn move_on(connection: &mut PgConnection, batch: &ChainBatch) -> sqlx::Result<bool> {
    for (shard, from, to, finished) in &batch.cursors {
        let moved = sqlx::query(
            "update shards set cursor = $3, finished_at = case when $4 then now() end where id = $1 and cursor = $2
             and finished_at is null",
        )
        .bind(shard)
        .bind(*from as i64)
        .bind(*to as i64)
        .bind(finished)
        .execute(&mut *connection)
        .await?;
        if moved.rows_affected() != 1 {
            return Ok(false);
        }
    }
    for &(stage, from, to) in &batch.positions {
        if !advance(connection, stage, from, to).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn documents(connection: &mut PgConnection, stage: StageId, documents: &[NewDocument]) -> sqlx::Result<()> {
    if documents.is_empty() {
        return Ok(());
    }
    let mut rows = Copying::into(connection, DOCUMENTS).await?;
    for new in documents {
        let (document, signals, provenance) = (&new.document, &new.signals, &new.provenance);
        rows.row(|row| {
            row.int8(new.id.0)
                .int8(stage.0)
                .int8(new.shard.0)
                .int8(document.entry as i64)
                .text(&provenance.repository)
                .optional(provenance.revision.as_deref())
                .text(&document.path)
                .optional(provenance.licence.as_deref())
                .optional(provenance.licence_path.as_deref())
                .text(&document.content)
                .bytes(&new.content_hash)
                .int8(signals.bytes as i64)
                .int4(signals.lines as i32)
                .int4(signals.longest_line as i32)
                .float4(signals.mean_line)
                .float4(signals.alphanumeric_share)
                .float4(signals.comment_share)
                .optional(signals.generated)
                .int4(new.parse_errors as i32);
        })
        .await?;
    }
    rows.finish().await
}

async fn sketches(connection: &mut PgConnection, sketches: &[(StageId, DocumentId, Vec<u8>)]) -> sqlx::Result<()> {
    if sketches.is_empty() {
        return Ok(());
    }
    let mut rows = Copying::into(connection, "sketches (stage_id, document_id, sketch)").await?;
    for (stage, document, sketch) in sketches {
        rows.row(|row| {
            row.int8(stage.0).int8(document.0).bytes(sketch);
        })
        .await?;
    }
    rows.finish().await
}

async fn snippets(connection: &mut PgConnection, snippets: &[(StageId, DocumentId, u32, Snippet)]) -> sqlx::Result<()> {
    if snippets.is_empty() {
        return Ok(());
    }
    let mut rows = Copying::into(connection, SNIPPETS).await?;
    for (stage, document, ordinal, snippet) in snippets {
        rows.row(|row| {
            row.int8(stage.0)
                .int8(document.0)
                .int4(*ordinal as i32)
                .text(snippet.unit.as_str())
                .text(&snippet.name)
                .text(&snippet.qualified_name)
                .int4(snippet.start_line as i32)
                .int4(snippet.end_line as i32)
                .text(&snippet.signature)
                .optional(snippet.docstring.as_deref())
                .texts(&snippet.imports)
                .text(&snippet.text)
                .int4(snippet.token_estimate as i32);
        })
        .await?;
    }
    rows.finish().await
}

async fn rejections(connection: &mut PgConnection, run: RunId, rejections: &[Rejection]) -> sqlx::Result<()> {
    if rejections.is_empty() {
        return Ok(());
    }
    let mut rows = Copying::into(connection, REJECTIONS).await?;
    for rejection in rejections {
        rows.row(|row| {
            row.int8(run.0);
            for id in [
                rejection.stage.map(|id| id.0),
                rejection.entry.map(|(shard, _)| shard.0),
                rejection.entry.map(|(_, entry)| entry as i64),
                rejection.document.map(|id| id.0),
            ] {
                match id {
                    Some(id) => row.int8(id),
                    None => row.null(),
                };
            }
            row.text(&rejection.path).text(&rejection.class).text(&rejection.message);
            match rejection.kept {
                Some((kept, similarity)) => row.int8(kept.0).float4(similarity),
                None => row.null().null(),
            };
        })
        .await?;
    }
    rows.finish().await
}

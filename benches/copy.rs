//! Measures rows of documents and snippets into Postgres, as the source chain commits them, against a bare `COPY` of
//! the same rows into tables without keys or indexes.
//!
//! ```text
//! cargo bench --bench copy -- FOLDER      # or CODEPMP_BENCH_ARCHIVES=FOLDER
//! ```

mod support;

use std::time::Instant;

use codepmp::corpus::{Document, Provenance, signals};
use codepmp::dedupe::ContentHash;
use codepmp::ids::{DocumentId, RunId, ShardId, StageId};
use codepmp::python::{Limits, Parser, Unit};
use codepmp::store::Store;
use codepmp::store::chain::{ChainBatch, NewDocument, NewShard};
use codepmp::store::runs::NewRun;
use codepmp::store::stages::NewStage;
use futures::TryStreamExt as _;
use serde_json::json;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPoolCopyExt as _;
use support::{corpus, database, head, median, row, runtime, say};

const ROUNDS: usize = 3;
const TEXT_BYTES: usize = 30_000_000;
const BATCH_BYTES: usize = 4 << 20;

fn main() -> support::Result<()> {
    runtime()?.block_on(compare())
}

async fn compare() -> support::Result<()> {
    let dir = database::folder()?;
    let (database, store) = database::open(dir.path()).await?;
    let mut texts = corpus::planted(&corpus::folder())?;
    let mut room = TEXT_BYTES;
    texts.retain(|text| {
        room = room.saturating_sub(text.len());
        room > 0
    });
    let (mut chain, mut bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (run, stages, shard) = enter(&store, round).await?;
        let batches = batches(&store, &texts, stages, shard).await?;
        let rows: usize = batches.iter().map(|batch| batch.documents.len() + batch.snippets.len()).sum();
        let start = Instant::now();
        for batch in &batches {
            store.commit_chain(run, Some(stages[0]), batch).await?;
        }
        chain.push(rows as f64 / start.elapsed().as_secs_f64());
        bare.push(rows as f64 / copy(&store, stages).await?);
        let last = chain.len() - 1;
        say(format!(
            "round {round}: {rows} rows, chain {:.0} rows/s, bare COPY {:.0} rows/s",
            chain[last], bare[last]
        ))?;
    }
    head()?;
    row("documents and snippets against bare COPY", median(chain), median(bare), "rows/s", "50 %")?;
    database.close().await;
    Ok(())
}

async fn enter(store: &Store, round: usize) -> support::Result<(RunId, [StageId; 2], ShardId)> {
    let mut stages = [StageId(0); 2];
    for (stage, kind) in stages.iter_mut().zip(["ingest", "parse"]) {
        let new = NewStage {
            fingerprint: format!("{kind} {round}"),
            kind: kind.to_owned(),
            name: kind.to_owned(),
            settings: json!({}),
            inputs: Vec::new(),
            model: None,
            prompt_fingerprint: None,
            sampling: None,
        };
        *stage = store.register_stage(&new).await?;
    }
    let run = NewRun { pipeline: "copy".into(), file: String::new(), definition: String::new(), options: json!({}) };
    let run = store.enter_run(&run, &[]).await?;
    let shard = NewShard { name: "texts".into(), kind: "jsonl", bytes: 0, provenance: Provenance::default() };
    let shards = store.enter_shards(stages[0], &[shard]).await?;
    let shard = shards.get("texts").ok_or("the shard is not there")?.id;
    Ok((run, stages, shard))
}

/// All rows, made beforehand so that only committing is measured.
async fn batches(
    store: &Store,
    texts: &[String],
    [ingest, parse]: [StageId; 2],
    shard: ShardId,
) -> support::Result<Vec<ChainBatch>> {
    let ids: Vec<DocumentId> = store.document_ids(texts.len()).await?;
    let mut parser = Parser::new();
    let limits = Limits { min_lines: 4, max_lines: 120, ..Limits::default() };
    let (mut batches, mut bytes) = (vec![ChainBatch::default()], 0);
    for ((entry, text), id) in (0..).zip(texts).zip(ids) {
        if bytes > BATCH_BYTES {
            bytes = 0;
            batches.push(ChainBatch::default());
        }
        bytes += text.len();
        let Some(batch) = batches.last_mut() else { continue };
        let parsed = parser.parse(text);
        let provenance = Provenance { repository: "owner/repository".into(), ..Provenance::default() };
        let path = format!("package/module{entry}.py");
        batch.documents.push(NewDocument {
            id,
            shard,
            document: Document { entry, path, content: text.clone(), provenance: None },
            provenance,
            content_hash: ContentHash::of(text).to_bytes(),
            signals: signals(text, parsed.comment_bytes()),
            parse_errors: parsed.errors(),
        });
        let snippets = parsed.snippets(text, &[Unit::Function, Unit::Method], &limits);
        batch.snippets.extend((0..).zip(snippets).map(|(ordinal, snippet)| (parse, id, ordinal, snippet)));
    }
    let _ = ingest;
    Ok(batches)
}

/// Seconds that a bare `COPY` of the same rows takes, sent in the pieces in which the server gave them.
async fn copy(store: &Store, [ingest, parse]: [StageId; 2]) -> support::Result<f64> {
    let mut seconds = 0.0;
    for (table, stage) in [("documents", ingest), ("snippets", parse)] {
        let out =
            format!("copy (select * from {table} where stage_id = {stage} order by id) to stdout (format binary)");
        let pieces: Vec<_> = store.pool().copy_out_raw(&out).await?.try_collect().await?;
        for statement in
            [format!("drop table if exists bare_{table}"), format!("create table bare_{table} (like {table})")]
        {
            sqlx::query(AssertSqlSafe(statement)).execute(store.pool()).await?;
        }
        let start = Instant::now();
        let mut into = store.pool().copy_in_raw(&format!("copy bare_{table} from stdin (format binary)")).await?;
        for together in pieces.chunks(1000) {
            into.send(together.concat()).await?;
        }
        into.finish().await?;
        seconds += start.elapsed().as_secs_f64();
    }
    Ok(seconds)
}

//! What the database has of a stage, for `plan`.

use super::{Store, StoreResult};

/// Rows of a stage by its fingerprint.
#[derive(Clone, Copy, Debug, Default, sqlx::FromRow, serde::Serialize)]
pub struct StageProgress {
    /// Whether a stage with this fingerprint was ever run.
    pub known: bool,
    /// Whether a stage of this name and kind was run with other settings.
    pub other_settings: bool,
    /// Whether its last run went to its end, and it has no rows waiting.
    pub ended: bool,
    /// Rows that it made.
    pub rows: i64,
    /// Rows that wait for a model.
    pub waiting: i64,
    /// Rows that are out in a batch.
    pub batched: i64,
    /// Rows that it rejected.
    pub rejected: i64,
}

impl StageProgress {
    /// fresh, partial, stale (rows of other settings only) or missing.
    pub fn word(&self) -> &'static str {
        match self {
            Self { known: true, ended: true, .. } => "fresh",
            Self { known: true, .. } => "partial",
            Self { other_settings: true, .. } => "stale",
            Self { .. } => "missing",
        }
    }
}

impl Store {
    /// What the database has of the stage with that fingerprint.
    pub async fn stage_progress(&self, fingerprint: &str, name: &str, kind: &str) -> StoreResult<StageProgress> {
        self.retrying(|| async {
            sqlx::query_as(
                "with me as (select id from stages where fingerprint = $1),
                 open as (select count(*) filter (where state <> 'batched') as waiting,
                                 count(*) filter (where state = 'batched') as batched
                          from tasks join me on me.id = stage_id where state in ('ready', 'leased', 'batched'))
                 select exists (select from run_stages join me on me.id = stage_id where state <> 'skipped') as known,
                        exists (select from stages s join run_stages r on r.stage_id = s.id
                                where s.name = $2 and s.kind = $3 and s.fingerprint <> $1 and r.state <> 'skipped') as other_settings,
                        coalesce((select state = 'done' from run_stages join me on me.id = stage_id
                                  where state <> 'skipped' order by run_id desc limit 1), false)
                            and (select waiting + batched from open) = 0 as ended,
                        case $3 when 'ingest' then (select count(*) from documents join me on me.id = stage_id)
                                when 'dedupe' then (select count(*) from sketches join me on me.id = stage_id)
                                when 'parse' then (select count(*) from snippets join me on me.id = stage_id)
                                when 'describe' then (select count(*) from descriptions join me on me.id = stage_id)
                                when 'generate' then (select count(*) from completions join me on me.id = stage_id)
                                                     + (select count(*) from samples join me on me.id = stage_id)
                                when 'questions' then (select count(*) from questions join me on me.id = stage_id)
                                when 'source' then (select count(*) from completions join me on me.id = stage_id)
                                when 'pair' then (select count(*) from pairs join me on me.id = stage_id)
                                when 'judge' then (select count(*) from judgements join me on me.id = stage_id)
                                when 'decontaminate' then (select count(distinct pair_id) from contamination
                                                           join me on me.id = stage_id)
                                when 'train' then (select count(*) from training_runs join me on me.id = stage_id
                                                   where state = 'done')
                                when 'evaluate' then (select count(*) from evaluations join me on me.id = stage_id)
                                when 'sample_efficiency' then (select count(distinct (arm, share, seed, data_mark, test_mark))
                                                               from curve_points join me on me.id = stage_id)
                                when 'scaling' then (select count(distinct (arm, step, seed, data_mark, test_mark))
                                                     from curve_points join me on me.id = stage_id)
                                else 0 end as rows,
                        (select waiting from open) as waiting,
                        (select batched from open) as batched,
                        (select count(*) from rejections join me on me.id = stage_id where retried_at is null) as rejected",
            )
            .bind(fingerprint)
            .bind(name)
            .bind(kind)
            .fetch_one(self.pool())
            .await
        }).await
    }
}

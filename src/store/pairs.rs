//! Joining two roles of completions into pairs.

use sqlx::FromRow;

use super::{Store, StoreResult};
use crate::ids::{CompletionId, DescriptionId, DocumentId, RunId, SnippetId, StageId};

/// Two completions of one description, not paired yet.
#[derive(Clone, Debug, FromRow)]
pub struct Candidate {
    /// The description.
    pub description_id: DescriptionId,
    /// Its text.
    pub description: String,
    /// The snippet.
    pub snippet_id: SnippetId,
    /// The document.
    pub document_id: DocumentId,
    /// Repository, which decides the split.
    pub repository: String,
    /// Path of the document.
    pub path: String,
    /// Sample number.
    pub sample: i32,
    /// Completion of the strong side.
    pub chosen_id: CompletionId,
    /// Its text.
    pub chosen: String,
    /// Completion of the weak side.
    pub rejected_id: CompletionId,
    /// Its text.
    pub rejected: String,
}

/// A pair with its signals, or why there is none.
#[derive(Clone, Debug)]
pub enum Judged {
    /// A row of `pairs`.
    Pair {
        /// Rendered prompt.
        prompt: String,
        /// train or test.
        split: &'static str,
        /// Whether each side parses.
        valid: (bool, bool),
        /// Chosen over rejected, in characters.
        length_ratio: f32,
        /// 0 to 1.
        similarity: f32,
    },
    /// A row of `rejections`.
    Rejected {
        /// Reason.
        class: &'static str,
        /// In words, with values.
        message: String,
    },
}

impl Store {
    /// Candidates after (`after`), in order; those that `stage` has paired or rejected are left out.
    pub async fn pair_candidates(
        &self,
        stage: StageId,
        chosen: StageId,
        rejected: StageId,
        after: (DescriptionId, i32),
        rows: i64,
    ) -> StoreResult<Vec<Candidate>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select c.description_id, e.text as description, e.snippet_id, s.document_id, d.repository, d.path, c.sample,
                        c.id as chosen_id, c.text as chosen, r.id as rejected_id, r.text as rejected
                 from completions c
                 join completions r on r.stage_id = $3 and r.description_id = c.description_id and r.sample = c.sample
                 join descriptions e on e.id = c.description_id
                 join snippets s on s.id = e.snippet_id
                 join documents d on d.id = s.document_id
                 where c.stage_id = $2 and (c.description_id, c.sample) > ($4, $5)
                   and not exists (select from pairs p where p.stage_id = $1
                        and p.description_id = c.description_id and p.sample = c.sample)
                   and not exists (select from rejections j where j.stage_id = $1 and j.document_id = s.document_id
                        and j.description_id = c.description_id and j.sample = c.sample)
                 order by c.description_id, c.sample limit $6",
            )
            .bind(stage)
            .bind(chosen)
            .bind(rejected)
            .bind(after.0)
            .bind(after.1)
            .bind(rows)
            .fetch_all(self.pool())
            .await
        }).await
    }

    /// Commits judged candidates.
    pub async fn commit_pairs(&self, run: RunId, stage: StageId, judged: &[(Candidate, Judged)]) -> StoreResult<()> {
        self.retrying(|| async {
            let mut tx = self.pool().begin().await?;
            for (candidate, judged) in judged {
                let Judged::Rejected { class, message } = judged else { continue };
                sqlx::query(
                    "insert into rejections (run_id, stage_id, document_id, snippet_id, description_id, sample, path, class, message)
                     select $1, $2, $3, $4, $5, $6, $7, $8, $9 where not exists (select from rejections j where j.stage_id = $2
                         and j.document_id = $3 and j.description_id = $5 and j.sample = $6)",
                )
                .bind(run)
                .bind(stage)
                .bind(candidate.document_id)
                .bind(candidate.snippet_id)
                .bind(candidate.description_id)
                .bind(candidate.sample)
                .bind(&candidate.path)
                .bind(class)
                .bind(message)
                .execute(&mut *tx)
                .await?;
            }
            let mut columns = Columns::default();
            for (candidate, judged) in judged {
                columns.push(candidate, judged);
            }
            sqlx::query(
                "insert into pairs (stage_id, description_id, sample, chosen_id, rejected_id, prompt, split, chosen_valid,
                     rejected_valid, length_ratio, similarity)
                 select $1, * from unnest($2::bigint[], $3::int[], $4::bigint[], $5::bigint[], $6::text[], $7::text[],
                     $8::bool[], $9::bool[], $10::real[], $11::real[]) on conflict do nothing",
            )
            .bind(stage)
            .bind(&columns.description)
            .bind(&columns.sample)
            .bind(&columns.chosen)
            .bind(&columns.rejected)
            .bind(&columns.prompt)
            .bind(&columns.split)
            .bind(&columns.chosen_valid)
            .bind(&columns.rejected_valid)
            .bind(&columns.length_ratio)
            .bind(&columns.similarity)
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        }).await
    }

    /// Adds the snippet itself as the answer to each description that `stage` has none for; the number of new rows.
    pub async fn source_as_answer(&self, stage: StageId, descriptions: StageId, role: &str) -> StoreResult<u64> {
        self.retrying(|| async {
            let added = sqlx::query(
                "insert into completions (stage_id, description_id, sample, role, text, blocks)
                 select $1, e.id, 0, $3, s.text, 0 from descriptions e join snippets s on s.id = e.snippet_id
                 where e.stage_id = $2 order by e.id on conflict do nothing",
            )
            .bind(stage)
            .bind(descriptions)
            .bind(role)
            .execute(self.pool())
            .await?;
            Ok(added.rows_affected())
        })
        .await
    }
}

#[derive(Default)]
struct Columns<'c> {
    description: Vec<i64>,
    sample: Vec<i32>,
    chosen: Vec<i64>,
    rejected: Vec<i64>,
    prompt: Vec<&'c str>,
    split: Vec<&'c str>,
    chosen_valid: Vec<bool>,
    rejected_valid: Vec<bool>,
    length_ratio: Vec<f32>,
    similarity: Vec<f32>,
}

impl<'c> Columns<'c> {
    fn push(&mut self, candidate: &Candidate, judged: &'c Judged) {
        let Judged::Pair { prompt, split, valid, length_ratio, similarity } = judged else { return };
        self.description.push(candidate.description_id.0);
        self.sample.push(candidate.sample);
        self.chosen.push(candidate.chosen_id.0);
        self.rejected.push(candidate.rejected_id.0);
        self.prompt.push(prompt);
        self.split.push(split);
        self.chosen_valid.push(valid.0);
        self.rejected_valid.push(valid.1);
        self.length_ratio.push(*length_ratio);
        self.similarity.push(*similarity);
    }
}

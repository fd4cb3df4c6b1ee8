//! `contamination`: which pairs overlap with evaluation sets, and how far a stage has looked.

use std::collections::HashMap;

use sqlx::FromRow;

use super::stages::advance_to;
use super::{Store, StoreResult};
use crate::ids::{PairId, StageId};

/// An evaluation set that pairs are compared with.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, serde::Serialize)]
pub struct ReferenceSet {
    /// Name in the pipeline file.
    pub name: String,
    /// Its file.
    pub path: String,
    /// Hash over its texts.
    pub mark: String,
    /// Its items.
    pub items: i64,
    /// Texts that are compared.
    pub texts: i64,
}

/// The texts of a pair that may overlap with an evaluation set.
#[derive(Clone, Debug, FromRow)]
pub struct PairTexts {
    /// Identifier.
    pub id: PairId,
    /// What both sides answer.
    pub prompt: String,
    /// The better side.
    pub chosen: String,
    /// The worse side.
    pub rejected: String,
    /// The snippet that the pair was made from.
    pub snippet: String,
    /// That snippet's document.
    pub document_id: i64,
}

/// A row of `contamination`.
#[derive(Clone, Debug, PartialEq, FromRow, serde::Serialize)]
pub struct Contamination {
    /// The pair.
    pub pair_id: PairId,
    /// Its text: prompt, chosen, rejected, snippet or document.
    pub text: String,
    /// The evaluation set.
    pub set_name: String,
    /// ngram or near_duplicate.
    pub class: String,
    /// The item that overlaps most.
    pub item: String,
    /// Its field.
    pub field: String,
    /// Share of the item's n-grams, or estimated Jaccard similarity.
    pub similarity: f32,
    /// Items of the set that overlap.
    pub items: i32,
    /// The first words in common.
    pub excerpt: String,
}

/// Contaminated pairs by set and text.
#[derive(Clone, Debug, FromRow, serde::Serialize)]
pub struct ContaminationFigure {
    /// The evaluation set.
    pub set_name: String,
    /// The text of the pair.
    pub text: String,
    /// ngram or near_duplicate.
    pub class: String,
    /// Pairs.
    pub pairs: i64,
    /// Pairs of them in the train split.
    pub pairs_train: i64,
    /// Items that they overlap most with.
    pub items: i64,
}

const COLUMNS: &str = "pair_id, text, set_name, class, item, field, similarity, items, excerpt";

impl Store {
    /// Takes down which sets the stage compares with. Where one has changed, what was found is let go, and all pairs are
    /// looked at again. Returns the last pair that was looked at.
    pub async fn begin_contamination(&self, stage: StageId, sets: &[ReferenceSet]) -> StoreResult<PairId> {
        self.retrying(|| async {
            let mut tx = self.pool().begin().await?;
            let known: Vec<ReferenceSet> = sqlx::query_as(
                "select name, path, mark, items, texts from contamination_sets where stage_id = $1 order by name",
            )
            .bind(stage)
            .fetch_all(&mut *tx)
            .await?;
            let marks = |sets: &[ReferenceSet]| -> Vec<_> {
                let mut marks: Vec<_> = sets.iter().map(|set| (set.name.clone(), set.mark.clone())).collect();
                marks.sort();
                marks
            };
            if marks(&known) != marks(sets) {
                for statement in [
                    "delete from contamination where stage_id = $1",
                    "delete from contamination_sets where stage_id = $1",
                    "update stages set position = 0 where id = $1",
                ] {
                    sqlx::query(statement).bind(stage).execute(&mut *tx).await?;
                }
                for set in sets {
                    sqlx::query(
                        "insert into contamination_sets (stage_id, name, path, mark, items, texts)
                         values ($1, $2, $3, $4, $5, $6)",
                    )
                    .bind(stage)
                    .bind(&set.name)
                    .bind(&set.path)
                    .bind(&set.mark)
                    .bind(set.items)
                    .bind(set.texts)
                    .execute(&mut *tx)
                    .await?;
                }
            }
            let position =
                sqlx::query_scalar("select position from stages where id = $1").bind(stage).fetch_one(&mut *tx).await?;
            tx.commit().await?;
            Ok(position)
        })
        .await
    }

    /// The next pairs of a pair stage after `after`, in the order of their ids.
    pub async fn pair_texts(&self, pairs: StageId, after: PairId, rows: i64) -> StoreResult<Vec<PairTexts>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select p.id, p.prompt, c.text as chosen, r.text as rejected, s.text as snippet, s.document_id
                 from pairs p
                 join completions c on c.id = p.chosen_id
                 join completions r on r.id = p.rejected_id
                 join descriptions e on e.id = p.description_id
                 join snippets s on s.id = e.snippet_id
                 where p.stage_id = $1 and p.id > $2 order by p.id limit $3",
            )
            .bind(pairs)
            .bind(after)
            .bind(rows)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// The texts of documents, by id.
    pub async fn document_texts(&self, ids: &[i64]) -> StoreResult<HashMap<i64, String>> {
        let rows: Vec<(i64, String)> = self
            .retrying(|| async {
                sqlx::query_as("select id, content from documents where id = any($1)")
                    .bind(ids)
                    .fetch_all(self.pool())
                    .await
            })
            .await?;
        Ok(rows.into_iter().collect())
    }

    /// Commits what was found among the pairs up to `to`, and moves the stage there.
    pub async fn commit_contamination(&self, stage: StageId, to: PairId, found: &[Contamination]) -> StoreResult<()> {
        let text = |of: fn(&Contamination) -> &str| found.iter().map(of).collect::<Vec<_>>();
        self.retrying(|| async {
            let mut tx = self.pool().begin().await?;
            sqlx::query(
                "insert into contamination (stage_id, pair_id, text, set_name, class, item, field, similarity, items, excerpt)
                 select $1, * from unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::real[], $9::int[], $10::text[]) on conflict do nothing",
            )
            .bind(stage)
            .bind(found.iter().map(|row| row.pair_id.0).collect::<Vec<_>>())
            .bind(text(|row| &row.text))
            .bind(text(|row| &row.set_name))
            .bind(text(|row| &row.class))
            .bind(text(|row| &row.item))
            .bind(text(|row| &row.field))
            .bind(found.iter().map(|row| row.similarity).collect::<Vec<_>>())
            .bind(found.iter().map(|row| row.items).collect::<Vec<_>>())
            .bind(text(|row| &row.excerpt))
            .execute(&mut *tx)
            .await?;
            advance_to(&mut tx, stage, to.0).await?;
            tx.commit().await
        })
        .await
    }

    /// Pairs of a pair stage that are marked, in order: by the stages `by`, or by any stage if none is named.
    pub async fn contaminated(&self, pairs: StageId, by: &[StageId]) -> StoreResult<Vec<PairId>> {
        let by: Vec<i64> = by.iter().map(|id| id.0).collect();
        self.retrying(|| async {
            sqlx::query_scalar(
                "select distinct c.pair_id from contamination c join pairs p on p.id = c.pair_id
                 where p.stage_id = $1 and (cardinality($2::bigint[]) = 0 or c.stage_id = any($2)) order by 1",
            )
            .bind(pairs)
            .bind(&by)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// What the stages `stages` found, the largest overlaps first; `rows` at most.
    pub async fn contamination(&self, stages: &[StageId], rows: Option<i64>) -> StoreResult<Vec<Contamination>> {
        let statement = format!(
            "select {COLUMNS} from contamination where stage_id = any($1)
             order by similarity desc, pair_id, set_name, text, class limit $2"
        );
        let stages: Vec<i64> = stages.iter().map(|id| id.0).collect();
        self.retrying(|| async {
            sqlx::query_as(sqlx::AssertSqlSafe(statement.clone())).bind(&stages).bind(rows).fetch_all(self.pool()).await
        })
        .await
    }

    /// Numbers of what the stages `stages` found.
    pub async fn contamination_figures(&self, stages: &[StageId]) -> StoreResult<Vec<ContaminationFigure>> {
        let stages: Vec<i64> = stages.iter().map(|id| id.0).collect();
        self.retrying(|| async {
            sqlx::query_as(
                "select c.set_name, c.text, c.class, count(distinct c.pair_id) as pairs,
                        count(distinct c.pair_id) filter (where p.split = 'train') as pairs_train,
                        count(distinct c.item) as items
                 from contamination c join pairs p on p.id = c.pair_id
                 where c.stage_id = any($1) group by c.set_name, c.text, c.class order by 1, 2, 3",
            )
            .bind(&stages)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// The sets that the stages `stages` compared pairs with.
    pub async fn contamination_sets(&self, stages: &[StageId]) -> StoreResult<Vec<ReferenceSet>> {
        let stages: Vec<i64> = stages.iter().map(|id| id.0).collect();
        self.retrying(|| async {
            sqlx::query_as(
                "select distinct name, path, mark, items, texts from contamination_sets where stage_id = any($1)
                 order by name, path",
            )
            .bind(&stages)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// The decontaminate stages that have looked at pairs of a pair stage.
    pub async fn marking_stages(&self, pairs: StageId) -> StoreResult<Vec<StageId>> {
        self.retrying(|| async {
            sqlx::query_scalar(
                "select id from stages where kind = 'decontaminate' and $1 = any(inputs) and position > 0 order by id",
            )
            .bind(pairs)
            .fetch_all(self.pool())
            .await
        })
        .await
    }
}

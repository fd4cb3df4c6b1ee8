//! `scorings`, `evaluation_items` and their figures in `evaluations`: what a model thought of each item, so that figures and
//! comparisons need no new scoring.

use sqlx::FromRow;

use super::training::{NewEvaluation, ticket};
use super::{Store, StoreResult};
use crate::ids::{RunId, ScoringId, StageId, TrainingRunId};

/// A scoring to be kept.
#[derive(Clone, Debug)]
pub struct NewScoring {
    /// The run of the pipeline.
    pub run: Option<RunId>,
    /// The evaluate stage.
    pub stage: Option<StageId>,
    /// The training that made the model.
    pub training: Option<TrainingRunId>,
    /// Folder of the model.
    pub model: String,
    /// Tells one model from another.
    pub model_mark: String,
    /// Where the items came from.
    pub data: String,
    /// Tells one set of items from another.
    pub data_mark: String,
    /// Format of the data.
    pub format: String,
    /// What was measured.
    pub metric: String,
    /// Settings that decide rewards and figures.
    pub settings: serde_json::Value,
    /// Rows that made no item.
    pub left_out: u64,
    /// Texts with a reward.
    pub scored: u64,
    /// Texts without one.
    pub unscored: u64,
    /// Wall time.
    pub seconds: f64,
}

/// A row of `evaluation_items`.
#[derive(Clone, Debug, PartialEq, FromRow, serde::Serialize)]
pub struct ItemRow {
    /// The item's own identifier.
    pub key: String,
    /// Part of the benchmark.
    pub subset: String,
    /// Rewards of its texts; none where one could not be scored.
    pub rewards: Vec<Option<f32>>,
    /// Whether each of them is right.
    pub correct: Vec<bool>,
    /// The samples' answers in normal form.
    pub answers: Option<Vec<Option<String>>>,
    /// The right answer in normal form.
    pub gold: Option<String>,
}

/// A kept scoring, as far as others ask for it.
#[derive(Clone, Debug, FromRow, serde::Serialize)]
pub struct ScoringRow {
    /// Identifier.
    pub id: ScoringId,
    /// Folder of the model.
    pub model: String,
    /// The training that made the model.
    pub training_run_id: Option<TrainingRunId>,
    /// Where the items came from.
    pub data: String,
    /// Tells one set of items from another.
    pub data_mark: String,
    /// Format of the data.
    pub format: String,
    /// What was measured.
    pub metric: String,
    /// Settings that decide rewards and figures.
    pub settings: serde_json::Value,
}

const SCORING: &str = "select id, model, training_run_id, data, data_mark, format, metric, settings from scorings";

/// Items in one statement.
const PAGE: usize = 5000;

impl Store {
    /// Keeps a scoring with all its items and figures, in one transaction.
    pub async fn write_scoring(
        &self,
        new: &NewScoring,
        items: &[ItemRow],
        figures: &[NewEvaluation],
    ) -> StoreResult<ScoringId> {
        let ticket = ticket();
        self.retrying(|| async {
            let mut tx = self.pool().begin().await?;
            let inserted: Option<ScoringId> = sqlx::query_scalar(
                "insert into scorings (ticket, run_id, stage_id, training_run_id, model, model_mark, data, data_mark, format,
                     metric, settings, items, left_out, scored, unscored, seconds)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
                 on conflict (ticket) do nothing returning id",
            )
            .bind(&ticket)
            .bind(new.run)
            .bind(new.stage)
            .bind(new.training)
            .bind(&new.model)
            .bind(&new.model_mark)
            .bind(&new.data)
            .bind(&new.data_mark)
            .bind(&new.format)
            .bind(&new.metric)
            .bind(&new.settings)
            .bind(items.len() as i64)
            .bind(new.left_out as i64)
            .bind(new.scored as i64)
            .bind(new.unscored as i64)
            .bind(new.seconds)
            .fetch_optional(&mut *tx)
            .await?;
            // The commit whose reply was lost is the one that is there.
            let Some(id) = inserted else {
                return sqlx::query_scalar("select id from scorings where ticket = $1").bind(&ticket).fetch_one(&mut *tx).await;
            };
            for (page, rows) in items.chunks(PAGE).enumerate() {
                insert_items(&mut tx, id, page * PAGE, rows).await?;
            }
            for figure in figures {
                figure.insert(&super::training::ticket(), Some(id)).execute(&mut *tx).await?;
            }
            tx.commit().await?;
            Ok(id)
        })
        .await
    }

    /// The latest scoring of a model on a set of items with the same settings.
    pub async fn scoring_of(
        &self,
        model_mark: &str,
        data_mark: &str,
        metric: &str,
        settings: &serde_json::Value,
    ) -> StoreResult<Option<ScoringRow>> {
        let statement = format!(
            "{SCORING} where model_mark = $1 and data_mark = $2 and metric = $3 and settings = $4 order by id desc limit 1"
        );
        self.retrying(|| async {
            sqlx::query_as(sqlx::AssertSqlSafe(statement.clone()))
                .bind(model_mark)
                .bind(data_mark)
                .bind(metric)
                .bind(settings)
                .fetch_optional(self.pool())
                .await
        })
        .await
    }

    /// The latest scoring of each training that a stage made on a set of items.
    pub async fn scorings_of(&self, stage: StageId, data_mark: &str) -> StoreResult<Vec<ScoringRow>> {
        let columns = SCORING.replacen("select", "select distinct on (training_run_id)", 1);
        let statement = format!("{columns} where stage_id = $1 and data_mark = $2 order by training_run_id, id desc");
        self.retrying(|| async {
            sqlx::query_as(sqlx::AssertSqlSafe(statement.clone()))
                .bind(stage)
                .bind(data_mark)
                .fetch_all(self.pool())
                .await
        })
        .await
    }

    /// The scoring with that id.
    pub async fn scoring(&self, id: ScoringId) -> StoreResult<Option<ScoringRow>> {
        let statement = format!("{SCORING} where id = $1");
        self.retrying(|| async {
            sqlx::query_as(sqlx::AssertSqlSafe(statement.clone())).bind(id).fetch_optional(self.pool()).await
        })
        .await
    }

    /// The items of a scoring, in their order.
    pub async fn evaluation_items(&self, scoring: ScoringId) -> StoreResult<Vec<ItemRow>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select key, subset, rewards, correct, answers, gold from evaluation_items
                 where scoring_id = $1 order by ordinal",
            )
            .bind(scoring)
            .fetch_all(self.pool())
            .await
        })
        .await
    }
}

/// Postgres has no ragged arrays, so rows of different length travel as JSON.
async fn insert_items(
    tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    id: ScoringId,
    first: usize,
    rows: &[ItemRow],
) -> sqlx::Result<()> {
    // Infinite rewards have no JSON; they are written as what they rank like, the ends of the range.
    let finite = |reward: &Option<f32>| reward.filter(|r| !r.is_nan()).map(|r| r.clamp(f32::MIN, f32::MAX));
    let json: Vec<serde_json::Value> = (rows.iter())
        .map(|row| {
            let rewards: Vec<_> = row.rewards.iter().map(finite).collect();
            serde_json::json!({ "rewards": rewards, "answers": row.answers })
        })
        .collect();
    let text = |of: fn(&ItemRow) -> Option<&str>| {
        rows.iter().map(|row| of(row).map(|text| text.replace('\0', "\u{fffd}"))).collect::<Vec<_>>()
    };
    let marks: Vec<String> =
        rows.iter().map(|row| row.correct.iter().map(|c| if *c { '1' } else { '0' }).collect()).collect();
    let json: Vec<String> = json.iter().map(|value| value.to_string().replace("\\u0000", "\u{fffd}")).collect();
    sqlx::query(
        "insert into evaluation_items (scoring_id, ordinal, key, subset, gold, correct, rewards, answers)
         select $1, $2 + n - 1, key, subset, gold,
                array(select mark = '1' from regexp_split_to_table(marks, '') with ordinality m (mark, at)
                      where mark <> '' order by at),
                array(select value::real from jsonb_array_elements_text(body -> 'rewards') with ordinality r (value, at)
                      order by at),
                case when jsonb_typeof(body -> 'answers') = 'array' then
                    array(select value from jsonb_array_elements_text(body -> 'answers') with ordinality a (value, at)
                          order by at) end
         from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[]) with ordinality
              i (key, subset, gold, marks, body, n)",
    )
    .bind(id)
    .bind(first as i32)
    .bind(text(|row| Some(&row.key)))
    .bind(text(|row| Some(&row.subset)))
    .bind(text(|row| row.gold.as_deref()))
    .bind(marks)
    .bind(json)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::testing::TestDatabase;

    fn scoring() -> NewScoring {
        NewScoring {
            run: None,
            stage: None,
            training: None,
            model: "/m".into(),
            model_mark: "m1".into(),
            data: "d.jsonl".into(),
            data_mark: "d1".into(),
            format: "samples".into(),
            metric: "best_of_n".into(),
            settings: serde_json::json!({ "max_length": 8 }),
            left_out: 1,
            scored: 3,
            unscored: 1,
            seconds: 0.5,
        }
    }

    fn items() -> Vec<ItemRow> {
        let item = |key: &str, rewards: &[Option<f32>], answers: Option<Vec<Option<String>>>| ItemRow {
            key: key.into(),
            subset: "s".into(),
            rewards: rewards.to_vec(),
            correct: rewards.iter().map(|reward| reward.is_some_and(|r| r > 0.5)).collect(),
            gold: answers.is_some().then(|| "7".into()),
            answers,
        };
        vec![
            item(
                "a",
                &[Some(0.1), None, Some(-1.5e-7)],
                Some(vec![Some("\"7\", {}".into()), None, Some(String::new())]),
            ),
            item("b", &[Some(1.0)], None),
            item("c", &[], Some(Vec::new())),
        ]
    }

    #[tokio::test]
    async fn a_scoring_is_kept_with_its_items_and_found_by_model_data_and_settings() {
        let test = TestDatabase::new().await;
        let store = Store::from(test.database.clone());
        let id = store.write_scoring(&scoring(), &items(), &[]).await.unwrap();
        assert_eq!(store.evaluation_items(id).await.unwrap(), items());
        let settings = serde_json::json!({ "max_length": 8 });
        let found = store.scoring_of("m1", "d1", "best_of_n", &settings).await.unwrap().unwrap();
        assert_eq!((found.id, found.format.as_str()), (id, "samples"));
        assert_eq!(store.scoring(id).await.unwrap().unwrap().id, id);
        for (model, data, metric) in [("m2", "d1", "best_of_n"), ("m1", "d2", "best_of_n"), ("m1", "d1", "choice")] {
            assert!(store.scoring_of(model, data, metric, &settings).await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn many_items_keep_their_order_over_pages() {
        let test = TestDatabase::new().await;
        let store = Store::from(test.database.clone());
        let item = |n: usize| ItemRow {
            key: n.to_string(),
            rewards: vec![Some(n as f32)],
            correct: vec![n.is_multiple_of(2)],
            ..items()[1].clone()
        };
        let many: Vec<ItemRow> = (0..PAGE + 10).map(item).collect();
        let id = store.write_scoring(&scoring(), &many, &[]).await.unwrap();
        assert_eq!(store.evaluation_items(id).await.unwrap(), many);
    }
}

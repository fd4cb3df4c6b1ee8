//! `questions` of benchmarks, and the `samples` that models answered them with.

use sqlx::FromRow;

use super::{Store, StoreResult};
use crate::ids::StageId;

/// A question, as its file has it.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct QuestionRow {
    /// Order within the stage, from 0.
    pub ordinal: i32,
    /// The question's own identifier, else its number in the file.
    pub key: String,
    /// Part of the benchmark.
    pub subset: String,
    /// What is asked.
    pub prompt: String,
    /// The right answer; none for programs.
    pub answer: Option<String>,
    /// How answers are compared with it; none for programs.
    pub compare: Option<String>,
    /// Programs: the tests.
    pub test: Option<serde_json::Value>,
    /// Format of the file.
    pub format: String,
    /// The file.
    pub file: String,
    /// The line that it begins on, from 1.
    pub line: i64,
}

impl QuestionRow {
    /// Whether both ask the same and want the same, wherever they stand.
    pub fn asks_as(&self, other: &Self) -> bool {
        let what = |row: &Self| (row.key.clone(), row.subset.clone(), row.prompt.clone(), row.answer.clone());
        what(self) == what(other) && (&self.compare, &self.test) == (&other.compare, &other.test)
    }
}

/// A question with its samples.
#[derive(Clone, Debug, FromRow)]
pub struct Sampled {
    /// The question.
    #[sqlx(flatten)]
    pub question: QuestionRow,
    /// By sample number; none where there is no answer.
    pub texts: Vec<Option<String>>,
    /// Samples that are answered or have failed; the others are still to be asked for.
    pub ended: i64,
}

const COLUMNS: &str = "q.ordinal, q.key, q.subset, q.prompt, q.answer, q.compare, q.test, q.format, q.file, q.line";

impl Store {
    /// The questions of a stage, in their order.
    pub async fn questions(&self, stage: StageId) -> StoreResult<Vec<QuestionRow>> {
        let statement = format!("select {COLUMNS} from questions q where q.stage_id = $1 order by q.ordinal");
        self.retrying(|| async {
            sqlx::query_as(sqlx::AssertSqlSafe(statement.clone())).bind(stage).fetch_all(self.pool()).await
        })
        .await
    }

    /// Adds questions to a stage; those whose ordinal is there are passed over.
    pub async fn add_questions(&self, stage: StageId, rows: &[QuestionRow]) -> StoreResult<()> {
        fn column<'r, T>(rows: &'r [QuestionRow], of: impl Fn(&'r QuestionRow) -> T) -> Vec<T> {
            rows.iter().map(of).collect()
        }
        self.retrying(|| async {
            sqlx::query(
                "insert into questions (stage_id, ordinal, key, subset, prompt, answer, compare, test, format, file, line)
                 select $1, * from unnest($2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[],
                     $9::text[], $10::text[], $11::bigint[]) on conflict do nothing",
            )
            .bind(stage)
            .bind(column(rows, |row| row.ordinal))
            .bind(column(rows, |row| row.key.as_str()))
            .bind(column(rows, |row| row.subset.as_str()))
            .bind(column(rows, |row| row.prompt.as_str()))
            .bind(column(rows, |row| row.answer.as_deref()))
            .bind(column(rows, |row| row.compare.as_deref()))
            .bind(column(rows, |row| row.test.clone()))
            .bind(column(rows, |row| row.format.as_str()))
            .bind(column(rows, |row| row.file.as_str()))
            .bind(column(rows, |row| row.line))
            .execute(self.pool())
            .await
        })
        .await?;
        Ok(())
    }

    /// The questions of a stage with the `samples` that the generate stage `by` has of each, in their order.
    pub async fn sampled(&self, stage: StageId, by: StageId, samples: u32) -> StoreResult<Vec<Sampled>> {
        let statement = format!(
            "select {COLUMNS},
                    (select array_agg(a.text order by n) from generate_series(0, $3 - 1) n
                     left join samples a on a.stage_id = $2 and a.question_id = q.id and a.sample = n) as texts,
                    (select count(*) from tasks t where t.stage_id = $2 and t.input_id = q.id
                     and t.sample < $3 and t.state in ('done', 'rejected')) as ended
             from questions q where q.stage_id = $1 order by q.ordinal"
        );
        self.retrying(|| async {
            sqlx::query_as(sqlx::AssertSqlSafe(statement.clone()))
                .bind(stage)
                .bind(by)
                .bind(samples as i32)
                .fetch_all(self.pool())
                .await
        })
        .await
    }
}

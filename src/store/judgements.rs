//! Which pairs a judge model is shown, and the `judgements` that it gave.

use sqlx::FromRow;

use super::tasks::Follow;
use super::{Store, StoreResult};
use crate::ids::StageId;

/// Which part of the pairs a judge model is shown. A pair's draw follows from the seed and its prompt, so that the same pairs
/// are shown in every database, and a larger share has a smaller one's pairs.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct PairDraw {
    /// Share of the pairs, 0 to 1.
    pub share: f64,
    /// Pairs at most.
    pub limit: Option<u64>,
    /// Decides which.
    pub seed: u64,
}

impl PairDraw {
    /// About how many of `pairs` are drawn.
    pub fn of(&self, pairs: i64) -> i64 {
        let share = (self.share * pairs as f64).round() as i64;
        self.limit.map_or(share, |limit| share.min(i64::try_from(limit).unwrap_or(i64::MAX)))
    }
}

/// A verdict, as far as figures need it.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Verdict {
    /// Whether the chosen side was shown first.
    pub chosen_first: bool,
    /// first, second or tie.
    pub verdict: String,
}

/// A judge stage that looked at a pair stage's pairs.
#[derive(Clone, Debug, FromRow)]
pub struct JudgeStage {
    /// Identifier.
    pub id: StageId,
    /// Its name.
    pub name: String,
    /// The model asked.
    pub model: String,
    /// Rows without a verdict: the call failed, or the answer could not be read as one.
    pub failed: i64,
}

impl Store {
    /// Queues tasks for the pairs of `pairs` that are drawn, once in the life of `follow`; the number of them. To be called
    /// when all pairs are there.
    pub async fn feed_pairs(
        &self,
        stage: StageId,
        pairs: StageId,
        draw: PairDraw,
        follow: &mut Follow,
    ) -> StoreResult<u64> {
        if !self.look_once(follow).await? {
            return Ok(0);
        }
        let queued = self
            .retrying(|| async {
                sqlx::query(
                    "with drawn as (
                         select p.id, ('x' || left(md5($5::text || ' ' || p.sample || ' ' || p.prompt), 13))::bit(52)::bigint
                                      / (2.0::float8 ^ 52) as draw
                         from pairs p where p.stage_id = $2)
                     insert into tasks (stage_id, input_id, sample)
                     select $1, id, 0 from drawn
                     where draw < $3 and not exists (select from tasks t where t.stage_id = $1 and t.input_id = drawn.id)
                     order by draw, id
                     limit greatest($4 - (select count(*) from tasks where stage_id = $1), 0)
                     on conflict do nothing",
                )
                .bind(stage)
                .bind(pairs)
                .bind(draw.share)
                .bind(draw.limit.map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX)))
                .bind(draw.seed.to_string())
                .execute(self.pool())
                .await
            })
            .await?;
        Ok(queued.rows_affected())
    }

    /// All verdicts of a judge stage.
    pub async fn verdicts(&self, stage: StageId) -> StoreResult<Vec<Verdict>> {
        self.retrying(|| async {
            sqlx::query_as("select chosen_first, verdict from judgements where stage_id = $1 order by pair_id")
                .bind(stage)
                .fetch_all(self.pool())
                .await
        })
        .await
    }

    /// The judge stages that were shown pairs of this stage.
    pub async fn judge_stages(&self, pairs: StageId) -> StoreResult<Vec<JudgeStage>> {
        self.retrying(|| async {
            sqlx::query_as(
                "select s.id, s.name, s.model,
                        (select count(*) from rejections j where j.stage_id = s.id and j.retried_at is null) as failed
                 from stages s where s.kind = 'judge' and $1 = any (s.inputs)
                   and exists (select from tasks t where t.stage_id = s.id and t.state in ('done', 'rejected'))
                 order by s.id",
            )
            .bind(pairs)
            .fetch_all(self.pool())
            .await
        })
        .await
    }
}

//! How far judge models agree with the label of pairs.

use serde::Serialize;

use crate::eval::Estimate;
use crate::eval::bootstrap::mean_estimate;
use crate::ids::StageId;
use crate::store::judgements::{JudgeStage, Verdict};
use crate::store::{Store, StoreResult};

/// What a judge stage says of a pair stage's pairs; intervals are bootstraps over verdicts.
#[derive(Clone, Debug, Serialize)]
pub struct JudgeAgreement {
    /// The judge stage.
    pub stage: String,
    /// The model asked.
    pub model: String,
    /// Pairs without a verdict: the call failed, or the answer could not be read as one.
    pub failed: i64,
    /// Share of ties among all verdicts.
    pub ties: Option<Estimate>,
    /// Share of verdicts for the chosen side, ties left out.
    pub agreement: Option<Estimate>,
    /// The same where the chosen side was shown first.
    pub agreement_chosen_first: Option<Estimate>,
    /// The same where it was shown second: without a bias by position both are alike.
    pub agreement_chosen_second: Option<Estimate>,
    /// Share of verdicts for the answer shown first, ties left out; about 0.5 without a bias by position.
    pub first_share: Option<Estimate>,
}

impl JudgeAgreement {
    /// From all verdicts of a stage.
    fn of(stage: JudgeStage, verdicts: &[Verdict]) -> Self {
        let share = |metric: &str, of: &dyn Fn(&Verdict) -> Option<bool>| {
            let values: Vec<f64> = verdicts.iter().filter_map(of).map(|yes| f64::from(u8::from(yes))).collect();
            mean_estimate(metric, &values, 0)
        };
        let first = |row: &Verdict| (row.verdict != "tie").then(|| row.verdict == "first");
        let agrees = |row: &Verdict| first(row).map(|first| first == row.chosen_first);
        Self {
            stage: stage.name,
            model: stage.model,
            failed: stage.failed,
            ties: share("judge_ties", &|row| Some(row.verdict == "tie")),
            agreement: share("judge_agreement", &agrees),
            agreement_chosen_first: share("judge_agreement_chosen_first", &|row| {
                agrees(row).filter(|_| row.chosen_first)
            }),
            agreement_chosen_second: share("judge_agreement_chosen_second", &|row| {
                agrees(row).filter(|_| !row.chosen_first)
            }),
            first_share: share("judge_first_share", &first),
        }
    }
}

/// What judge stages say of the pairs of a stage: those among `of`, or all.
///
/// # Errors
/// When the database fails.
pub async fn judges(store: &Store, pairs: StageId, of: Option<&[StageId]>) -> StoreResult<Vec<JudgeAgreement>> {
    let mut found = Vec::new();
    for stage in store.judge_stages(pairs).await? {
        if of.is_none_or(|of| of.contains(&stage.id)) {
            let verdicts = store.verdicts(stage.id).await?;
            found.push(JudgeAgreement::of(stage, &verdicts));
        }
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ties_are_left_out_of_agreement_and_a_bias_by_position_shows() {
        let rows = |count: usize, chosen_first: bool, verdict: &str| {
            std::iter::repeat_n(Verdict { chosen_first, verdict: verdict.to_owned() }, count)
        };
        let verdicts: Vec<Verdict> = rows(40, true, "first")
            .chain(rows(10, true, "tie"))
            .chain(rows(30, false, "second"))
            .chain(rows(20, false, "first"))
            .collect();
        let stage = JudgeStage { id: StageId(1), name: "judge".into(), model: "m".into(), failed: 3 };
        let found = JudgeAgreement::of(stage.clone(), &verdicts);
        let value = |estimate: &Option<Estimate>| estimate.as_ref().map(|found| (found.value, found.n)).unwrap();
        assert_eq!(value(&found.ties), (0.1, 100));
        assert_eq!(value(&found.agreement), (70.0 / 90.0, 90));
        assert_eq!(value(&found.agreement_chosen_first), (1.0, 40));
        assert_eq!(value(&found.agreement_chosen_second), (0.6, 50));
        assert_eq!(value(&found.first_share), (60.0 / 90.0, 90));
        let agreement = found.agreement.unwrap();
        assert!(agreement.low < 0.72 && agreement.low > 0.6 && agreement.high > 0.83, "{agreement:?}");
        let none = JudgeAgreement::of(stage, &[]);
        assert!(none.agreement.is_none() && none.ties.is_none() && none.failed == 3);
    }
}

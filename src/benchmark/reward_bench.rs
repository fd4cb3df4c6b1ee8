//! RewardBench 2 (Malik et al. 2025): right answers to be ranked before wrong ones.

use super::{Item, Task};
use crate::records::{RecordResult, Row};

/// `id`, `prompt`, `chosen` and `rejected` (lists), `num_correct`, `total_completions`, `subset`. All but the subset Ties
/// have one right answer and three wrong ones; there, `id` is `ref:N` or `tied:N`.
pub(super) fn item(row: &Row) -> RecordResult<Item> {
    let (correct, wrong) = (row.some_texts("chosen")?, row.some_texts("rejected")?);
    let counts = [("num_correct", correct.len()), ("total_completions", correct.len() + wrong.len())];
    for (field, count) in counts {
        if row.get(field).is_some() && row.whole(field)? != count {
            return Err(row.wrong(field, format!("is {}, but the row has {count}", row.whole(field)?)));
        }
    }
    let (id, subset) = (row.name("id")?, row.text("subset")?);
    let is_ties = subset.eq_ignore_ascii_case("ties");
    let known = id.split_once(':').is_some_and(|(kind, _)| matches!(kind, "ref" | "tied"));
    if is_ties && !known {
        return Err(row.wrong("id", format!("is `{id}`; in the subset Ties it must be `ref:N` or `tied:N`")));
    }
    if !is_ties && correct.len() != 1 {
        return Err(row.wrong("chosen", format!("has {} answers; all subsets but Ties have one", correct.len())));
    }
    Ok(Item::new(id, subset, row.text("prompt")?, Task::Ranking { correct, wrong }))
}

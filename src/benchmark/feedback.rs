//! CodeUltraFeedback (Weyssow et al. 2024): four models' responses to an instruction, each rated by a judge.

use serde_json::Value;

use super::plain::key;
use super::{Item, Task};
use crate::records::{RecordResult, Row};

/// A pair of the best and the worst rated response; of several with one rating, the first, so that no chance is in it.
/// The binarized set has them ready. The reason, if the row makes no pair.
pub(super) fn item(row: &Row, number: usize) -> RecordResult<Result<Item, &'static str>> {
    let prompt = row.text("instruction")?;
    let subset = row.optional_text("preference")?.unwrap_or_default();
    let sides = if row.get("chosen").is_some() {
        Ok((row.text("chosen")?, row.text("rejected")?))
    } else {
        let rated = rated(row)?;
        let first = |best: fn(i64, i64) -> bool| {
            rated.iter().fold(None::<&(i64, String)>, |kept, next| match kept {
                Some(kept) if !best(next.0, kept.0) => Some(kept),
                _ => Some(next),
            })
        };
        match (first(|a, b| a > b), first(|a, b| a < b)) {
            (Some(best), Some(worst)) if best.0 > worst.0 => Ok((best.1.clone(), worst.1.clone())),
            (Some(_), Some(_)) => Err("all responses have one rating"),
            _ => Err("no response has a rating"),
        }
    };
    let id = key(row, number)?;
    Ok(sides.map(|(chosen, rejected)| Item::new(id, subset, prompt, Task::Pair { chosen, rejected })))
}

/// Ratings with their responses, in the order of the responses. A rating of `N/A` is none.
fn rated(row: &Row) -> RecordResult<Vec<(i64, String)>> {
    let member = |list: &str, at: usize, value: &Value, field: &str| {
        let way = format!("{list}[{at}].{field}");
        match value.get(field) {
            Some(value) => row.text_of(&way, value),
            None => Err(row.missing(&way, "a text")),
        }
    };
    let mut ratings = Vec::new();
    for (at, annotation) in row.list("annotations")?.iter().enumerate() {
        let way = format!("annotations[{at}].rating");
        let rating = match annotation.get("rating") {
            Some(Value::String(text)) if text.trim() == "N/A" => continue,
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(Value::Number(number)) => number.as_i64(),
            _ => None,
        };
        let rating = rating.ok_or_else(|| row.wrong(&way, "must be a whole number or N/A".to_owned()))?;
        ratings.push((member("annotations", at, annotation, "model")?, rating));
    }
    let mut rated = Vec::new();
    for (at, response) in row.list("responses")?.iter().enumerate() {
        let model = member("responses", at, response, "model")?;
        if let Some((_, rating)) = ratings.iter().find(|(rated, _)| *rated == model) {
            rated.push((*rating, member("responses", at, response, "response")?));
        }
    }
    Ok(rated)
}

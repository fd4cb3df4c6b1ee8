//! Measurements put together: models that differ by their seed alone, and trainings beside the one that they are compared
//! with.

use serde::Serialize;
use serde_json::Value;

use crate::store::report::Evaluation;

/// What an interval covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// Other items: the interval of the only model.
    Items,
    /// Other seeds and other items: the bootstrap of [`crate::eval::compare::seeds`].
    SeedsAndItems,
    /// The smallest and the largest value among seeds: no interval of anything.
    Range,
}

/// Final measurements of models that differ by their seed alone.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The evaluate stage.
    pub stage: String,
    /// The model's train stage, or its folder.
    pub model: String,
    /// What was measured on.
    pub data: String,
    /// What was measured.
    pub metric: String,
    /// Mean over the seeds.
    pub value: f64,
    /// Lower end of the interval that `over` names.
    pub low: f64,
    /// Upper end, likewise.
    pub high: f64,
    /// What the interval covers.
    pub over: Over,
    /// Standard deviation of the seeds' values, where the stage has told it.
    pub spread: Option<f64>,
    /// Models.
    pub seeds: usize,
    /// Items each was measured on.
    pub n: i64,
    /// One for each model: seed, value, interval.
    pub each: Vec<Single>,
}

/// One model's measurement.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Single {
    /// Seed of its training.
    pub seed: Option<i64>,
    /// The value.
    pub value: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
}

/// A training beside the baseline of its evaluate stage, item by item; several seeds of either by their mean.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// The evaluate stage.
    pub stage: String,
    /// What both were measured on.
    pub data: String,
    /// What was measured.
    pub metric: String,
    /// The train stage.
    pub model: String,
    /// That of the baseline.
    pub baseline: String,
    /// Value of the training's models.
    pub first: Option<f64>,
    /// Value of the baseline's.
    pub second: Option<f64>,
    /// The first less the second.
    pub difference: f64,
    /// Lower end of its interval over the items.
    pub low: f64,
    /// Upper end of it.
    pub high: f64,
    /// Items on which the first is better.
    pub better: Option<i64>,
    /// Items on which it is worse.
    pub worse: Option<i64>,
    /// Items.
    pub n: i64,
}

/// What a stage's rows about several models begin with, or end with.
const MEAN: &str = "mean_";
const DIFFERENCE: &str = "_difference";

/// Whether a row is of several models, not of one.
fn of_several(row: &Evaluation, field: &str) -> bool {
    row.training_run_id.is_none() && row.seed.is_none() && row.details.get(field).is_some()
}

/// Puts seeds together, with the interval over seeds and items where the stage has computed it. Measurements in the course
/// of a training are left to its own curve, comparisons to [`compared`].
pub fn measured(evaluations: &[Evaluation]) -> Vec<Measured> {
    let mut groups: Vec<Measured> = Vec::new();
    let last = evaluations.iter().filter(|row| row.step.is_none() && !of_several(row, "baseline"));
    let (means, single): (Vec<_>, Vec<_>) =
        last.partition(|row| row.metric.starts_with(MEAN) && of_several(row, "seeds"));
    for row in single {
        let stage = row.stage.clone().unwrap_or_default();
        let single = Single { seed: row.seed, value: row.value, low: row.low, high: row.high };
        let same = |group: &&mut Measured| {
            (&group.stage, &group.model, &group.data, &group.metric) == (&stage, &row.model, &row.data, &row.metric)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.each.push(single),
            None => groups.push(Measured {
                stage,
                model: row.model.clone(),
                data: row.data.clone(),
                metric: row.metric.clone(),
                value: 0.0,
                low: 0.0,
                high: 0.0,
                over: Over::Items,
                spread: None,
                seeds: 0,
                n: row.n,
                each: vec![single],
            }),
        }
    }
    for group in &mut groups {
        let values = group.each.iter().map(|single| single.value);
        group.seeds = group.each.len();
        let mean = |row: &&&Evaluation| {
            let seeds = row.details.get("seeds").and_then(Value::as_u64);
            (row.stage.as_deref().unwrap_or_default(), &row.model, &row.data, row.metric.strip_prefix(MEAN))
                == (&group.stage, &group.model, &group.data, Some(group.metric.as_str()))
                && seeds == Some(group.seeds as u64)
        };
        (group.value, group.low, group.high, group.over) = match (&group.each[..], means.iter().find(mean)) {
            ([only], _) => (only.value, only.low, only.high, Over::Items),
            (_, Some(row)) => {
                group.spread = row.details.get("spread").and_then(Value::as_f64);
                (row.value, row.low, row.high, Over::SeedsAndItems)
            }
            _ => (
                values.clone().sum::<f64>() / group.seeds as f64,
                values.clone().fold(f64::INFINITY, f64::min),
                values.fold(f64::NEG_INFINITY, f64::max),
                Over::Range,
            ),
        };
    }
    groups
}

/// Trainings beside the baselines of their evaluate stages.
pub fn compared(evaluations: &[Evaluation]) -> Vec<Compared> {
    let compare = |row: &Evaluation| {
        let metric = row.metric.strip_suffix(DIFFERENCE).filter(|_| of_several(row, "baseline"))?;
        let number = |field: &str| row.details.get(field);
        Some(Compared {
            stage: row.stage.clone().unwrap_or_default(),
            data: row.data.clone(),
            metric: metric.to_owned(),
            model: row.model.clone(),
            baseline: number("baseline").and_then(Value::as_str).unwrap_or_default().to_owned(),
            first: number("first").and_then(Value::as_f64),
            second: number("second").and_then(Value::as_f64),
            difference: row.value,
            low: row.low,
            high: row.high,
            better: number("better").and_then(Value::as_i64),
            worse: number("worse").and_then(Value::as_i64),
            n: row.n,
        })
    };
    evaluations.iter().filter_map(compare).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;

    pub fn evaluation(model: &str, seed: i64, metric: &str, value: f64) -> Evaluation {
        Evaluation {
            stage: Some("bench".into()),
            model: model.into(),
            training_run_id: None,
            seed: Some(seed),
            step: None,
            data: "set".into(),
            metric: metric.into(),
            value,
            low: value - 0.05,
            high: value + 0.05,
            confidence: 0.95,
            n: 100,
            details: Value::Null,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    fn of_several(model: &str, metric: &str, value: f64, details: Value) -> Evaluation {
        Evaluation { seed: None, details, ..evaluation(model, 0, metric, value) }
    }

    #[test]
    fn seeds_of_one_model_become_one_row_with_their_spread() {
        let during = Evaluation { step: Some(10), ..evaluation("a", 0, "accuracy", 0.1) };
        let rows = [("a", 0, 0.7), ("a", 1, 0.8), ("b", 0, 0.6)].map(|(m, s, v)| evaluation(m, s, "accuracy", v));
        let found = measured(&[rows.to_vec(), vec![during]].concat());
        let brief: Vec<_> = found.iter().map(|row| (row.model.as_str(), row.seeds, row.over)).collect();
        assert_eq!(brief, [("a", 2, Over::Range), ("b", 1, Over::Items)]);
        assert!((found[0].value - 0.75).abs() < 1e-12);
        assert!((found[0].low - 0.7).abs() < 1e-12 && (found[0].high - 0.8).abs() < 1e-12);
        assert!((found[1].low - 0.55).abs() < 1e-12 && (found[1].high - 0.65).abs() < 1e-12);
    }

    #[test]
    fn seeds_have_the_interval_over_seeds_and_items_that_their_stage_has_computed() {
        let both = [("a", 0, 0.7), ("a", 1, 0.8)].map(|(m, s, v)| evaluation(m, s, "accuracy", v)).to_vec();
        let mean = |seeds: u64| {
            let row = of_several("a", "mean_accuracy", 0.75, json!({ "seeds": seeds, "spread": 0.07 }));
            Evaluation { low: 0.61, high: 0.88, ..row }
        };
        let found = measured(&[both.clone(), vec![mean(2)]].concat());
        assert_eq!((found.len(), found[0].over, found[0].spread), (1, Over::SeedsAndItems, Some(0.07)));
        assert!((found[0].low - 0.61).abs() < 1e-12 && (found[0].high - 0.88).abs() < 1e-12);
        // One of an earlier number of seeds says nothing of these.
        assert_eq!(measured(&[both, vec![mean(3)]].concat())[0].over, Over::Range);
    }

    #[test]
    fn a_difference_is_a_comparison_and_no_measurement() {
        let details = json!({ "baseline": "fresh", "first": 0.8, "second": 0.6, "better": 30, "worse": 10, "seed": 0 });
        let rows = [
            evaluation("pmp", 0, "accuracy", 0.8),
            of_several("pmp", "accuracy_difference", 0.2, details),
            of_several("pmp", "mean_accuracy", 0.8, json!({ "seeds": 1 })),
        ];
        assert_eq!(measured(&rows).iter().map(|row| row.metric.as_str()).collect::<Vec<_>>(), ["accuracy"]);
        let found = compared(&rows);
        assert_eq!((found.len(), found[0].metric.as_str(), found[0].baseline.as_str()), (1, "accuracy", "fresh"));
        assert_eq!((found[0].better, found[0].second), (Some(30), Some(0.6)));
    }
}

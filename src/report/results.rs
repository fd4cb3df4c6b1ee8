//! Tables of measurements that may be compared.

use serde::Serialize;

use super::measured::{Measured, Over};

/// Measurements that may be compared: one metric on the same items.
#[derive(Serialize)]
pub struct ResultTable {
    stage: String,
    data: String,
    metric: String,
    n: i64,
    from: f64,
    to: f64,
    rule: Option<f64>,
    /// One model in each row.
    single: bool,
    /// What the intervals of several seeds cover, in words.
    seeds: &'static str,
    rows: Vec<ResultRow>,
}

/// A model in such a table; places are in percent of the drawn range.
#[derive(Serialize)]
pub struct ResultRow {
    model: String,
    seeds: usize,
    value: f64,
    low: f64,
    high: f64,
    at: String,
    low_at: String,
    high_at: String,
    each_at: Vec<String>,
}

/// Tables of what may be compared; points of curves are drawn as such.
pub fn results(measured: &[Measured]) -> Vec<ResultTable> {
    let plain: Vec<&Measured> = measured.iter().filter(|row| !row.metric.contains('@')).collect();
    let mut tables: Vec<ResultTable> = Vec::new();
    let same = |a: &Measured, b: &ResultTable| (&a.stage, &a.data, &a.metric) == (&b.stage, &b.data, &b.metric);
    for row in &plain {
        if tables.iter().any(|table| same(row, table)) {
            continue;
        }
        let group: Vec<&&Measured> = plain
            .iter()
            .filter(|other| (&other.stage, &other.data, &other.metric) == (&row.stage, &row.data, &row.metric))
            .collect();
        let ends = || {
            group.iter().flat_map(|row| {
                row.each.iter().flat_map(|one| [one.low, one.high, one.value]).chain([row.low, row.high])
            })
        };
        let (from, to) = (ends().fold(f64::INFINITY, f64::min), ends().fold(f64::NEG_INFINITY, f64::max));
        let is_share = row.metric.contains("accuracy");
        // Chance belongs into the picture, where it is known.
        let from = if is_share { from.min(0.5) } else { from };
        let place =
            |value: f64| if to > from { format!("{:.2}", 100.0 * (value - from) / (to - from)) } else { "50".into() };
        let rows = group.iter().map(|row| ResultRow {
            model: row.model.clone(),
            seeds: row.seeds,
            value: row.value,
            low: row.low,
            high: row.high,
            at: place(row.value),
            low_at: place(row.low),
            high_at: place(row.high),
            each_at: if row.seeds > 1 { row.each.iter().map(|one| place(one.value)).collect() } else { Vec::new() },
        });
        let rows: Vec<ResultRow> = rows.collect();
        tables.push(ResultTable {
            stage: row.stage.clone(),
            data: row.data.clone(),
            metric: row.metric.clone(),
            n: row.n,
            from,
            to,
            rule: is_share.then(|| if to > from { 100.0 * (0.5 - from) / (to - from) } else { 50.0 }),
            single: rows.iter().all(|row| row.seeds == 1),
            seeds: covered(&group),
            rows,
        });
    }
    tables
}

/// What the intervals of rows with several seeds cover.
fn covered(group: &[&&Measured]) -> &'static str {
    let any = |over: Over| group.iter().any(|row| row.over == over);
    match (any(Over::SeedsAndItems), any(Over::Range)) {
        (true, false) => "the line is the interval of that mean over seeds and items (pigeonhole bootstrap)",
        (true, true) => {
            "the line is the interval of that mean over seeds and items, or goes from the smallest to the largest seed"
        }
        (false, _) => "the line goes from the smallest to the largest seed",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use super::*;
    use crate::report::measured::Single;

    pub fn row(model: &str, values: &[f64]) -> Measured {
        let each: Vec<Single> =
            values.iter().map(|&value| Single { seed: Some(1), value, low: value - 0.1, high: value + 0.1 }).collect();
        let (low, high) = (each[0].low, each[0].high);
        let (stage, data, metric) = ("s".into(), "d".into(), "accuracy".into());
        Measured {
            stage,
            model: model.into(),
            data,
            metric,
            value: values[0],
            low,
            high,
            over: if each.len() > 1 { Over::Range } else { Over::Items },
            spread: None,
            seeds: each.len(),
            n: 9,
            each,
        }
    }

    #[test]
    fn a_table_draws_all_models_on_one_scale_with_chance_in_it() {
        let tables = results(&[row("a", &[0.7]), row("b", &[0.8, 0.9])]);
        assert_eq!((tables.len(), tables[0].rows.len(), tables[0].single), (1, 2, false));
        assert!((tables[0].from - 0.5).abs() < 1e-12 && (tables[0].to - 1.0).abs() < 1e-12);
        assert_eq!((tables[0].rows[0].at.as_str(), tables[0].rows[1].each_at.len()), ("40.00", 2));
        assert!(tables[0].rule.unwrap().abs() < 1e-9);
    }
}

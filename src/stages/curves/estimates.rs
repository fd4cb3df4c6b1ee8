//! What the seeds of a curve come to together at each place, and how arms differ there: from the items that were kept with the
//! points, so that intervals cover other seeds and other items.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::engine::Context;
use crate::eval::{Estimate, PairReward, accuracy};
use crate::ids::ScoringId;
use crate::stages::AnyStage;
use crate::stages::measuring::{ItemValues, Metric, differences, item_values, means};
use crate::store::curves::{CurveEstimate, LatestPoint};
use crate::store::evaluation::ItemRow;

/// Name of the loss on held-out pairs.
pub(super) const LOSS: &str = "rm_loss";

/// Writes the estimates that are missing: a mean for each place with several seeds, and how each arm of `compared` differs
/// from the arm beside it.
///
/// # Errors
/// When the database fails.
pub(super) async fn write(context: &Context<AnyStage>, compared: &[(String, String)]) -> anyhow::Result<()> {
    let (store, stage) = (&context.store, context.id());
    let points = store.latest_points(stage).await?;
    let known: HashSet<Vec<i64>> = store.estimated_points(stage).await?.into_iter().collect();
    // Places in the order of their first points; in each the points of every arm.
    let mut places: Vec<Vec<&LatestPoint>> = Vec::new();
    for point in &points {
        match places.iter_mut().find(|place| at(place[0]) == at(point)) {
            Some(place) => place.push(point),
            None => places.push(vec![point]),
        }
    }
    let mut items = Items { context, rows: HashMap::new() };
    let mut estimates = Vec::new();
    for place in places {
        let mut arms: BTreeMap<&str, Vec<&LatestPoint>> = BTreeMap::new();
        for point in place {
            arms.entry(&point.arm).or_default().push(point);
        }
        for own in arms.values().filter(|own| own.len() > 1 && !known.contains(&ids(own)) && alike(own)) {
            let found = means(&items.of(own).await?, 0).into_iter().next();
            estimates.extend(found.map(|found| estimate(own[0], None, &found.mean, ids(own))));
        }
        for (arm, baseline) in compared {
            let (Some(first), Some(second)) = (arms.get(arm.as_str()), arms.get(baseline.as_str())) else { continue };
            let both = [first.as_slice(), second.as_slice()].concat();
            let ids = [ids(first), ids(second)].concat();
            if known.contains(&ids) || !alike(&both) {
                continue;
            }
            let found = differences(&items.of(first).await?, &items.of(second).await?, 0).into_iter().next();
            estimates.extend(found.map(|found| estimate(first[0], Some(baseline.clone()), &found.difference, ids)));
        }
    }
    Ok(store.write_curve_estimates(stage, context.run, &estimates).await?)
}

/// Where a point lies, and of what metric it is.
fn at(point: &LatestPoint) -> (&str, Option<f64>, Option<i64>) {
    (&point.metric, point.share, point.step)
}

/// Identifiers, in ascending order as the points are.
fn ids(points: &[&LatestPoint]) -> Vec<i64> {
    points.iter().map(|point| point.id).collect()
}

/// Whether they were measured on the same items: points from before a change of the held-out ones may still stand beside newer.
fn alike(points: &[&LatestPoint]) -> bool {
    points.windows(2).all(|two| two[0].test_mark == two[1].test_mark)
}

fn estimate(of: &LatestPoint, baseline: Option<String>, found: &Estimate, points: Vec<i64>) -> CurveEstimate {
    let Estimate { value, low, high, n, .. } = *found;
    let (share, step, metric) = (of.share, of.step, of.metric.clone());
    CurveEstimate { arm: of.arm.clone(), baseline, share, step, metric, value, low, high, n, points }
}

/// Items of scorings, each read once.
struct Items<'c> {
    context: &'c Context<AnyStage>,
    rows: HashMap<ScoringId, Vec<ItemRow>>,
}

impl Items<'_> {
    /// The values of each point's own metric, by item.
    async fn of(&mut self, points: &[&LatestPoint]) -> anyhow::Result<Vec<ItemValues>> {
        let mut found = Vec::new();
        for point in points {
            if !self.rows.contains_key(&point.scoring_id) {
                let rows = self.context.store.evaluation_items(point.scoring_id).await?;
                self.rows.insert(point.scoring_id, rows);
            }
            found.push(values(&point.metric, &self.rows[&point.scoring_id]));
        }
        Ok(found)
    }
}

/// Values by item of the metric with this name; empty where the rows have none.
fn values(metric: &str, rows: &[ItemRow]) -> ItemValues {
    let of_pairs = |of: fn(PairReward) -> f64| {
        let value = |row: &ItemRow| pair(row).map(of).filter(|value| value.is_finite());
        vec![(metric.to_owned(), rows.iter().map(value).collect())]
    };
    match metric {
        "accuracy" => of_pairs(accuracy::win),
        "margin" => of_pairs(margin),
        LOSS => of_pairs(loss),
        _ => item_values(Metric::BestOfN, rows, 0).into_iter().filter(|(name, _)| name == metric).collect(),
    }
}

/// The rewards of a held-out pair; none where one of its sides did not fit.
pub(super) fn pair(row: &ItemRow) -> Option<PairReward> {
    match row.rewards[..] {
        [Some(chosen), Some(rejected)] => Some(PairReward { chosen, rejected }),
        _ => None,
    }
}

fn margin(pair: PairReward) -> f64 {
    f64::from(pair.chosen) - f64::from(pair.rejected)
}

/// `-log sigmoid(chosen - rejected)`, without overflow.
pub(super) fn loss(pair: PairReward) -> f64 {
    let lead = margin(pair);
    (-lead).max(0.0) + (-lead.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(rewards: &[Option<f32>]) -> ItemRow {
        ItemRow {
            key: "k".into(),
            subset: String::new(),
            rewards: rewards.to_vec(),
            correct: vec![true, false],
            answers: None,
            gold: None,
        }
    }

    #[test]
    fn a_metric_is_computed_from_the_items_that_were_kept() {
        let rows = [row(&[Some(1.0), Some(0.0)]), row(&[Some(2.0), None]), row(&[Some(0.5), Some(0.5)])];
        assert_eq!(values("accuracy", &rows)[0].1, [Some(1.0), None, Some(0.5)]);
        assert_eq!(values("margin", &rows)[0].1, [Some(1.0), None, Some(0.0)]);
        assert_eq!(values(LOSS, &rows)[0].1[2], Some(std::f64::consts::LN_2));
        let questions = [row(&[Some(0.1), Some(0.9)]), row(&[Some(0.9), Some(0.1)])];
        assert_eq!(values("best_of_n@2", &questions)[0].1, [Some(0.0), Some(1.0)]);
        assert!(values("best_of_n@4", &questions).is_empty());
    }
}

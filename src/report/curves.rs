//! Curves over measurements: over the number of samples, of pairs, of tokens.

use serde::Serialize;

use super::measured::{Measured, Over};
use crate::store::report::CurveMean;

/// What a curve runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CurveKind {
    /// Samples to choose from.
    BestOfN,
    /// Share of a set that a reward model was finetuned on, in percent.
    SampleEfficiency,
    /// Tokens that a model was pretrained on; pairs where nobody counted tokens.
    Scaling,
}

/// A plot's worth of curves.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// What it runs over.
    pub kind: CurveKind,
    /// The evaluate stage.
    pub stage: String,
    /// What was measured on.
    pub data: String,
    /// What was measured; of best-of-N, the model that chose.
    pub of: String,
    /// One line each.
    pub lines: Vec<Line>,
}

/// One line of a plot.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What it is of.
    pub name: String,
    /// In ascending order.
    pub points: Vec<Place>,
}

/// A point with its interval.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Place {
    /// Samples, percent, or tokens.
    pub x: f64,
    /// Mean over the seeds.
    pub y: f64,
    /// Lower end of the interval that `over` names.
    pub low: f64,
    /// Upper end, likewise.
    pub high: f64,
    /// What the interval covers.
    pub over: Over,
    /// Models.
    pub seeds: usize,
}

/// All curves that the measurements make.
pub fn curves(measured: &[Measured], means: &[CurveMean]) -> Vec<Curve> {
    let mut curves = best_of_n(measured);
    curves.extend(of_stages(means));
    curves
}

/// Metrics that end in `@N` are points over N samples; one plot for each model and set.
fn best_of_n(measured: &[Measured]) -> Vec<Curve> {
    let mut plots: Vec<Curve> = Vec::new();
    for group in measured {
        let Some((name, size)) = group.metric.split_once('@') else { continue };
        let Ok(size) = size.parse::<u32>() else { continue };
        let same = |plot: &Curve| (&plot.stage, &plot.data, &plot.of) == (&group.stage, &group.data, &group.model);
        let at = plots.iter().position(same).unwrap_or_else(|| {
            plots.push(Curve {
                kind: CurveKind::BestOfN,
                stage: group.stage.clone(),
                data: group.data.clone(),
                of: group.model.clone(),
                lines: Vec::new(),
            });
            plots.len() - 1
        });
        let Measured { value, low, high, over, seeds, .. } = *group;
        let point = Place { x: f64::from(size), y: value, low, high, over, seeds };
        add(&mut plots[at].lines, name, point);
    }
    plots
}

/// Curves that stages have drawn, one plot for each stage and metric, one line for what the points started from.
fn of_stages(means: &[CurveMean]) -> Vec<Curve> {
    let mut plots: Vec<Curve> = Vec::new();
    for mean in means {
        let (kind, x) = match mean.share {
            Some(share) => (CurveKind::SampleEfficiency, 100.0 * share),
            None => (CurveKind::Scaling, mean.tokens.unwrap_or(mean.pairs)),
        };
        let same = |plot: &Curve| (plot.kind, &plot.stage, &plot.of) == (kind, &mean.stage, &mean.metric);
        let at = plots.iter().position(same).unwrap_or_else(|| {
            let (stage, of) = (mean.stage.clone(), mean.metric.clone());
            plots.push(Curve { kind, stage, data: String::new(), of, lines: Vec::new() });
            plots.len() - 1
        });
        let (low, high, over) = match (mean.low.zip(mean.high), mean.seeds) {
            (Some((low, high)), 1) => (low, high, Over::Items),
            (Some((low, high)), _) => (low, high, Over::SeedsAndItems),
            (None, _) => (mean.least, mean.most, Over::Range),
        };
        let point = Place { x, y: mean.mean, low, high, over, seeds: mean.seeds as usize };
        add(&mut plots[at].lines, &mean.arm, point);
    }
    plots
}

fn add(lines: &mut Vec<Line>, name: &str, point: Place) {
    let at = lines.iter().position(|line| line.name == name).unwrap_or_else(|| {
        lines.push(Line { name: name.to_owned(), points: Vec::new() });
        lines.len() - 1
    });
    lines[at].points.push(point);
    lines[at].points.sort_by(|a, b| a.x.total_cmp(&b.x));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::report::measured::measured;
    use crate::report::measured::tests::evaluation;

    #[test]
    fn metrics_at_a_number_of_samples_are_points_of_a_line_for_each_way_to_choose() {
        let rows = [("best_of_n@16", 0.8), ("best_of_n@1", 0.5), ("oracle@16", 0.9), ("accuracy", 0.7), ("odd@x", 0.1)];
        let found = curves(&measured(&rows.map(|(metric, value)| evaluation("a", 0, metric, value))), &[]);
        assert_eq!((found.len(), found[0].kind, found[0].of.as_str()), (1, CurveKind::BestOfN, "a"));
        let lines: Vec<_> = (found[0].lines.iter())
            .map(|line| (line.name.as_str(), line.points.iter().map(|point| point.x).collect::<Vec<_>>()))
            .collect();
        assert_eq!(lines, [("best_of_n", vec![1.0, 16.0]), ("oracle", vec![16.0])]);
    }

    #[test]
    fn points_of_curve_stages_are_lines_by_what_they_started_from() {
        let mean = |arm: &str, share, tokens, mean: f64| CurveMean {
            stage: "efficiency".into(),
            arm: arm.into(),
            share,
            tokens,
            pairs: 5.0,
            metric: "accuracy".into(),
            seeds: 3,
            mean,
            low: (arm == "pmp").then_some(mean - 0.1),
            high: (arm == "pmp").then_some(mean + 0.1),
            least: mean - 0.02,
            most: mean + 0.03,
            n: 50,
        };
        let found = curves(
            &[],
            &[
                mean("pmp", Some(1.0), None, 0.8),
                mean("pmp", Some(0.1), None, 0.7),
                mean("fresh", Some(0.1), None, 0.6),
                mean("pmp", None, Some(1e6), 0.75),
            ],
        );
        assert_eq!(
            found.iter().map(|plot| plot.kind).collect::<Vec<_>>(),
            [CurveKind::SampleEfficiency, CurveKind::Scaling]
        );
        assert_eq!(found[0].lines.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), ["pmp", "fresh"]);
        assert_eq!(found[0].lines[0].points.iter().map(|point| point.x).collect::<Vec<_>>(), [10.0, 100.0]);
        assert!((found[1].lines[0].points[0].x - 1e6).abs() < 1e-6);
        let over: Vec<Over> = found[0].lines.iter().map(|line| line.points[0].over).collect();
        assert_eq!(over, [Over::SeedsAndItems, Over::Range], "what was not computed is not told as an interval");
    }
}

//! The page. Whatever it shows goes through the template engine, which escapes every value; the drawings alone are taken
//! as they are, and no name stands in them.

use std::collections::BTreeMap;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde::Serialize;
use serde_json::Value as Json;

use super::curves::{Curve, CurveKind, Place};
use super::measured::Over;
use super::plot::{self, Lines, Point, Scale};
use super::quality::Histogram;
use super::results::{ResultTable, results};
use super::size::{duration, short, thousands};
use super::{PairSet, Report, ReportError, difference};
use crate::store::report::{CurvePoint, Training};

/// A plot with what stands around it.
#[derive(Serialize)]
struct Figure {
    title: String,
    legend: Vec<String>,
    svg: Value,
    note: String,
}

/// A number of the headline.
#[derive(Serialize)]
struct Headline {
    what: &'static str,
    value: String,
    more: String,
}

/// Settings to be shown.
#[derive(Serialize)]
struct Settings<'r> {
    name: &'r str,
    settings: String,
}

impl<'r> Settings<'r> {
    fn of(name: &'r str, settings: &Json) -> Self {
        Self { name, settings: serde_json::to_string_pretty(settings).unwrap_or_default() }
    }
}

/// Sums over all calls.
#[derive(Serialize)]
struct Totals {
    calls: i64,
    answers: i64,
    prompt_tokens: i64,
    completion_tokens: i64,
    cost: Option<i64>,
}

/// What the template is given.
#[derive(Serialize)]
struct Page<'r> {
    r: &'r Report,
    style: Value,
    sections: Vec<(&'static str, &'static str)>,
    headline: Vec<Headline>,
    results: Vec<ResultTable>,
    curves: Vec<Figure>,
    training: Vec<Figure>,
    pair_plots: Vec<Vec<Figure>>,
    examples: Vec<Vec<difference::Row>>,
    /// The first example of each pair stage.
    example_starts: BTreeMap<&'r str, usize>,
    training_settings: Vec<Settings<'r>>,
    funnel: Vec<(&'static str, i64, f64)>,
    totals: Totals,
    settings: Vec<Settings<'r>>,
}

/// The whole page.
///
/// # Errors
/// When a plot or the template fails, which is a bug.
pub fn render(report: &Report) -> Result<String, ReportError> {
    let environment = environment()?;
    let mut pair_plots = Vec::new();
    let mut starts = BTreeMap::new();
    let mut examples = Vec::new();
    for set in &report.pairs {
        pair_plots.push(histograms(set)?);
        starts.insert(set.name.as_str(), examples.len());
        examples.extend(set.examples.iter().map(|one| difference::side_by_side(&one.pair.chosen, &one.pair.rejected)));
    }
    let results = results(&report.measured);
    let curves = report.curves.iter().map(curve).collect::<Result<Vec<_>, _>>()?;
    let training = training(&report.trainings, &report.training_curves)?;
    let mut sections = Vec::new();
    for (there, id, name) in [
        (!results.is_empty(), "results", "Measured"),
        (!curves.is_empty(), "curves", "Curves"),
        (!report.trainings.is_empty(), "training", "Training"),
        (!report.pairs.is_empty(), "pairs", "Pairs"),
        (!report.pairs.is_empty(), "examples", "Examples"),
        (true, "data", "Data"),
        (!report.usage.is_empty(), "costs", "Costs"),
        (true, "stages", "Stages"),
    ] {
        sections.extend(there.then_some((id, name)));
    }
    let sum = |of: fn(&crate::store::report::Usage) -> i64| report.usage.iter().map(of).sum::<i64>();
    let priced = report.usage.iter().any(|row| row.cost_microdollars.is_some());
    let totals = Totals {
        calls: sum(|row| row.calls),
        answers: sum(|row| row.answers),
        prompt_tokens: sum(|row| row.prompt_tokens),
        completion_tokens: sum(|row| row.completion_tokens),
        cost: priced.then(|| sum(|row| row.cost_microdollars.unwrap_or_default())),
    };
    let page = Page {
        r: report,
        style: Value::from_safe_string(include_str!("style.css").to_owned()),
        sections,
        headline: headline(report),
        results,
        curves,
        training,
        pair_plots,
        examples,
        example_starts: starts,
        training_settings: training_settings(&report.trainings),
        funnel: funnel(report),
        totals,
        settings: report.stages.iter().map(|stage| Settings::of(&stage.name, &stage.settings)).collect(),
    };
    Ok(environment.get_template("page.html")?.render(Value::from(minijinja::value::Serde(&page)))?)
}

fn environment() -> Result<Environment<'static>, ReportError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_filter("number", |value: Option<i64>| value.map(thousands).unwrap_or_default());
    environment.add_filter("fixed", |value: f64, digits: usize| format!("{value:.digits$}").replace('-', "\u{2212}"));
    environment.add_filter("percent", |value: f64| format!("{:.1} %", 100.0 * value));
    environment.add_filter("short", |value: Option<f64>| value.map(short).unwrap_or_default());
    environment.add_filter("duration", |value: Option<f64>| value.map(duration).unwrap_or_default());
    environment.add_filter("dollars", |value: Option<i64>| {
        value.map(|micro| format!("{:.2}", micro as f64 / 1e6)).unwrap_or_default()
    });
    environment.add_filter("words", |text: String| text.replace('_', " "));
    environment.add_filter("leaf", |path: String| path.rsplit('/').next().unwrap_or_default().to_owned());
    environment.add_filter("brief", |text: String| brief(&text, 160));
    environment.add_filter("plain", |value: Value| value.to_string());
    environment.add_filter("time", |text: String| {
        text.get(..16).map(|start| start.replace('T', " ") + " UTC").unwrap_or(text)
    });
    environment.add_template("page.html", include_str!("page.html"))?;
    Ok(environment)
}

/// The first line, cut.
fn brief(text: &str, most: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    let cut = line.chars().count() > most || text.lines().count() > 1;
    line.chars().take(most).chain(cut.then_some('\u{2026}')).collect()
}

fn headline(report: &Report) -> Vec<Headline> {
    let (train, test) = (report.figures.pairs_train, report.figures.pairs_test);
    let tokens = |row: &crate::store::report::Usage| row.prompt_tokens + row.completion_tokens;
    let tokens: i64 = report.usage.iter().map(tokens).sum();
    let cost: Option<i64> = report.usage.iter().filter_map(|row| row.cost_microdollars).reduce(|a, b| a + b);
    let mut numbers = vec![Headline {
        what: "pairs",
        value: thousands(train + test),
        more: format!("{} for training, {} held out", thousands(train), thousands(test)),
    }];
    if let Some(set) = report.pairs.first() {
        numbers.push(Headline {
            what: "repositories",
            value: thousands(set.quality.repositories.len() as i64),
            more: format!("{} licences", set.quality.licences.len()),
        });
        numbers.extend(set.quality.length.as_ref().map(|length| Headline {
            what: "longer side is chosen",
            value: format!("{:.1} %", 100.0 * length.accuracy.value),
            more: "50 %: length tells nothing".to_owned(),
        }));
    }
    if tokens > 0 {
        let more = cost.map(|cost| format!("{:.2} dollars", cost as f64 / 1e6)).unwrap_or_default();
        numbers.push(Headline { what: "tokens asked and answered", value: short(tokens as f64), more });
    }
    if !report.trainings.is_empty() {
        let done = report.trainings.iter().filter(|training| training.state == "done").count();
        numbers.push(Headline { what: "models trained", value: done.to_string(), more: String::new() });
    }
    let best = report.measured.iter().filter(|row| row.metric == "accuracy").max_by(|a, b| a.value.total_cmp(&b.value));
    numbers.extend(best.map(|best| Headline {
        what: "highest accuracy",
        value: format!("{:.3}", best.value),
        more: format!("{}, {} items", best.model, thousands(best.n)),
    }));
    numbers
}

fn funnel(report: &Report) -> Vec<(&'static str, i64, f64)> {
    let figures = &report.figures;
    let rows = [
        ("documents", figures.documents),
        ("exact copies among them", figures.exact_duplicates),
        ("near copies among them", figures.near_duplicates),
        ("snippets", figures.snippets),
        ("descriptions", figures.descriptions),
        ("completions", figures.completions),
        ("pairs", figures.pairs_train + figures.pairs_test),
    ];
    let most = rows.iter().map(|row| row.1).max().unwrap_or(0).max(1) as f64;
    rows.map(|(name, count)| (name, count, 100.0 * count as f64 / most)).to_vec()
}

fn figure(title: String, legend: Vec<String>, note: String, plot: &Lines<'_>) -> Result<Figure, ReportError> {
    Ok(Figure { title, legend, note, svg: Value::from_safe_string(plot::lines(plot)?) })
}

fn curve(curve: &Curve) -> Result<Figure, ReportError> {
    let of = curve.of.replace('_', " ");
    let (title, x, y) = match curve.kind {
        CurveKind::BestOfN => {
            (format!("Best of N: {}", curve.of), "N, samples to choose from", "share of questions right")
        }
        CurveKind::SampleEfficiency => {
            (format!("Sample efficiency: {of}"), "% of the set that was finetuned on", of.as_str())
        }
        CurveKind::Scaling => (format!("Scaling: {of}"), "tokens pretrained on", of.as_str()),
    };
    let points = || curve.lines.iter().flat_map(|line| &line.points);
    let several = points().any(|point| point.seeds > 1);
    let whole = points().any(|point| point.over == Over::SeedsAndItems);
    let note = match (curve.kind, several) {
        (CurveKind::BestOfN, false) => {
            "Expectation over all subsets of N samples. Bands are bootstrap intervals over the questions."
        }
        (CurveKind::BestOfN, true) if whole => {
            "Expectation over all subsets of N samples, mean over seeds. The band of best of N is its interval over seeds and \
             questions; the others go from the smallest to the largest seed."
        }
        (CurveKind::BestOfN, true) => {
            "Expectation over all subsets of N samples, mean over seeds. Bands go from the smallest to the largest seed."
        }
        (_, true) if whole => "Mean over seeds. Bands are bootstrap intervals of that mean over seeds and items.",
        (_, true) => "Mean over seeds. Bands go from the smallest to the largest seed.",
        (_, false) => "Bands are bootstrap intervals over the items measured.",
    };
    let on = if curve.data.is_empty() { String::new() } else { format!(", on {}", curve.data) };
    let plot = Lines {
        x,
        scale: Scale::Doubling,
        y,
        rule: None,
        marked: true,
        curves: (curve.lines.iter())
            .map(|line| {
                let point = |point: &Place| Point { x: point.x, y: point.y, interval: Some((point.low, point.high)) };
                line.points.iter().map(point).collect()
            })
            .collect(),
    };
    let legend = curve.lines.iter().map(|line| line.name.replace('_', " ")).collect();
    figure(title, legend, format!("Stage {}{on}. {note}", curve.stage), &plot)
}

/// A figure of each training: its title, its unit, the value, and what a model that tells nothing has.
type Kind = (&'static str, &'static str, fn(&CurvePoint) -> f64, Option<f64>);

/// Loss and accuracy on the way, one line for each train stage: the mean over its seeds. Trainings of stages that draw
/// curves are points there.
fn training(trainings: &[Training], curves: &[CurvePoint]) -> Result<Vec<Figure>, ReportError> {
    let trainings: Vec<&Training> = trainings.iter().filter(|training| training.kind == "train").collect();
    let mut figures = Vec::new();
    let kinds: [Kind; 3] = [
        ("Reward loss", "nats a pair", |point| point.rm_loss, Some(std::f64::consts::LN_2)),
        ("Language-model loss", "nats a token", |point| point.lm_loss, None),
        ("Accuracy on the step's own pairs", "share in the right order", |point| point.accuracy, Some(0.5)),
    ];
    for (objective, words) in [("pmp", "pretraining"), ("rm", "finetuning")] {
        let mut names: Vec<&str> = Vec::new();
        for training in trainings.iter().filter(|training| training.objective == objective) {
            if !names.contains(&training.name.as_str()) {
                names.push(&training.name);
            }
        }
        let seeds = trainings.iter().filter(|training| training.objective == objective).count() > names.len();
        for (title, y, of, rule) in kinds {
            if objective == "rm" && title.starts_with("Language") {
                continue;
            }
            let curves_of: Vec<Vec<Point>> =
                names.iter().map(|name| over_seeds(name, &trainings, curves, of)).collect();
            if curves_of.iter().all(Vec::is_empty) {
                continue;
            }
            let over = if seeds { "Mean over seeds; bands go from the smallest to the largest." } else { "" };
            let dashed = if rule.is_some() { "Dashed: a model that tells nothing." } else { "" };
            let note = [over, dashed].join(" ").trim().to_owned();
            let plot = Lines { x: "optimizer step", scale: Scale::Linear, y, rule, marked: false, curves: curves_of };
            let legend = names.iter().map(|&name| name.to_owned()).collect();
            figures.push(figure(format!("{title}, {words}"), legend, note, &plot)?);
        }
    }
    Ok(figures)
}

fn over_seeds(name: &str, trainings: &[&Training], curves: &[CurvePoint], of: fn(&CurvePoint) -> f64) -> Vec<Point> {
    let ids: Vec<_> = trainings.iter().filter(|training| training.name == name).map(|training| training.id).collect();
    let mut at: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for point in curves.iter().filter(|point| ids.contains(&point.training_run_id)) {
        at.entry(point.step.round() as u64).or_default().push(of(point));
    }
    (at.into_iter())
        .map(|(step, values)| {
            let ends = (
                values.iter().copied().fold(f64::INFINITY, f64::min),
                values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            );
            let y = values.iter().sum::<f64>() / values.len() as f64;
            Point { x: step as f64, y, interval: (ids.len() > 1).then_some(ends) }
        })
        .collect()
}

/// Of each train stage once: seeds share theirs.
fn training_settings(trainings: &[Training]) -> Vec<Settings<'_>> {
    let mut found: Vec<Settings<'_>> = Vec::new();
    for training in trainings {
        if !found.iter().any(|one| one.name == training.name) {
            found.push(Settings::of(&training.name, &training.settings));
        }
    }
    found
}

fn histograms(set: &PairSet) -> Result<Vec<Figure>, ReportError> {
    let draw = |x: &str, scale, histogram: &Histogram| {
        plot::histogram(x, scale, (histogram.from, histogram.to), &histogram.pairs).map(Value::from_safe_string)
    };
    let quality = &set.quality;
    Ok(vec![
        Figure {
            title: "Similarity of the sides".into(),
            legend: Vec::new(),
            svg: draw("similarity", Scale::Linear, &quality.similarity)?,
            note: "S\u{f8}rensen\u{2013}Dice similarity over character pairs: 1 is equal, 0 has nothing in common."
                .into(),
        },
        Figure {
            title: "Length of the sides".into(),
            legend: Vec::new(),
            svg: draw("chosen over rejected, in characters", Scale::Doubling, &quality.length_ratio)?,
            note: "Pairs to the right have the longer chosen side. The outer bars hold what lies beyond.".into(),
        },
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_escaped() {
        let environment = environment().unwrap();
        let hostile = "<script>alert('x')</script>";
        let row = crate::report::results::tests::row(hostile, &[0.5]);
        let text = environment.render_str(
            "{{ a.model }} {{ a.model|words }} {{ a.model|brief }} {{ [a.model]|join(', ') }}",
            Value::from(minijinja::value::Serde(&serde_json::json!({ "a": row }))),
        );
        assert!(!text.unwrap().contains("<script"));
    }
}

//! Plots as SVG, by `plotters`.
//!
//! Colours are those of a light page; the page's style sheet replaces them by attribute where the reader's page is dark.
//! Names of lines stand in the page's legend, not in the drawing, so that the template engine escapes them.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;

use super::ReportError;

/// Colours of lines, told apart by people with any sight (Okabe and Ito 2008, darkened for white paper).
const PALETTE: [RGBColor; 6] = [
    RGBColor(0x0F, 0x62, 0xA8),
    RGBColor(0xC2, 0x57, 0x0C),
    RGBColor(0x0B, 0x7A, 0x5B),
    RGBColor(0x8A, 0x3F, 0xA0),
    RGBColor(0x8C, 0x6D, 0x00),
    RGBColor(0x55, 0x5B, 0x66),
];
const INK: RGBColor = RGBColor(0x44, 0x4A, 0x55);
const GRID: RGBColor = RGBColor(0xE3, 0xE6, 0xEB);
const RULE: RGBColor = RGBColor(0x9A, 0xA1, 0xAC);
/// Width and height of a plot in units of the drawing; the page scales it.
const SIZE: (u32, u32) = (520, 320);
const FONT: (&str, i32) = ("sans-serif", 16);

/// A point of a line, with its interval where it has one.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Place on the horizontal axis.
    pub x: f64,
    /// Value.
    pub y: f64,
    /// Interval of the value.
    pub interval: Option<(f64, f64)>,
}

/// How an axis runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By factors of two.
    Doubling,
}

/// A plot of lines.
pub struct Lines<'p> {
    /// What the horizontal axis is, with its unit.
    pub x: &'p str,
    /// How it runs.
    pub scale: Scale,
    /// What the vertical axis is, with its unit.
    pub y: &'p str,
    /// A value to compare with, such as chance.
    pub rule: Option<f64>,
    /// Whether each point is marked.
    pub marked: bool,
    /// The lines, in the order of the page's legend.
    pub curves: Vec<Vec<Point>>,
}

/// An axis whose ticks are round numbers that fit.
#[derive(Clone)]
struct Axis {
    from: f64,
    to: f64,
    scale: Scale,
    /// From tick to tick.
    step: f64,
}

impl Axis {
    /// Room for all values, with a margin.
    fn around(values: impl Iterator<Item = f64> + Clone, scale: Scale, margin: f64) -> Self {
        let values = values.filter(|value| value.is_finite());
        let (mut from, mut to) =
            (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
        if from > to {
            (from, to) = (0.0, 1.0);
        }
        let room = ((to - from) * margin).max(1e-3 * from.abs()).max(1e-6);
        Self::new(from - room, to + room, scale)
    }

    fn new(from: f64, to: f64, scale: Scale) -> Self {
        let step = match scale {
            Scale::Linear => round_step(to - from, 6),
            Scale::Doubling => round_step(to - from, 9).max(1.0).ceil(),
        };
        Self { from, to, scale, step }
    }

    fn label(&self, value: f64) -> String {
        if self.scale == Scale::Doubling {
            return super::size::short(value.exp2().round());
        }
        let large = self.from.abs().max(self.to.abs()) >= 1e4;
        let digits = (-self.step.log10().floor()).clamp(0.0, 9.0) as usize;
        if large { super::size::short(value) } else { format!("{value:.digits$}") }
    }
}

/// The smallest of 1, 2, 5 times a power of ten that makes at most `most` steps of `length`.
fn round_step(length: f64, most: u32) -> f64 {
    let least = length.max(f64::MIN_POSITIVE) / f64::from(most);
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|factor| factor * power).find(|step| *step >= least * 0.999).unwrap_or(10.0 * power)
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.label(*value)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.from) / (self.to - self.from);
        limit.0 + (f64::from(limit.1 - limit.0) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        let first = (self.from / self.step - 1e-9).ceil() as i64;
        let last = (self.to / self.step + 1e-9).floor() as i64;
        (first..=last).map(|n| n as f64 * self.step).collect()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.from..self.to
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

fn drawn<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, ReportError> {
    result.map_err(|error| ReportError::Plot(error.to_string()))
}

/// Draws on a fresh area; the drawing is SVG that may stand inside of a page.
fn draw(size: (u32, u32), with: impl FnOnce(&Area<'_>) -> Result<(), ReportError>) -> Result<String, ReportError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        with(&area)?;
        drawn(area.present())?;
    }
    Ok(svg)
}

fn chart<'a, 'b>(
    area: &'a Area<'b>,
    x: Axis,
    y: Axis,
    names: (&str, &str),
    label: Option<&dyn Fn(&f64) -> String>,
) -> Result<Chart<'a, 'b>, ReportError> {
    let mut chart = drawn(
        ChartBuilder::on(area)
            .margin(10)
            .margin_right(18)
            .x_label_area_size(46)
            .y_label_area_size(66)
            .build_cartesian_2d(x, y),
    )?;
    let style = FONT.into_font().color(&INK);
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(RULE)
        .label_style(style.clone())
        .axis_desc_style(style)
        .x_desc(names.0)
        .y_desc(names.1);
    if let Some(label) = label {
        mesh.x_label_formatter(label);
    }
    drawn(mesh.draw())?;
    Ok(chart)
}

/// Lines with their intervals.
///
/// # Errors
/// [`ReportError::Plot`] if the library refuses.
pub fn lines(plot: &Lines<'_>) -> Result<String, ReportError> {
    let place = |x: f64| if plot.scale == Scale::Doubling { x.max(f64::MIN_POSITIVE).log2() } else { x };
    let points = || plot.curves.iter().flatten();
    let x = Axis::around(points().map(|point| place(point.x)), plot.scale, 0.02);
    let values = points().flat_map(|point| {
        let (low, high) = point.interval.unwrap_or((point.y, point.y));
        [low, point.y, high]
    });
    let y = Axis::around(values.chain(plot.rule), Scale::Linear, 0.06);
    draw(SIZE, |area| {
        let ends = (x.from, x.to);
        let mut chart = chart(area, x, y, (plot.x, plot.y), None)?;
        if let Some(rule) = plot.rule {
            let dashed = DashedLineSeries::new([(ends.0, rule), (ends.1, rule)], 4, 4, RULE.stroke_width(1));
            drawn(chart.draw_series(dashed))?;
        }
        for (line, colour) in plot.curves.iter().zip(PALETTE.iter().cycle()) {
            let with: Vec<_> = line.iter().filter_map(|point| Some((place(point.x), point.interval?))).collect();
            if with.len() > 1 {
                let upper = with.iter().map(|&(x, (_, high))| (x, high));
                let lower = with.iter().rev().map(|&(x, (low, _))| (x, low));
                let band: Vec<_> = upper.chain(lower).collect();
                drawn(chart.draw_series([Polygon::new(band, colour.mix(0.13))]))?;
            }
            let path = line.iter().map(|point| (place(point.x), point.y));
            drawn(chart.draw_series(LineSeries::new(path, colour.stroke_width(2))))?;
            if plot.marked {
                let bars = with.iter().map(|&(x, (low, high))| PathElement::new([(x, low), (x, high)], colour));
                drawn(chart.draw_series(bars))?;
                let marks = line.iter().map(|point| Circle::new((place(point.x), point.y), 4, colour.filled()));
                drawn(chart.draw_series(marks))?;
            }
        }
        Ok(())
    })
}

/// Bars of equal width from `from` to `to`; on [`Scale::Doubling`] the bounds are binary logarithms.
///
/// # Errors
/// As [`lines`].
pub fn histogram(x: &str, scale: Scale, bounds: (f64, f64), bars: &[i64]) -> Result<String, ReportError> {
    let most = bars.iter().copied().max().unwrap_or(0).max(1) as f64;
    let width = (bounds.1 - bounds.0) / bars.len().max(1) as f64;
    // The bounds are even numbers already, so that the axis itself runs evenly.
    let axis =
        Axis { step: if scale == Scale::Doubling { 1.0 } else { 0.2 }, ..Axis::new(bounds.0, bounds.1, Scale::Linear) };
    let label = |value: &f64| if scale == Scale::Doubling { factor(*value) } else { format!("{value:.1}") };
    draw(SIZE, |area| {
        let counts = Axis::new(0.0, most * 1.04, Scale::Linear);
        let mut chart = chart(area, axis, counts, (x, "pairs"), Some(&label))?;
        let bars = (0..).zip(bars).filter(|(_, pairs)| **pairs > 0).map(|(at, pairs)| {
            let left = bounds.0 + f64::from(at) * width;
            let mut bar = Rectangle::new([(left, 0.0), (left + width, *pairs as f64)], PALETTE[0].mix(0.75).filled());
            bar.set_margin(0, 0, 0, 1);
            bar
        });
        drawn(chart.draw_series(bars))?;
        Ok(())
    })
}

/// 2^value as a factor: ¼, ½, 1, 2, 4.
fn factor(value: f64) -> String {
    match value.round() as i32 {
        -3 => "\u{215b}".into(),
        -2 => "\u{bc}".into(),
        -1 => "\u{bd}".into(),
        power => format!("{}", 2_f64.powi(power)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn axis(from: f64, to: f64) -> Axis {
        Axis::new(from, to, Scale::Linear)
    }

    #[test]
    fn ticks_are_round_and_their_labels_have_the_digits_that_they_need() {
        let ticks = |axis: &Axis| {
            let points = axis.key_points(plotters::coord::ranged1d::BoldPoints(6));
            points.into_iter().map(|tick| axis.label(tick)).collect::<Vec<_>>()
        };
        assert_eq!(ticks(&axis(0.613, 0.887)), ["0.65", "0.70", "0.75", "0.80", "0.85"]);
        assert_eq!(ticks(&axis(0.0, 18_700.0)), ["0", "5000", "10k", "15k"]);
        assert_eq!(ticks(&axis(5.9, 8.7)), ["6.0", "6.5", "7.0", "7.5", "8.0", "8.5"]);
        let doubling = |to| Axis::new(-0.1, to, Scale::Doubling);
        assert_eq!(ticks(&doubling(8.1)), ["1", "2", "4", "8", "16", "32", "64", "128", "256"]);
        assert_eq!(ticks(&doubling(16.0))[..4], ["1", "4", "16", "64"]);
    }

    #[test]
    fn one_value_and_none_at_all_still_have_an_axis() {
        for values in [vec![], vec![0.5], vec![0.0], vec![f64::NAN]] {
            let axis = Axis::around(values.iter().copied(), Scale::Linear, 0.1);
            assert!(axis.from < axis.to, "{values:?}");
            assert!(axis.key_points(plotters::coord::ranged1d::BoldPoints(6)).len() < 20);
        }
    }

    #[test]
    fn names_in_a_drawing_are_escaped_by_the_library() {
        let point = |x, y| Point { x, y, interval: Some((y - 0.1, y + 0.1)) };
        let plot = Lines {
            x: "<script>alert(1)</script>",
            scale: Scale::Doubling,
            y: "a & b",
            rule: Some(0.5),
            marked: true,
            curves: vec![vec![point(1.0, 0.4), point(2.0, 0.6)]],
        };
        let svg = lines(&plot).unwrap();
        assert!(svg.starts_with("<svg") && !svg.contains("<script") && svg.contains("a &amp; b"), "{svg}");
        assert!(svg.contains("#0F62A8") && svg.contains("<circle") && svg.contains("<polygon"));
    }
}

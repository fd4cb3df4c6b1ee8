//! `filter`: thresholds on signals. Defaults are those of common quality filters for Python (StarCoder, OpenCoder).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnyStage, Kind, only_need};
use crate::corpus::Signals;

/// Settings of a `filter` stage: what a document must keep to.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FilterSettings {
    /// Longest line at most, in characters.
    pub longest_line_max: u64,
    /// Mean line at most, in characters.
    pub mean_line_max: f32,
    /// Share of letters and digits at least, 0 to 1.
    pub alphanumeric_share_min: f32,
    /// Share of bytes in comments at least, 0 to 1.
    pub comment_share_min: f32,
    /// Share of bytes in comments at most, 0 to 1.
    pub comment_share_max: f32,
    /// Lines at least.
    pub lines_min: u64,
    /// Lines at most.
    pub lines_max: u64,
    /// Bytes at most.
    pub bytes_max: u64,
    /// Syntax errors at most.
    pub parse_errors_max: u32,
    /// Whether files that say a program wrote them may stay.
    pub generated_allowed: bool,
    /// Licences (SPDX identifiers) that may stay; empty: all, those not known too.
    pub licences: Vec<String>,
}

impl Default for FilterSettings {
    fn default() -> Self {
        Self {
            longest_line_max: 1000,
            mean_line_max: 100.0,
            alphanumeric_share_min: 0.25,
            comment_share_min: 0.0,
            comment_share_max: 0.8,
            lines_min: 5,
            lines_max: 20_000,
            bytes_max: 1_000_000,
            parse_errors_max: 0,
            generated_allowed: false,
            licences: Vec::new(),
        }
    }
}

/// A `filter` stage.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Its settings.
    pub settings: FilterSettings,
}

/// What a filter looks at.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'d> {
    /// See [`Signals`]; its `generated` is not looked at.
    pub signals: &'d Signals,
    /// Marker of a generated file.
    pub generated: Option<&'d str>,
    /// Syntax errors.
    pub parse_errors: u32,
    /// SPDX identifier.
    pub licence: Option<&'d str>,
}

impl Filter {
    /// Checks the settings.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(settings: FilterSettings) -> Result<Self, (&'static str, String)> {
        let shares = [
            ("alphanumeric_share_min", settings.alphanumeric_share_min),
            ("comment_share_min", settings.comment_share_min),
            ("comment_share_max", settings.comment_share_max),
        ];
        for (name, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err((name, format!("is {share}: a share lies between 0 and 1")));
            }
        }
        if settings.lines_min > settings.lines_max {
            return Err(("lines_min", "is above lines_max: no document could stay".into()));
        }
        Ok(Self { settings })
    }

    /// Why the document goes, if it does: class and words.
    pub fn objection(&self, measured: Measured<'_>) -> Option<(&'static str, String)> {
        let Measured { signals, generated, parse_errors, licence } = measured;
        let limits = &self.settings;
        let over = |what: &str, is: &dyn std::fmt::Display, bound: &dyn std::fmt::Display| {
            format!("{what} is {is}, allowed is {bound}")
        };
        if signals.longest_line > limits.longest_line_max {
            let words = over("the longest line", &signals.longest_line, &limits.longest_line_max);
            Some(("long_line", words))
        } else if signals.mean_line > limits.mean_line_max {
            Some(("long_mean_line", over("the mean line", &signals.mean_line, &limits.mean_line_max)))
        } else if signals.lines < limits.lines_min {
            Some(("few_lines", over("the number of lines", &signals.lines, &format!("{} and more", limits.lines_min))))
        } else if signals.lines > limits.lines_max {
            Some(("many_lines", over("the number of lines", &signals.lines, &limits.lines_max)))
        } else if signals.bytes > limits.bytes_max {
            Some(("many_bytes", over("the number of bytes", &signals.bytes, &limits.bytes_max)))
        } else if signals.alphanumeric_share < limits.alphanumeric_share_min {
            let bound = format!("{} and more", limits.alphanumeric_share_min);
            Some(("alphanumeric_share", over("the alphanumeric share", &signals.alphanumeric_share, &bound)))
        } else if !(limits.comment_share_min..=limits.comment_share_max).contains(&signals.comment_share) {
            let bound = format!("{} to {}", limits.comment_share_min, limits.comment_share_max);
            Some(("comment_share", over("the comment share", &signals.comment_share, &bound)))
        } else if let Some(marker) = generated.filter(|_| !limits.generated_allowed) {
            Some(("generated", format!("says near its top that it was generated: {marker:?}")))
        } else if parse_errors > limits.parse_errors_max {
            Some(("parse_errors", over("the number of syntax errors", &parse_errors, &limits.parse_errors_max)))
        } else if !limits.licences.is_empty()
            && !licence.is_some_and(|licence| limits.licences.iter().any(|allowed| allowed == licence))
        {
            let licence = licence.unwrap_or("not known");
            Some(("licence", over("the licence", &licence, &limits.licences.join(", "))))
        } else {
            None
        }
    }
}

impl Kind for Filter {
    fn identity(&self) -> serde_json::Value {
        serde_json::json!(self.settings)
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        only_need(needs, &["ingest", "filter", "dedupe"]).map(drop)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::corpus::signals;
    use crate::python::layout;

    fn objection(settings: FilterSettings, text: &str) -> Option<&'static str> {
        let signals = signals(text, layout(text).comment_bytes);
        let measured =
            Measured { signals: &signals, generated: signals.generated, parse_errors: 0, licence: Some("MIT") };
        Filter::new(settings).unwrap().objection(measured).map(|(class, _)| class)
    }

    const PLAIN: &str = "import os\n\n\ndef f(a):\n    return os.path.join(a, 'b')\n";

    #[test]
    fn a_plain_file_stays() {
        assert_eq!(objection(FilterSettings::default(), PLAIN), None);
    }

    #[test]
    fn each_threshold_rejects_with_a_class_of_its_own() {
        let long = format!("{PLAIN}x = '{}'\n", "a".repeat(1000));
        let generated = format!("# Generated by a tool. DO NOT EDIT.\n{PLAIN}");
        let comments = format!("{}{PLAIN}", "# words about nothing at all\n".repeat(40));
        let symbols = "(((((((((())))))))))\n".repeat(10);
        let of = |text: &str| objection(FilterSettings::default(), text);
        let classes = [of(&long), of(&generated), of(&comments), of(&symbols), of("x = 1\n")];
        assert_eq!(
            classes.map(Option::unwrap),
            ["long_line", "generated", "comment_share", "alphanumeric_share", "few_lines"]
        );
        let only_bsd = FilterSettings { licences: vec!["BSD-3-Clause".into()], ..FilterSettings::default() };
        assert_eq!(objection(only_bsd, PLAIN), Some("licence"));
    }
}

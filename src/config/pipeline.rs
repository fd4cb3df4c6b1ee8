//! From the text of a pipeline file to its sections, each with its position.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::string::place_in;
use super::{ConfigError, Problem};

/// The settings of one named part of the file, not yet typed.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name, unique among its siblings.
    pub name: String,
    /// Where it stands, in bytes.
    pub span: Range<usize>,
    place: Place,
}

/// How to find a section in the parsed file.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// `[TABLE.NAME]`
    Named(&'static str),
    /// The n-th `[[stages]]`.
    Stage(usize),
}

/// Keys of a stage that are not its kind's business.
const STAGE_KEYS: [&str; 3] = ["name", "kind", "needs"];

impl Section {
    /// Reads the settings as `T`.
    ///
    /// # Errors
    /// A [`Problem`] at the offending value, naming what is allowed there.
    pub fn parse<T: DeserializeOwned>(&self, text: &str) -> Result<T, Problem> {
        let settings =
            self.settings(text).unwrap_or_else(|| Spanned::new(self.span.clone(), DeValue::Table(DeTable::new())));
        T::deserialize(ValueDeserializer::from(settings)).map_err(|error| {
            // A missing field is reported at the whole table; its header is the better place.
            let span = error.span().filter(|span| *span != self.span).unwrap_or_else(|| self.span.clone());
            Problem::at(text, &span, format!("in `{}`: {}", self.name, error.message()))
        })
    }

    /// Where setting `key` stands, or the section itself if it is not set. A dot leads into a table: `prompt.user`.
    pub fn span_of(&self, text: &str, key: &str) -> Range<usize> {
        let settings = self.settings(text);
        let mut place = settings.as_ref();
        for part in key.split('.') {
            place = place.and_then(|place| place.get_ref().as_table()?.get(part));
        }
        place.map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// Where byte `offset` of the text that setting `key` holds stands.
    pub fn span_in(&self, text: &str, key: &str, offset: usize) -> Range<usize> {
        let span = self.span_of(text, key);
        match text.get(span.clone()) {
            Some(literal) if literal.starts_with(['"', '\'']) => {
                let place = place_in(literal, span.start, offset);
                place..span.end
            }
            _ => span,
        }
    }

    /// The file was parsed once already, so parsing it again finds the same; it saves a copy of the tree in every section.
    fn settings<'t>(&self, text: &'t str) -> Option<Spanned<DeValue<'t>>> {
        let mut top = DeTable::parse(text).ok()?.into_inner();
        match self.place {
            Place::Named(table) => match top.remove(table)?.into_inner() {
                DeValue::Table(mut named) => named.remove(self.name.as_str()),
                _ => None,
            },
            Place::Stage(index) => match top.remove("stages")?.into_inner() {
                DeValue::Array(stages) => {
                    let stage = stages.into_iter().nth(index)?;
                    let span = stage.span();
                    let DeValue::Table(mut stage) = stage.into_inner() else { return None };
                    for key in STAGE_KEYS {
                        stage.remove(key);
                    }
                    Some(Spanned::new(span, DeValue::Table(stage)))
                }
                _ => None,
            },
        }
    }
}

/// A stage as the file lists it.
#[derive(Clone, Debug)]
pub struct StageEntry {
    /// Name and the settings that its kind will parse.
    pub section: Section,
    /// Kind, with its place.
    pub kind: (String, Range<usize>),
    /// Names of the stages it needs, each with its place.
    pub needs: Vec<(String, Range<usize>)>,
}

/// A pipeline file whose shape is right; the sections are still to be typed by those who know them.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// The file.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
    /// Its name: `name`, or the file's stem.
    pub name: String,
    /// Decides splits, samples and shuffles.
    pub seed: u64,
    /// `[endpoints.NAME]`
    pub endpoints: Vec<Section>,
    /// `[simulators.NAME]`
    pub simulators: Vec<Section>,
    /// `[[stages]]`, in the order of the file.
    pub stages: Vec<StageEntry>,
}

const TOP: &str = "name, seed, endpoints, simulators, stages";

impl Pipeline {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or its shape is wrong; all problems at once.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|error| ConfigError {
            file: file.to_owned(),
            problems: vec![Problem {
                position: super::Position::default(),
                message: format!("cannot be read: {error}"),
            }],
        })?;
        Self::parse(file, text)
    }

    /// Parses the text of `file`; relative paths in it are relative to the file's folder.
    ///
    /// # Errors
    /// As [`Pipeline::load`].
    pub fn parse(file: &Path, text: String) -> Result<Self, ConfigError> {
        let fail = |problems| ConfigError { file: file.to_owned(), problems };
        let table = DeTable::parse(&text)
            .map_err(|error| fail(vec![Problem::at(&text, &error.span().unwrap_or(0..0), error.message())]))?;
        let mut reader = Reader { text: &text, problems: Vec::new() };
        let mut pipeline = Self {
            file: file.to_owned(),
            text: String::new(),
            name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            seed: 0,
            endpoints: Vec::new(),
            simulators: Vec::new(),
            stages: Vec::new(),
        };
        for (key, value) in table.get_ref() {
            match key.get_ref().as_ref() {
                "name" => pipeline.name = reader.string(value, "name").unwrap_or_default(),
                "seed" => pipeline.seed = reader.seed(value),
                "endpoints" => pipeline.endpoints = reader.named(value, "endpoints"),
                "simulators" => pipeline.simulators = reader.named(value, "simulators"),
                "stages" => pipeline.stages = reader.stages(value),
                other => reader.problem(&key.span(), format!("unknown key `{other}`; allowed here: {TOP}")),
            }
        }
        if pipeline.stages.is_empty() && reader.problems.is_empty() {
            reader.problem(&(0..0), "no stages: add at least one [[stages]]");
        }
        reader.check_names(&pipeline.stages);
        let problems = reader.problems;
        if problems.is_empty() { Ok(Self { text, ..pipeline }) } else { Err(fail(problems)) }
    }

    /// The folder that relative paths in the file start from.
    pub fn base(&self) -> PathBuf {
        match self.file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    /// An error of this file.
    pub fn error(&self, mut problems: Vec<Problem>) -> ConfigError {
        problems.sort_by_key(|problem| problem.position);
        ConfigError { file: self.file.clone(), problems }
    }

    /// A problem at `span` of this file.
    pub fn problem(&self, span: &Range<usize>, message: impl Into<String>) -> Problem {
        Problem::at(&self.text, span, message)
    }
}

/// Walks the parsed file and gathers problems.
struct Reader<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.problems.push(Problem::at(self.text, span, message));
    }

    fn string(&mut self, value: &Spanned<DeValue<'_>>, what: &str) -> Option<String> {
        let text = value.get_ref().as_str().filter(|text| !text.trim().is_empty());
        if text.is_none() {
            let found = value.get_ref().type_str();
            self.problem(&value.span(), format!("{what} must be a string that is not empty, found {found}"));
        }
        text.map(str::to_owned)
    }

    fn seed(&mut self, value: &Spanned<DeValue<'_>>) -> u64 {
        let seed = value.get_ref().as_integer().and_then(|seed| seed.as_str().parse().ok());
        if seed.is_none() {
            self.problem(&value.span(), "seed must be a whole number from 0");
        }
        seed.unwrap_or_default()
    }

    fn named(&mut self, value: &Spanned<DeValue<'_>>, table: &'static str) -> Vec<Section> {
        let Some(entries) = value.get_ref().as_table() else {
            self.problem(&value.span(), format!("{table} must be tables: [{table}.NAME]"));
            return Vec::new();
        };
        let section = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| Section {
            name: AsRef::<str>::as_ref(name.get_ref()).to_owned(),
            span: value.span(),
            place: Place::Named(table),
        };
        let sections =
            entries.iter().map(|(name, value): (&Spanned<std::borrow::Cow<'_, str>>, _)| section((name, value)));
        sections.collect()
    }

    fn stages(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<StageEntry> {
        let Some(array) = value.get_ref().as_array() else {
            self.problem(&value.span(), "stages must be a list: [[stages]]");
            return Vec::new();
        };
        (0..).zip(array.iter()).filter_map(|(index, value)| self.stage(index, value)).collect()
    }

    fn stage(&mut self, index: usize, value: &Spanned<DeValue<'_>>) -> Option<StageEntry> {
        let span = value.span();
        let Some(table) = value.get_ref().as_table() else {
            self.problem(&span, "a stage must be a table: [[stages]]");
            return None;
        };
        let required = |reader: &mut Self, key: &str| match table.get(key) {
            Some(value) => Some((reader.string(value, key)?, value.span())),
            None => {
                reader.problem(&span, format!("a stage without a {key}: add `{key} = \"...\"`"));
                None
            }
        };
        let (name, kind) = (required(self, "name"), required(self, "kind"));
        let needs = table.get("needs").map_or_else(Vec::new, |needs| self.needs(needs));
        let (name, span) = name?;
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            self.problem(&span, format!("stage name `{name}`: letters, digits, `-`, `_` and `.` are allowed"));
        }
        let section = Section { name, span: value.span(), place: Place::Stage(index) };
        Some(StageEntry { section, kind: kind?, needs })
    }

    fn needs(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<(String, Range<usize>)> {
        let Some(array) = value.get_ref().as_array() else {
            self.problem(&value.span(), "needs must be a list of stage names");
            return Vec::new();
        };
        array.iter().filter_map(|need| Some((self.string(need, "a needed stage")?, need.span()))).collect()
    }

    fn check_names(&mut self, stages: &[StageEntry]) {
        let mut seen = HashMap::new();
        for StageEntry { section, .. } in stages {
            if let Some(first) = seen.insert(&section.name, &section.span) {
                let line = super::Position::of(self.text, first.start).line;
                self.problem(&section.span, format!("stage `{}` is there already, at line {line}", section.name));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        Pipeline::parse(Path::new("p.toml"), text.into()).unwrap_err().to_string()
    }

    #[test]
    fn broken_toml_is_reported_at_its_place() {
        assert!(problems("name = \"x\"\nseed = = 1\n").starts_with("p.toml:2:8: "));
    }

    #[test]
    fn all_problems_of_shape_are_reported_at_once() {
        let text = "nam = 1\n[[stages]]\nkind = \"ingest\"\n[[stages]]\nname = \"a b\"\nkind = 3\n";
        insta::assert_snapshot!(problems(text), @r#"
        p.toml:1:1: unknown key `nam`; allowed here: name, seed, endpoints, simulators, stages
        p.toml:2:1: a stage without a name: add `name = "..."`
        p.toml:6:8: kind must be a string that is not empty, found integer
        p.toml:5:8: stage name `a b`: letters, digits, `-`, `_` and `.` are allowed
        "#);
    }

    #[test]
    fn a_name_used_twice_points_at_the_first() {
        let text = "[[stages]]\nname = \"a\"\nkind = \"k\"\n[[stages]]\nname = \"a\"\nkind = \"k\"\n";
        assert_eq!(problems(text), "p.toml:4:1: stage `a` is there already, at line 1");
    }

    #[test]
    fn an_unknown_setting_is_reported_where_it_stands() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Settings {
            #[allow(dead_code)]
            threshold: f64,
        }
        let text = "[[stages]]\nname = \"a\"\nkind = \"k\"\nneeds = []\nthreshhold = 0.7\n";
        let pipeline = Pipeline::parse(Path::new("p.toml"), text.into()).unwrap();
        let problem = pipeline.stages[0].section.parse::<Settings>(text).unwrap_err();
        assert_eq!((problem.position.line, problem.position.column), (5, 1));
        assert!(problem.message.contains("expected `threshold`"), "{}", problem.message);
    }
}

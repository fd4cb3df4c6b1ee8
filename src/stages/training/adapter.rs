//! Benchmarks' files, as published, as pairs to train on.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::WrongInput;
use crate::benchmark::{self, Format, Made, Reasons};
use crate::llm::{Prompt, PromptSettings};
use crate::train::data::Pair;
use crate::train::data::files::{UNTOLD, split_of};

/// The template that puts a prompt as it is.
pub const PLAIN: &str = "{{ prompt }}";

/// How a file is read as pairs that holds none of this project's own.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// Its format.
    pub format: Format,
    /// None where prompts are taken as they are.
    prompt: Option<Arc<Prompt>>,
}

impl Adapter {
    /// The adapter of a format, with the template of the prompt that a model is trained on. None for plain pairs, which say
    /// their prompts themselves.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(format: Option<Format>, template: Option<&str>) -> Result<Option<Self>, (&'static str, String)> {
        let Some(format) = format.filter(|format| *format != Format::Pairs) else {
            return match template {
                Some(_) => Err(("template", "is for benchmarks, and `format` names none".to_owned())),
                None => Ok(None),
            };
        };
        Self::of(format, template).map(Some)
    }

    /// The adapter of a format, plain pairs too.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn of(format: Format, template: Option<&str>) -> Result<Self, (&'static str, String)> {
        if !format.has_pairs() {
            let with = Format::names_with_pairs();
            return Err((
                "format",
                format!("{format} has questions, which stand for no pairs; formats that do: {with}"),
            ));
        }
        let prompt = template.filter(|template| *template != PLAIN).map(compile).transpose();
        Ok(Self { format, prompt: prompt.map_err(|message| ("template", message))?.map(Arc::new) })
    }

    /// The pairs that a file or folder stands for, with their prompts as a model is to see them, one at a time.
    ///
    /// # Errors
    /// When there is no such file; later the first row that is not as its format says, with file, line and field.
    pub fn pairs(
        &self,
        path: &Path,
    ) -> Result<impl Iterator<Item = Result<Made<benchmark::Pair>, WrongInput>> + use<>, WrongInput> {
        let wrong = |error: benchmark::BenchmarkError| WrongInput(error.to_string());
        let prompt = self.prompt.clone();
        let all = benchmark::pairs(path, Some(self.format)).map_err(wrong)?;
        Ok(all.map(move |made| {
            let (pair, origin, prompt) = match (made.map_err(wrong)?, &prompt) {
                (Made::Whole(pair, origin), Some(prompt)) => (pair, origin, prompt),
                (made, _) => return Ok(made),
            };
            let rendered = prompt.render(&json!({ "prompt": pair.prompt }));
            let messages = rendered.map_err(|error| WrongInput(format!("{}: {error}", origin.place)))?;
            let prompt = messages.into_iter().map(|message| message.content).collect();
            Ok(Made::Whole(benchmark::Pair { prompt, ..pair }, origin))
        }))
    }

    /// All pairs of a split, or of all, and the rows that made none. A file's name tells its split as that of a file of
    /// pairs does. A pair's id is its number among all; the part of the benchmark stands in for the repository.
    pub(super) fn read(&self, path: &Path, split: Option<&str>) -> Result<(Vec<Pair>, Reasons), WrongInput> {
        let (mut pairs, mut left_out, mut next) = (Vec::new(), Reasons::default(), 0..);
        for made in self.pairs(path)? {
            let (pair, origin) = match made? {
                Made::Whole(pair, origin) => (pair, origin),
                Made::LeftOut(row) => {
                    left_out.add(&row);
                    continue;
                }
            };
            let (told, id) = (split_of(&origin.place.path), next.next().unwrap_or(i64::MAX));
            if split.is_none_or(|wanted| wanted == told.unwrap_or(UNTOLD)) {
                let benchmark::Pair { subset, prompt, chosen, rejected, .. } = pair;
                let split = told.map(str::to_owned);
                pairs.push(Pair { id, prompt, chosen, rejected, margin: 0.0, repository: subset, split });
            }
        }
        Ok((pairs, left_out))
    }
}

/// The adapter of a stage's file.
///
/// # Errors
/// The name of the setting that is wrong, and why.
pub fn adapter_of(
    data: Option<&str>,
    format: Option<Format>,
    template: Option<&str>,
) -> Result<Option<Adapter>, (&'static str, String)> {
    match (data, format) {
        (None, Some(_)) => Err(("format", "is of a file, and `data` names none".to_owned())),
        _ => Adapter::new(format, template),
    }
}

fn compile(template: &str) -> Result<Prompt, String> {
    let settings = PromptSettings { system: None, user: template.to_owned() };
    Prompt::compile(&settings, &["prompt"]).map_err(|error| error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn fixture(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/benchmarks").join(name)
    }

    fn read(name: &str, format: Format, template: Option<&str>) -> (Vec<Pair>, Reasons) {
        Adapter::new(Some(format), template).unwrap().unwrap().read(&fixture(name), None).unwrap()
    }

    #[test]
    fn every_format_with_pairs_is_trained_on_as_it_is_measured() {
        let cases = [
            ("math-shepherd.jsonl", Format::MathShepherd, 2, 2),
            ("logiqa2.txt", Format::Logiqa2, 3, 0),
            ("reclor.json", Format::Reclor, 6, 0),
            ("options.jsonl", Format::Options, 3, 0),
            ("code-ultra-feedback.jsonl", Format::CodeUltraFeedback, 1, 2),
            ("code-ultra-feedback-binarized.jsonl", Format::CodeUltraFeedback, 1, 0),
            ("reward-bench-2.jsonl", Format::RewardBench2, 3 * 3 + 9, 0),
        ];
        for (name, format, pairs, left_out) in cases {
            let (found, reasons) = read(name, format, None);
            assert_eq!((found.len(), reasons.rows()), (pairs, left_out), "{name}");
            assert!(found.iter().zip(0..).all(|(pair, id)| pair.id == id && pair.chosen != pair.rejected), "{name}");
        }
        assert_eq!(read("math-shepherd.jsonl", Format::MathShepherd, None).0[0].repository, "GSM8K");
    }

    #[test]
    fn prompts_are_put_as_the_template_says() {
        let template = "Question: {{ prompt }}Answer:\n";
        let (found, _) = read("math-shepherd.jsonl", Format::MathShepherd, Some(template));
        assert_eq!(found[1].prompt, "Question: What is the square of 7?\nAnswer:\n");
    }

    #[test]
    fn settings_that_make_no_pairs_are_named() {
        let wrong = |format, template| Adapter::new(format, template).unwrap_err();
        let (key, message) = wrong(Some(Format::Gsm8k), None);
        assert!(key == "format" && message.contains("formats that do: pairs, options, math-shepherd"), "{message}");
        assert_eq!(wrong(None, Some(PLAIN)).0, "template");
        assert_eq!(wrong(Some(Format::Reclor), Some("{{ question }}")).0, "template");
        assert!(Adapter::new(Some(Format::Pairs), None).unwrap().is_none());
    }
}

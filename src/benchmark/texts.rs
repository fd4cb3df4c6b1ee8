//! The texts of a benchmark's rows that training data must not hold: what is asked, and what answers it.

use serde_json::Value;

use super::items::item;
use super::{Format, plain, shepherd};
use crate::records::{RecordResult, Row};

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// The row's item, by the key that measurements have for it; of Math-Shepherd, the row's number.
    pub key: String,
    /// Texts with the field that each stands in.
    pub texts: Vec<(&'static str, String)>,
}

/// The texts of row `number` (from 0) of a file of this format. Solutions count though no measurement reads them; a
/// generator's samples do not.
///
/// # Errors
/// A field that is not as the format says.
pub fn texts(format: Format, row: &Row, number: usize) -> RecordResult<Texts> {
    if format == Format::MathShepherd {
        let text = shepherd::text(row)?;
        return Ok(Texts { key: plain::key(row, number)?, texts: vec![("input", text)] });
    }
    let key = match item(format, row, number)? {
        Ok(item) => item.key,
        Err(_) => plain::key(row, number)?,
    };
    let mut texts = Vec::new();
    for &field in fields(format) {
        if let Some(value) = row.get(field) {
            gather(value, &mut |text| texts.push((field, text.to_owned())));
        }
    }
    Ok(Texts { key, texts })
}

/// The fields that hold them; those that a row lacks are passed over.
fn fields(format: Format) -> &'static [&'static str] {
    match format {
        Format::Pairs | Format::RewardBench2 => &["prompt", "chosen", "rejected"],
        Format::Options => &["prompt", "options"],
        Format::Samples | Format::Questions => &["prompt", "answer"],
        Format::Gsm8k => &["question", "answer"],
        Format::Math => &["problem", "solution", "answer"],
        Format::MathShepherd => &["input"],
        Format::Reclor => &["context", "question", "answers"],
        Format::Logiqa2 => &["text", "question", "options"],
        Format::CodeUltraFeedback => &["instruction", "responses", "chosen", "rejected"],
        Format::HumanEval => &["prompt", "canonical_solution", "test"],
        Format::Mbpp => &["text", "prompt", "code", "test_list"],
    }
}

/// Every text in a value, however deep.
pub fn gather(value: &Value, each: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(values) => values.iter().for_each(|value| gather(value, each)),
        Value::Object(object) => object.values().for_each(|value| gather(value, each)),
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::records::rows;

    fn all(name: &str, format: Format) -> Vec<(String, &'static str, String)> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/benchmarks").join(name);
        let rows = rows(&path, None).unwrap().enumerate();
        let of = |(number, row): (usize, RecordResult<Row>)| {
            let Texts { key, texts } = texts(format, &row.unwrap(), number).unwrap();
            texts.into_iter().map(move |(field, text)| (key.clone(), field, text))
        };
        rows.flat_map(of).collect()
    }

    #[test]
    fn solutions_that_no_measurement_reads_are_among_the_texts() {
        let human = all("humaneval.jsonl.gz", Format::HumanEval);
        assert!(human.iter().any(|(_, field, text)| *field == "canonical_solution" && text.contains("return")));
        let gsm8k = all("gsm8k.jsonl", Format::Gsm8k);
        assert!(gsm8k.iter().any(|(key, field, text)| key == "0" && *field == "answer" && text.contains("#### 72")));
        let samples = all("samples.jsonl", Format::Samples);
        assert!(samples.iter().all(|(_, field, _)| ["prompt", "answer"].contains(field)));
    }

    #[test]
    fn marks_between_steps_are_no_words_of_a_solution() {
        let shepherd = all("math-shepherd.jsonl", Format::MathShepherd);
        assert_eq!(shepherd.len(), 6);
        assert!(shepherd[0].2.starts_with("Tom has 5 pens") && shepherd[0].2.ends_with("The answer is: 3"));
        assert!(shepherd.iter().all(|(_, _, text)| !text.contains('\u{43a}')), "{shepherd:?}");
    }
}

//! A dataset card in the form that Hugging Face's hub reads: Markdown behind a head in YAML.
//!
//! <https://github.com/huggingface/hub-docs/blob/main/datasetcard.md>

use std::fmt::Write as _;

use super::judge::JudgeAgreement;
use super::size::thousands;
use crate::store::quality::{PairCounts, Share};

/// A file of the data set.
#[derive(Clone, Debug)]
pub struct DatasetFile {
    /// train or test.
    pub split: &'static str,
    /// Its name in the folder.
    pub name: String,
    /// Rows.
    pub rows: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// What a card tells.
#[derive(Clone, Debug)]
pub struct CardFacts {
    /// Name of the pair stage.
    pub name: String,
    /// Hash that identifies the stage and what it stands on.
    pub fingerprint: String,
    /// The files.
    pub files: Vec<DatasetFile>,
    /// Columns of the files, with their types as `datasets` names them.
    pub features: Vec<(&'static str, &'static str)>,
    /// Counts over all pairs.
    pub counts: PairCounts,
    /// Pairs by licence.
    pub licences: Vec<Share>,
    /// Pairs by repository.
    pub repositories: Vec<Share>,
    /// Pairs by answering models.
    pub models: Vec<Share>,
    /// Pairs by describing model.
    pub describers: Vec<Share>,
    /// Evaluation sets that the pairs were compared with, and how many overlap; none if nobody looked.
    pub contamination: Option<(Vec<String>, u64)>,
    /// What judge models say of the pairs.
    pub judges: Vec<JudgeAgreement>,
}

/// Repositories that are named one by one.
const NAMED: usize = 40;

/// The card's text.
pub fn card(facts: &CardFacts) -> String {
    let mut text = head(facts);
    body(facts, &mut text);
    text
}

/// A YAML string: JSON's are YAML's as well.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Text in Markdown: nothing in it is markup, and it stays on one line of a table.
fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => safe.push(' '),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' => {
                safe.push('\\');
                safe.push(c);
            }
            c if c.is_control() => {}
            c => safe.push(c),
        }
    }
    safe
}

/// The hub's word for one licence, by its SPDX identifier; `other` where the pairs have several or an unknown one.
fn licence(licences: &[Share]) -> String {
    match licences {
        [only] if only.value != "not known" => only.value.to_lowercase(),
        _ => "other".to_owned(),
    }
}

fn size_category(rows: u64) -> &'static str {
    match rows {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        1_000_000..10_000_000 => "1M<n<10M",
        10_000_000..100_000_000 => "10M<n<100M",
        _ => "100M<n<1B",
    }
}

fn head(facts: &CardFacts) -> String {
    let rows: u64 = facts.files.iter().map(|file| file.rows).sum();
    let licence = licence(&facts.licences);
    let mut head = format!("---\npretty_name: {}\nlicense: {}\n", quoted(&facts.name), quoted(&licence));
    if licence == "other" {
        head.push_str("license_name: licences-of-the-repositories\nlicense_link: README.md\n");
    }
    head.push_str("language:\n- en\ntags:\n- code\n- python\n- preference\n- reward-modeling\n- synthetic\n");
    let _ =
        write!(head, "size_categories:\n- {}\nconfigs:\n- config_name: default\n  data_files:\n", size_category(rows));
    for file in &facts.files {
        let _ = writeln!(head, "  - split: {}\n    path: {}", file.split, quoted(&file.name));
    }
    head.push_str("dataset_info:\n  features:\n");
    for (name, kind) in &facts.features {
        let _ = writeln!(head, "  - name: {name}\n    dtype: {kind}");
    }
    head.push_str("  splits:\n");
    for file in &facts.files {
        let (split, rows, bytes) = (file.split, file.rows, file.bytes);
        let _ = writeln!(head, "  - name: {split}\n    num_bytes: {bytes}\n    num_examples: {rows}");
    }
    head.push_str("---\n\n");
    head
}

fn body(facts: &CardFacts, text: &mut String) {
    let counts = &facts.counts;
    let names = |shares: &[Share]| shares.iter().map(|share| plain(&share.value)).collect::<Vec<_>>().join("; ");
    let share = |part: i64| format!("{:.1} %", 100.0 * part as f64 / counts.pairs.max(1) as f64);
    let _ = write!(
        text,
        "# {}\n\nCode-preference pairs: to each prompt a *chosen* and a *rejected* answer, both Python. {} pairs, {} for \
         training and {} held out; all pairs of a repository are on one side.\n\n",
        plain(&facts.name),
        thousands(counts.pairs),
        thousands(counts.train),
        thousands(counts.test)
    );
    let _ = write!(
        text,
        "## How they were made\n\nSource files of the repositories below were filtered, freed of exact and near copies, and \
         cut into snippets. A model described each snippet ({}); two sources answered each description, seeing that alone \
         (chosen over rejected: {}). Which side is chosen follows from who wrote it: it is no judgement of a person on the \
         pair itself.\n\nMade by codepmp {}; the pair stage's fingerprint is `{}`. The method: CodePMP, arXiv 2410.02229.\n\n",
        names(&facts.describers),
        names(&facts.models),
        env!("CARGO_PKG_VERSION"),
        facts.fingerprint
    );
    let _ = write!(
        text,
        "## Quality\n\n| | |\n|---|---|\n| chosen side parses | {} |\n| rejected side parses | {} |\n| near-identical sides \
         (similarity of at least 0.98) | {} |\n| mean similarity of the sides | {:.3} |\n| median length of chosen over \
         rejected | {:.2} |\n",
        share(counts.chosen_valid),
        share(counts.rejected_valid),
        share(counts.near_identical),
        counts.similarity_mean,
        counts.length_ratio_median
    );
    let contamination = match &facts.contamination {
        Some((sets, pairs)) => format!(
            "{} pairs overlap ({})",
            thousands(*pairs as i64),
            sets.iter().map(|set| plain(set)).collect::<Vec<_>>().join(", ")
        ),
        None => "not looked for".to_owned(),
    };
    let _ = writeln!(text, "| overlap with evaluation sets | {contamination} |");
    for judge in &facts.judges {
        let _ = writeln!(text, "| agreement with the judge model {} | {} |", plain(&judge.model), agreement(judge));
    }
    if facts.judges.is_empty() {
        text.push_str("| agreement with a judge model | none was asked |\n");
    }
    text.push('\n');
    text.push_str("## Files\n\n| split | file | pairs |\n|---|---|---|\n");
    for file in &facts.files {
        let _ = writeln!(text, "| {} | {} | {} |", file.split, plain(&file.name), thousands(file.rows as i64));
    }
    text.push_str(
        "\n`prompt`, `chosen` and `rejected` are what a preference model is trained on; the other columns say which models \
         wrote them, whether they parse, and lead back to repository, revision, path and lines.\n\n## Licences\n\nThe code \
         comes under the licences of its repositories, and what the models wrote of it may stand under the terms of their \
         makers.\n\n| licence (SPDX) | pairs | share |\n|---|---|---|\n",
    );
    for licence in &facts.licences {
        let _ =
            writeln!(text, "| {} | {} | {} |", plain(&licence.value), thousands(licence.pairs), share(licence.pairs));
    }
    text.push_str("\n## Source\n\n| repository | pairs | share |\n|---|---|---|\n");
    for repository in facts.repositories.iter().take(NAMED) {
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            plain(&repository.value),
            thousands(repository.pairs),
            share(repository.pairs)
        );
    }
    if facts.repositories.len() > NAMED {
        let rest: i64 = facts.repositories[NAMED..].iter().map(|share| share.pairs).sum();
        let _ = writeln!(text, "| {} more | {} | {} |", facts.repositories.len() - NAMED, thousands(rest), share(rest));
    }
}

/// How often a judge prefers the chosen side, with all that qualifies it.
fn agreement(judge: &JudgeAgreement) -> String {
    let Some(found) = &judge.agreement else { return "no verdict but ties".to_owned() };
    let ties = judge.ties.as_ref().map_or(0.0, |ties| 100.0 * ties.value);
    let first = judge.first_share.as_ref().map_or(0.0, |first| 100.0 * first.value);
    format!(
        "{:.3} ({:.3} to {:.3}) of {} pairs; ties {ties:.1} %, {} without a verdict; prefers the answer shown first in {first:.1} %",
        found.value,
        found.low,
        found.high,
        thousands(found.n as i64),
        thousands(judge.failed)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(value: &str, pairs: i64) -> Share {
        let value = value.to_owned();
        Share { value, pairs, train: pairs, chosen_valid: pairs, rejected_valid: pairs, similarity_mean: 0.5 }
    }

    fn facts() -> CardFacts {
        let counts =
            PairCounts { pairs: 10, train: 8, test: 2, chosen_valid: 10, rejected_valid: 9, ..PairCounts::default() };
        let file = |split, rows| DatasetFile { split, name: format!("{split}.parquet"), rows, bytes: 100 };
        CardFacts {
            name: "pairs: \"a\"".into(),
            fingerprint: "abc".into(),
            files: vec![file("train", 8), file("test", 2)],
            features: vec![("prompt", "string"), ("chosen_valid", "bool")],
            counts,
            licences: vec![share("MIT", 10)],
            repositories: vec![share("owner/<script>x|y", 10)],
            models: vec![share("strong over weak", 10)],
            describers: vec![share("describer", 10)],
            contamination: Some((vec!["humaneval".into()], 3)),
            judges: Vec::new(),
        }
    }

    #[test]
    fn the_head_names_licence_size_splits_and_features() {
        let text = card(&facts());
        let head = text.split("---\n").nth(1).unwrap_or_default();
        for line in [
            "pretty_name: \"pairs: \\\"a\\\"\"",
            "license: \"mit\"",
            "- n<1K",
            "  - split: train\n    path: \"train.parquet\"",
            "  - name: prompt\n    dtype: string",
            "  - name: test\n    num_bytes: 100\n    num_examples: 2",
        ] {
            assert!(head.contains(line), "{line} in {head}");
        }
    }

    #[test]
    fn several_licences_and_an_unknown_one_are_called_other_and_listed() {
        for licences in [vec![share("MIT", 5), share("Apache-2.0", 5)], vec![share("not known", 10)]] {
            let text = card(&CardFacts { licences: licences.clone(), ..facts() });
            assert!(text.contains("license: \"other\"\nlicense_name: "));
            assert!(licences.iter().all(|licence| text.contains(&format!("| {} |", licence.value))));
        }
    }

    #[test]
    fn names_of_repositories_are_no_markup() {
        let text = card(&facts());
        assert!(!text.contains("<script>") && text.contains("| owner/&lt;script&gt;x\\|y | 10 | 100.0 % |"), "{text}");
        assert!(text.contains("3 pairs overlap (humaneval)"));
    }
}

//! Pairs of any source compared with evaluation sets right away, without a stage: what is in a file before it is trained on.

use super::{DecontaminateSettings, PairText, Screen, SetSettings, seven_tenths, thirteen};
use crate::benchmark::Format;
use crate::dedupe;
use crate::ids::PairId;
use crate::stages::training::Pairs;
use crate::store::contamination::{Contamination, PairTexts, ReferenceSet};

/// An evaluation set as an argument: a path, and behind a colon the format that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSet {
    /// The file or folder.
    pub path: String,
    /// Its format; all fields are compared without one.
    pub format: Option<Format>,
}

impl std::str::FromStr for NamedSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, format) = match text.rsplit_once(':').filter(|_| !std::path::Path::new(text).exists()) {
            Some((path, format)) => (path, Some(format.parse()?)),
            None => (text, None),
        };
        if path.is_empty() { Err("name a file".to_owned()) } else { Ok(Self { path: path.to_owned(), format }) }
    }
}

/// Overlaps of prompts and both sides of pairs with evaluation sets, by the settings that a decontaminate stage has where it
/// says nothing; the largest first. Blocks.
///
/// # Errors
/// [`crate::stages::WrongInput`] for a set that cannot be read.
pub fn overlaps(pairs: &Pairs, sets: &[NamedSet]) -> anyhow::Result<(Vec<ReferenceSet>, Vec<Contamination>)> {
    let set = |set: &NamedSet| SetSettings {
        name: set.path.clone(),
        path: set.path.clone(),
        format: set.format,
        fields: Vec::new(),
    };
    let settings = DecontaminateSettings {
        sets: sets.iter().map(set).collect(),
        texts: vec![PairText::Prompt, PairText::Chosen, PairText::Rejected],
        ngram: thirteen(),
        threshold: seven_tenths(),
    };
    let near = dedupe::Settings { threshold: settings.threshold, ..dedupe::Settings::default() };
    let mut screen = Screen::read(&settings, &near, std::path::Path::new(""))?;
    let texts = pairs.pairs.iter().map(|pair| PairTexts {
        id: PairId(pair.id),
        prompt: pair.prompt.clone(),
        chosen: pair.chosen.clone(),
        rejected: pair.rejected.clone(),
        snippet: String::new(),
        document_id: 0,
    });
    let mut found: Vec<_> = texts.flat_map(|texts| screen.all(&[texts], &std::collections::HashMap::new())).collect();
    found.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.pair_id.0.cmp(&b.pair_id.0)));
    Ok((screen.sets, found))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_a_path_and_may_name_its_format() {
        let set = |text: &str| text.parse::<NamedSet>();
        assert_eq!(set("a/b.jsonl").unwrap(), NamedSet { path: "a/b.jsonl".into(), format: None });
        assert_eq!(set("a.jsonl:math").unwrap(), NamedSet { path: "a.jsonl".into(), format: Some(Format::Math) });
        assert!(set("a.jsonl:maths").unwrap_err().contains("there is no format `maths`"));
        assert!(set(":math").is_err());
    }
}

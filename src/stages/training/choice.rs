//! Which pairs of a source are meant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::train::data::Pair;

/// A side of the split, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Pairs for training.
    #[default]
    Train,
    /// Held-out pairs.
    Test,
    /// Both.
    All,
}

impl Split {
    /// The word in files and rows; none for both.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Train => Some("train"),
            Self::Test => Some("test"),
            Self::All => None,
        }
    }
}

impl std::str::FromStr for Split {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "train" => Ok(Self::Train),
            "test" => Ok(Self::Test),
            "all" => Ok(Self::All),
            other => Err(format!("there is no split `{other}`; splits are: train, test, all")),
        }
    }
}

/// Which pairs of a source are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PairChoice {
    /// train, test or all; a file without splits is one.
    pub split: Split,
    /// At most so many pairs, drawn by chance with `seed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Decides which pairs a limit leaves.
    pub seed: u64,
    /// Only pairs of repositories that match one of these patterns.
    pub repositories: Vec<String>,
    /// No pairs of repositories that match one of these patterns.
    pub except: Vec<String>,
    /// No pairs that a decontaminate stage has marked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub clean: bool,
}

impl PairChoice {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    pub fn check(&self) -> Result<(), String> {
        if self.limit == Some(0) {
            return Err("limit is 0: leave it out for all pairs".into());
        }
        self.patterns().map(drop)
    }

    fn patterns(&self) -> Result<(Vec<glob::Pattern>, Vec<glob::Pattern>), String> {
        let compile = |patterns: &[String]| {
            (patterns.iter())
                .map(|text| glob::Pattern::new(text).map_err(|error| format!("`{text}` is not a pattern: {error}")))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok((compile(&self.repositories)?, compile(&self.except)?))
    }

    /// Keeps what is meant of `pairs`, in their order. Whether a limit leaves a pair follows from what it says, not
    /// from its id or the pairs beside it.
    pub(super) fn choose(&self, pairs: Vec<Pair>) -> Result<Vec<Pair>, String> {
        let (only, except) = self.patterns()?;
        let matches = |patterns: &[glob::Pattern], name: &str| patterns.iter().any(|pattern| pattern.matches(name));
        let mut kept: Vec<Pair> = (pairs.into_iter())
            .filter(|pair| {
                let name = &pair.repository;
                (only.is_empty() || matches(&only, name)) && !matches(&except, name)
            })
            .collect();
        let Some(limit) = self.limit.filter(|limit| *limit < kept.len()) else { return Ok(kept) };
        // The pairs with the least keys: a larger limit keeps what a smaller one kept.
        let mut keys: Vec<(u64, usize)> =
            kept.iter().enumerate().map(|(at, pair)| (draw(self.seed, pair), at)).collect();
        keys.sort_unstable();
        let mut keep = vec![false; kept.len()];
        keys[..limit].iter().for_each(|&(_, at)| keep[at] = true);
        let mut at = 0;
        kept.retain(|_| {
            at += 1;
            keep[at - 1]
        });
        Ok(kept)
    }
}

/// A number by chance that follows from a pair's texts: ids are given in the order of arrival, which no other run repeats.
pub(super) fn draw(seed: u64, pair: &Pair) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    add_texts(&mut hasher, pair);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

/// Adds what a pair says.
pub(super) fn add_texts(hasher: &mut blake3::Hasher, pair: &Pair) {
    for text in [&pair.prompt, &pair.chosen, &pair.rejected] {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pair(id: i64, repository: &str) -> Pair {
        let text = || format!("{id}");
        let (prompt, chosen, rejected) = (text(), text(), text());
        Pair { id, prompt, chosen, rejected, margin: 0.0, repository: repository.to_owned(), split: None }
    }

    #[test]
    fn a_limit_draws_by_seed_and_a_larger_one_keeps_what_a_smaller_one_kept() {
        let choose = |limit, seed| -> Vec<i64> {
            let choice = PairChoice { limit: Some(limit), seed, ..PairChoice::default() };
            let chosen = choice.choose((0..100).map(|id| pair(id, "")).collect()).unwrap();
            chosen.iter().map(|pair| pair.id).collect()
        };
        let (few, more) = (choose(10, 1), choose(30, 1));
        assert_eq!((few.len(), more.len()), (10, 30));
        assert!(few.iter().all(|pair| more.contains(pair)) && few.is_sorted());
        assert_ne!(few, choose(10, 2));
        assert_eq!(choose(1000, 1).len(), 100);
        // Other ids, the same texts.
        let choice = PairChoice { limit: Some(10), seed: 1, ..PairChoice::default() };
        let others = (0..100).rev().map(|id| Pair { id: 500 - id, ..pair(id, "") }).collect();
        let mut texts: Vec<i64> = choice.choose(others).unwrap().iter().map(|pair| 500 - pair.id).collect();
        texts.sort_unstable();
        assert_eq!(texts, few);
    }

    #[test]
    fn repositories_are_chosen_by_pattern() {
        let choice: PairChoice = toml::from_str("repositories = ['re*', 'flask']\nexcept = ['requests-?']").unwrap();
        let names = ["requests", "requests-2", "rich", "flask", "rerun"];
        let pairs = names.iter().zip(0..).map(|(name, id)| pair(id, name)).collect();
        let kept: Vec<i64> = choice.choose(pairs).unwrap().iter().map(|pair| pair.id).collect();
        assert_eq!(kept, [0, 3, 4]);
        let broken = PairChoice { except: vec!["a**b".into()], ..PairChoice::default() };
        assert!(broken.check().unwrap_err().contains("`a**b`"));
    }
}

//! `decontaminate`: marks pairs that overlap with evaluation sets. Training on marked pairs is refused unless told
//! otherwise.

mod direct;
mod sets;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::spawn_blocking;

pub use self::direct::{NamedSet, overlaps};
use self::sets::{ItemText, read_set};
use super::{AnyStage, Kind, WrongInput, only_need, resolve};
use crate::benchmark::Format;
use crate::dedupe::{self, Overlap, OverlapClass, References};
use crate::engine::Context;
use crate::ids::PairId;
use crate::store::contamination::{Contamination, PairTexts, ReferenceSet};

/// Pairs in one transaction.
const PAGE: i64 = 256;
/// Characters of an excerpt.
const EXCERPT: usize = 300;

/// A text of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PairText {
    /// What both sides answer.
    Prompt,
    /// The better side.
    Chosen,
    /// The worse side.
    Rejected,
    /// The snippet that the pair was made from.
    Snippet,
    /// The whole document of that snippet.
    Document,
}

impl PairText {
    fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Chosen => "chosen",
            Self::Rejected => "rejected",
            Self::Snippet => "snippet",
            Self::Document => "document",
        }
    }
}

/// An evaluation set.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSettings {
    /// Name of the set, unique in the stage.
    pub name: String,
    /// Its file or folder as published, relative to the pipeline file's folder: .jsonl, .json, .ndjson, .txt, each also
    /// with .gz or .zst, or .parquet.
    pub path: String,
    /// Format of the file, such as gsm8k: its rows are checked, and the texts that they ask and answer with are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Fields whose texts are compared; those of `format` if left out, all fields without a format.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// Settings of a `decontaminate` stage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecontaminateSettings {
    /// The evaluation sets that pairs are compared with.
    pub sets: Vec<SetSettings>,
    /// Which texts of a pair are compared: prompt, chosen, rejected, snippet, document.
    #[serde(default = "texts")]
    pub texts: Vec<PairText>,
    /// Words in a run that marks a pair when it has it in common with an item. Shorter texts are not compared.
    #[serde(default = "thirteen")]
    pub ngram: usize,
    /// Estimated Jaccard similarity of word 5-grams from which a text is a near-duplicate of an item's, 0.5 to 1.
    #[serde(default = "seven_tenths")]
    pub threshold: f64,
}

fn texts() -> Vec<PairText> {
    vec![PairText::Prompt, PairText::Chosen, PairText::Rejected, PairText::Snippet]
}
fn thirteen() -> usize {
    13
}
fn seven_tenths() -> f64 {
    0.7
}

/// A `decontaminate` stage.
#[derive(Debug)]
pub struct Decontaminate {
    settings: DecontaminateSettings,
    near: dedupe::Settings,
    base: PathBuf,
}

impl Decontaminate {
    /// Checks the settings.
    ///
    /// # Errors
    /// The name of the setting that is wrong, and why.
    pub fn new(settings: DecontaminateSettings, base: PathBuf) -> Result<Self, (&'static str, String)> {
        if settings.sets.is_empty() {
            return Err(("sets", "is empty: name at least one evaluation set".into()));
        }
        let mut names: Vec<_> = settings.sets.iter().map(|set| set.name.as_str()).collect();
        names.sort_unstable();
        if let Some([name, _]) = names.array_windows().find(|[one, other]| one == other) {
            return Err(("sets", format!("two sets are called `{name}`")));
        }
        if settings.texts.is_empty() {
            return Err(("texts", "is empty: name at least one text of a pair".into()));
        }
        if !(2..=64).contains(&settings.ngram) {
            return Err(("ngram", format!("is {}: set it to 2 to 64 words", settings.ngram)));
        }
        let near = dedupe::Settings { threshold: settings.threshold, ..dedupe::Settings::default() };
        near.validate().map_err(|error| ("threshold", error.to_string()))?;
        Ok(Self { settings, near, base })
    }

    /// Compares all pairs that were not compared yet; all of them again where a set has changed.
    pub async fn run(&self, mut context: Context<AnyStage>) -> anyhow::Result<()> {
        if !context.inputs_end().await {
            return Ok(());
        }
        let Some(lock) = super::pair::lock(&context).await? else { return Ok(()) };
        let compared = self.compare_all(&context).await;
        lock.release().await;
        compared
    }

    async fn compare_all(&self, context: &Context<AnyStage>) -> anyhow::Result<()> {
        let (settings, near, base) = (self.settings.clone(), self.near.clone(), self.base.clone());
        let mut screen = spawn_blocking(move || Screen::read(&settings, &near, &base))
            .await
            .context("a bug: reading evaluation sets ended early")??;
        let (store, id, pairs) = (&context.store, context.id(), context.needs[0][0]);
        let mut after = store.begin_contamination(id, &screen.sets).await?;
        let with_documents = self.settings.texts.contains(&PairText::Document);
        let (mut left, mut marked) = (context.limit.unwrap_or(u64::MAX), 0);
        while left > 0 && !context.shutdown.is_cancelled() {
            let page = store.pair_texts(pairs, after, PAGE.min(left.min(PAGE as u64) as i64)).await?;
            let Some(last) = page.last().map(|pair| pair.id) else { break };
            let rows = page.len() as u64;
            let documents: Vec<i64> =
                if with_documents { page.iter().map(|pair| pair.document_id).collect() } else { Vec::new() };
            let documents = store.document_texts(&documents).await?;
            let (back, found) = spawn_blocking(move || {
                let found = screen.all(&page, &documents);
                (screen, found)
            })
            .await
            .context("a bug: comparing ended early")?;
            screen = back;
            store.commit_contamination(id, last, &found).await?;
            (after, left) = (last, left - rows);
            marked += found.chunk_by(|a, b| a.pair_id == b.pair_id).count();
            context.meter().add_done(rows);
            context.meter().set_note(format!("{marked} overlap"));
        }
        Ok(())
    }
}

/// All sets, ready to compare with.
struct Screen {
    sets: Vec<ReferenceSet>,
    /// The place of the set that each reference belongs to.
    set_of: Vec<usize>,
    items: Vec<ItemText>,
    references: References,
    texts: Vec<PairText>,
}

impl Screen {
    fn read(settings: &DecontaminateSettings, near: &dedupe::Settings, base: &std::path::Path) -> anyhow::Result<Self> {
        let (mut sets, mut set_of, mut items) = (Vec::new(), Vec::new(), Vec::new());
        for (place, set) in settings.sets.iter().enumerate() {
            let path = resolve(base, &set.path);
            let read = read_set(&path, set.format, &set.fields)
                .map_err(|error| WrongInput(format!("set `{}`: {error}", set.name)))?;
            let mut hasher = blake3::Hasher::new();
            for text in &read.texts {
                for part in [&text.item, &text.field, &text.text] {
                    hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
                }
            }
            sets.push(ReferenceSet {
                name: set.name.clone(),
                path: path.to_string_lossy().into_owned(),
                mark: hasher.finalize().to_hex()[..32].to_owned(),
                items: read.items as i64,
                texts: 0,
            });
            set_of.resize(set_of.len() + read.texts.len(), place);
            items.extend(read.texts);
        }
        let references = References::new(items.iter().map(|item| item.text.as_str()), settings.ngram, near)?;
        for (at, place) in set_of.iter().enumerate() {
            sets[*place].texts += i64::from(references.is_compared(at));
        }
        if let Some(set) = sets.iter().find(|set| set.texts == 0) {
            let message = format!(
                "set `{}` has no text of {} words or more: nothing can be told from it",
                set.name, settings.ngram
            );
            return Err(WrongInput(message).into());
        }
        Ok(Self { sets, set_of, items, references, texts: settings.texts.clone() })
    }

    fn all(&mut self, page: &[PairTexts], documents: &std::collections::HashMap<i64, String>) -> Vec<Contamination> {
        let mut found = Vec::new();
        // Many pairs of a page are of one document.
        let mut of_document: BTreeMap<i64, Arc<Vec<Contamination>>> = BTreeMap::new();
        for pair in page {
            for which in self.texts.clone() {
                let text = match which {
                    PairText::Prompt => &pair.prompt,
                    PairText::Chosen => &pair.chosen,
                    PairText::Rejected => &pair.rejected,
                    PairText::Snippet => &pair.snippet,
                    PairText::Document => {
                        let known = of_document.entry(pair.document_id).or_insert_with(|| {
                            let text = documents.get(&pair.document_id).map_or("", String::as_str);
                            Arc::new(self.one(pair.id, which, text))
                        });
                        found.extend(known.iter().map(|row| Contamination { pair_id: pair.id, ..row.clone() }));
                        continue;
                    }
                };
                found.extend(self.one(pair.id, which, text));
            }
        }
        found
    }

    /// For each set and class the item that overlaps most.
    fn one(&mut self, pair: PairId, which: PairText, text: &str) -> Vec<Contamination> {
        let mut best: BTreeMap<(usize, OverlapClass), (Overlap, Vec<&str>)> = BTreeMap::new();
        for overlap in self.references.overlaps(text) {
            let item = self.items[overlap.reference].item.as_str();
            let key = (self.set_of[overlap.reference], overlap.class);
            match best.get_mut(&key) {
                Some((most, items)) => {
                    items.push(item);
                    if overlap.similarity > most.similarity {
                        *most = overlap;
                    }
                }
                None => {
                    best.insert(key, (overlap, vec![item]));
                }
            }
        }
        let row = |((set, class), (overlap, mut items)): ((usize, OverlapClass), (Overlap, Vec<&str>))| {
            items.sort_unstable();
            items.dedup();
            let item = &self.items[overlap.reference];
            Contamination {
                pair_id: pair,
                text: which.name().to_owned(),
                set_name: self.sets[set].name.clone(),
                class: match class {
                    OverlapClass::Ngram => "ngram".to_owned(),
                    OverlapClass::NearDuplicate => "near_duplicate".to_owned(),
                },
                item: item.item.replace('\0', "\u{fffd}"),
                field: item.field.replace('\0', "\u{fffd}"),
                similarity: overlap.similarity,
                items: items.len() as i32,
                excerpt: text[overlap.span].chars().take(EXCERPT).collect(),
            }
        };
        best.into_iter().map(row).collect()
    }
}

impl Kind for Decontaminate {
    fn identity(&self) -> serde_json::Value {
        json!(self.settings)
    }

    fn check_needs(&self, needs: &[(&str, &AnyStage)]) -> Result<(), String> {
        only_need(needs, &["pair"]).map(drop)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn settings(text: &str) -> DecontaminateSettings {
        toml::from_str(text).unwrap()
    }

    fn screen(set: &str) -> Screen {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("set.jsonl"), set).unwrap();
        let settings = settings("sets = [{ name = 'set', path = 'set.jsonl' }]\ntexts = ['chosen', 'document']");
        Screen::read(&settings, &dedupe::Settings::default(), folder.path()).unwrap()
    }

    fn pair(id: i64, chosen: &str) -> PairTexts {
        let text = || "unlike".to_owned();
        let (prompt, rejected, snippet) = (text(), text(), text());
        PairTexts { id: PairId(id), prompt, chosen: chosen.into(), rejected, snippet, document_id: 5 }
    }

    #[test]
    fn the_item_that_overlaps_most_is_listed_for_each_text_and_class() {
        let long = |from: u32, count: u32| (from..from + count).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
        let line = |id: &str, text: &str| format!("{{\"id\":\"{id}\",\"solution\":\"{text}\"}}\n");
        let set = line("one", &long(0, 60)) + &line("two", &long(20, 30)) + &line("short", "too few words");
        let mut screen = screen(&set);
        assert_eq!((screen.sets[0].items, screen.sets[0].texts), (3, 2));
        let documents = [(5, format!("# {}", long(20, 30)))].into();
        let found = screen.all(&[pair(1, &long(20, 14)), pair(2, "nothing in common")], &documents);
        let brief: Vec<_> =
            found.iter().map(|row| (row.pair_id.0, &*row.text, &*row.class, &*row.item, row.items)).collect();
        let document = |pair| [(pair, "document", "ngram", "two", 2), (pair, "document", "near_duplicate", "two", 1)];
        assert_eq!(brief[0], (1, "chosen", "ngram", "two", 2));
        assert_eq!(brief[1..3], document(1));
        assert_eq!(brief[3..], document(2));
        assert_eq!((found[0].field.as_str(), found[0].excerpt.as_str()), ("solution", long(20, 13).as_str()));
        assert!((found[0].similarity - 2.0 / 18.0).abs() < 1e-6);
    }

    #[test]
    fn settings_that_cannot_be_are_named() {
        let wrong = |text: &str| Decontaminate::new(settings(text), PathBuf::new()).unwrap_err().0;
        let set = "{ name = 'a', path = 'a.jsonl' }";
        assert_eq!(wrong("sets = []"), "sets");
        assert_eq!(wrong(&format!("sets = [{set}, {set}]")), "sets");
        assert_eq!(wrong(&format!("sets = [{set}]\ntexts = []")), "texts");
        assert_eq!(wrong(&format!("sets = [{set}]\nngram = 1")), "ngram");
        assert_eq!(wrong(&format!("sets = [{set}]\nthreshold = 0.2")), "threshold");
    }
}

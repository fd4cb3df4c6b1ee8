//! Prompts with answers to be scored, and where each reward belongs.
//!
//! Answers to one prompt share it in a row, however many there are (best-of-N); answers do not see each other, so a
//! score does not depend on what it is computed beside.

use std::path::Path;

use serde_json::{Map, Value};

use super::batch::{Batch, BatchSettings, Layout, PROMPT};
use super::encoder::{Encoded, Encoder, Refusal};
use super::error::DataResult;
use super::files::files;
use super::pack::{Bin, batch_sizes, bins, length_bucket};
use super::step::pair_bucket;
use crate::records::{RecordResult, Row, Rows, rows};

const COLUMNS: [&str; 5] = ["id", "prompt", "answer", "chosen", "rejected"];

/// What is to be scored of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answers {
    /// `answer`.
    One(String),
    /// `chosen` and `rejected`.
    Two(String, String),
}

/// A row of an input file.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreInput {
    /// The prompt.
    pub prompt: String,
    /// What answers it.
    pub answers: Answers,
    /// The row's other fields; of Parquet files its `id` alone.
    pub rest: Map<String, Value>,
}

impl ScoreInput {
    fn of(row: Row) -> RecordResult<Self> {
        let answers = if row.get("answer").is_some() || row.get("chosen").is_none() {
            Answers::One(row.text("answer")?)
        } else {
            Answers::Two(row.text("chosen")?, row.text("rejected")?)
        };
        let prompt = row.text("prompt")?;
        let mut rest = row.fields;
        rest.retain(|name, _| name == "id" || !COLUMNS.contains(&name.as_str()));
        Ok(Self { prompt, answers, rest })
    }

    /// The answers' texts.
    pub fn texts(&self) -> Vec<&str> {
        match &self.answers {
            Answers::One(answer) => vec![answer],
            Answers::Two(chosen, rejected) => vec![chosen, rejected],
        }
    }

    /// Encodes the row.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode(&self, encoder: &Encoder) -> DataResult<Result<Encoded, Refusal>> {
        encoder.encode(&self.prompt, &self.texts())
    }
}

/// Reads rows of `prompt` and `answer`, or of `prompt`, `chosen` and `rejected`, from a file or a folder of them.
///
/// # Errors
/// When there is no such file; later, per row, which field is missing or of a wrong type.
pub fn read_score_inputs(path: &Path) -> DataResult<impl Iterator<Item = DataResult<ScoreInput>> + Send> {
    let mut files = files(path)?.into_iter();
    let mut open: Option<Rows> = None;
    let mut step = move || -> DataResult<Option<ScoreInput>> {
        loop {
            if let Some(row) = open.as_mut().and_then(Iterator::next) {
                return Ok(Some(ScoreInput::of(row?)?));
            }
            let Some(file) = files.next() else { return Ok(None) };
            open = Some(rows(&file, Some(&COLUMNS))?);
        }
    };
    let mut failed = false;
    Ok(std::iter::from_fn(move || {
        if failed {
            return None;
        }
        let next = step().transpose();
        failed = matches!(next, Some(Err(_)));
        next
    }))
}

/// A batch to be scored. Its rewards come in the order of `batch.last`; that at `n` is of the answer `places[n]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreBatch {
    /// What the model is given. Its weights are zero, and it lists no places for a language-model loss.
    pub batch: Batch,
    /// Prompt and answer, by index, of each reward; fillers follow.
    pub places: Vec<(usize, usize)>,
}

impl ScoreBatch {
    /// Writes rewards to where they belong: `scores[prompt][answer]`.
    ///
    /// # Panics
    /// When `scores` is not as large as what was laid out: that is a bug.
    pub fn restore(&self, rewards: &[f32], scores: &mut [Vec<f32>]) {
        for (&(prompt, answer), &reward) in self.places.iter().zip(rewards) {
            scores[prompt][answer] = reward;
        }
    }
}

/// A prompt with some of its answers, to lie in one row.
struct Share<'t> {
    prompt: usize,
    text: &'t Encoded,
    answers: std::ops::Range<usize>,
}

impl Share<'_> {
    fn length(&self) -> usize {
        self.text.prompt.len() + self.text.answers[self.answers.clone()].iter().map(Vec::len).sum::<usize>()
    }
}

/// Lays prompts out for scoring, the longest first. More of them at once waste less; a few hundred are enough.
pub fn score_batches(texts: &[Encoded], settings: &BatchSettings) -> Vec<ScoreBatch> {
    let row_length = match settings.layout {
        Layout::Packed { row_length } => row_length,
        Layout::Padded => 0,
    };
    let shares: Vec<Share> = texts.iter().enumerate().flat_map(|(n, text)| shares(n, text, row_length)).collect();
    let lengths: Vec<usize> = shares.iter().map(Share::length).collect();
    let mut bins = match settings.layout {
        Layout::Packed { .. } => bins(&lengths, row_length),
        Layout::Padded => {
            let alone = |(item, &fill)| Bin { capacity: length_bucket(fill), fill, items: vec![item] };
            lengths.iter().enumerate().map(alone).collect()
        }
    };
    bins.sort_by_key(|bin| std::cmp::Reverse((bin.capacity, bin.fill)));
    let mut batches = Vec::new();
    for rows in bins.chunk_by(|a, b| a.capacity == b.capacity) {
        let mut rest = rows;
        for size in batch_sizes(rows.len(), settings.micro_tokens / rows[0].capacity) {
            let (now, later) = rest.split_at(size);
            rest = later;
            let rows: Vec<Vec<&Share>> =
                now.iter().map(|bin| bin.items.iter().map(|&item| &shares[item]).collect()).collect();
            batches.push(lay(&rows, now[0].capacity, settings.pad));
        }
    }
    batches
}

/// The answers of a prompt in as few rows as they fit into; one alone always goes.
fn shares(prompt: usize, text: &Encoded, row_length: usize) -> Vec<Share<'_>> {
    let mut shares: Vec<Share> = Vec::new();
    for (answer, tokens) in text.answers.iter().enumerate() {
        match shares.last_mut().filter(|share| share.length() + tokens.len() <= row_length) {
            Some(share) => share.answers.end = answer + 1,
            None => shares.push(Share { prompt, text, answers: answer..answer + 1 }),
        }
    }
    shares
}

fn lay(rows: &[Vec<&Share>], length: usize, pad: u32) -> ScoreBatch {
    let mut batch = Batch::blank(rows.len(), length, pad);
    let mut places = Vec::new();
    let mut texts = 0;
    for (row, shares) in rows.iter().enumerate() {
        let mut at = row * length;
        for share in shares {
            let prompt = &share.text.prompt;
            at = batch.write(at, prompt, 0, texts, PROMPT);
            for (branch, answer) in share.answers.clone().enumerate() {
                at = batch.write(at, &share.text.answers[answer], prompt.len(), texts, 1 + branch as i64);
                batch.last.push(at as i64 - 1);
                places.push((share.prompt, answer));
            }
            texts += 1;
        }
    }
    batch.shape.pairs = pair_bucket(places.len().div_ceil(2), batch.shape.tokens());
    batch.last.resize(2 * batch.shape.pairs, 0);
    batch.pair_weights = vec![0.0; batch.shape.pairs];
    batch.margins = vec![0.0; batch.shape.pairs];
    ScoreBatch { batch, places }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAD: u32 = 9999;

    fn layouts() -> [BatchSettings; 3] {
        [Layout::Packed { row_length: 96 }, Layout::Packed { row_length: 16 }, Layout::Padded]
            .map(|layout| BatchSettings { layout, micro_tokens: 400, lm: false, sorted: false, pad: PAD })
    }

    /// A token of a batch with what it sees before it, in the words of the mask.
    fn seen(batch: &Batch, at: usize) -> Vec<u32> {
        let row = at / batch.shape.length * batch.shape.length;
        let of = |other: &usize| {
            batch.pair[*other] == batch.pair[at] && [PROMPT, batch.branch[at]].contains(&batch.branch[*other])
        };
        (row..=at).filter(of).map(|other| batch.ids[other] as u32).collect()
    }

    fn texts(lengths: &[(usize, Vec<usize>)]) -> Vec<Encoded> {
        let mut next = 0..;
        let mut tokens = |count: usize| next.by_ref().take(count).collect::<Vec<u32>>();
        let text = |(prompt, answers): &(usize, Vec<usize>)| Encoded {
            prompt: tokens(*prompt),
            answers: answers.iter().map(|&count| tokens(count)).collect(),
            cut_prompt: false,
            cut_answer: false,
        };
        lengths.iter().map(text).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn every_answer_is_scored_once_after_its_own_prompt_and_goes_back_to_its_place(
            lengths in prop::collection::vec((0..40_usize, prop::collection::vec(1..40_usize, 1..6)), 0..20),
        ) {
            let texts = texts(&lengths);
            for settings in layouts() {
                // In place of a reward: the sum over what the token sees, which no other sequence has.
                let sum = |tokens: &[u32]| tokens.iter().map(|&token| token as f32 + 1.0).sum::<f32>();
                let mut scores: Vec<_> = texts.iter().map(|text| vec![f32::NAN; text.answers.len()]).collect();
                let batches = score_batches(&texts, &settings);
                prop_assert_eq!(batches.iter().map(|b| b.places.len()).sum::<usize>(), lengths.iter().map(|l| l.1.len()).sum::<usize>());
                for ScoreBatch { batch, places } in &batches {
                    prop_assert_eq!(batch.last.len(), 2 * batch.shape.pairs);
                    prop_assert!(batch.shape.tokens() <= settings.micro_tokens.max(batch.shape.length));
                    let rewards: Vec<_> = batch.last.iter().map(|&at| sum(&seen(batch, at as usize))).collect();
                    ScoreBatch { batch: batch.clone(), places: places.clone() }.restore(&rewards, &mut scores);
                }
                for (text, scores) in texts.iter().zip(&scores) {
                    let wanted: Vec<_> = text.answers.iter().map(|a| sum(&text.prompt) + sum(a)).collect();
                    prop_assert_eq!(scores, &wanted);
                }
            }
        }
    }

    #[test]
    fn rows_of_either_kind_are_read_and_keep_their_other_fields() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.jsonl");
        let rows = "{\"id\":5,\"prompt\":\"p\",\"answer\":\"a\",\"model\":\"m\"}\n\
                    {\"prompt\":\"p\",\"chosen\":\"c\",\"rejected\":\"r\"}\n{\"prompt\":\"p\"}\n";
        std::fs::write(&path, rows).unwrap();
        let mut inputs = read_score_inputs(&path).unwrap();
        let first = inputs.next().unwrap().unwrap();
        assert_eq!((first.texts(), first.rest.len()), (vec!["a"], 2));
        assert_eq!((first.rest["id"].as_i64(), first.rest["model"].as_str()), (Some(5), Some("m")));
        assert_eq!(inputs.next().unwrap().unwrap().texts(), ["c", "r"]);
        let error = inputs.next().unwrap().unwrap_err().to_string();
        assert!(error.contains("in.jsonl:3: field `answer` is missing"), "{error}");
        assert!(inputs.next().is_none());
    }
}

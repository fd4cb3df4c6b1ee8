//! Texts as tokens, within the length that the model is trained at.
//!
//! Prompt and answers are encoded apart, so that both answers of a pair follow the same prompt tokens. Special tokens that
//! the tokenizer puts before a text (Llama's `<s>`) come before the prompt alone; those that it would put behind are left
//! out, and an end token comes where the settings ask for it.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokenizers::Tokenizer;

use super::error::{DataError, DataResult};
use super::pair::Pair;
use super::tokenised::{Counts, Tokenised};
use crate::nn::ModelConfig;

/// What becomes of a prompt whose longer answer does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// The pair is left out.
    #[default]
    Drop,
    /// The prompt loses its beginning; an answer that does not fit with one token of it leaves the pair out.
    CutPrompt,
    /// The answers lose their ends. Rewards are then read at the last token that is kept, or at the end token where one
    /// is added. A prompt that leaves no room for an answer leaves the pair out.
    CutAnswer,
}

/// How texts become tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderSettings {
    /// Most tokens of a prompt with one answer, the end token included.
    pub max_length: usize,
    /// What becomes of longer ones: drop, cut_prompt or cut_answer.
    pub truncation: Truncation,
    /// Whether an end token closes every answer, a cut one too.
    pub append_end: bool,
}

impl Default for EncoderSettings {
    fn default() -> Self {
        Self { max_length: 1024, truncation: Truncation::Drop, append_end: false }
    }
}

/// Why a text was not encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An answer without text has no token to read a reward at.
    #[error("an answer holds no text")]
    Empty,
    /// It does not fit, and may not be cut.
    #[error("{tokens} tokens are more than the limit of {limit}: raise max_length, or set truncation")]
    TooLong {
        /// Tokens of the prompt with its longest answer.
        tokens: usize,
        /// The limit.
        limit: usize,
    },
}

/// A prompt with its answers as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The prompt.
    pub prompt: Vec<u32>,
    /// The answers; none is empty.
    pub answers: Vec<Vec<u32>>,
    /// Whether the prompt lost its beginning.
    pub cut_prompt: bool,
    /// Whether an answer lost its end.
    pub cut_answer: bool,
}

/// A model's tokenizer with the settings to use it by.
pub struct Encoder {
    tokenizer: Tokenizer,
    settings: EncoderSettings,
    end: Option<u32>,
    pad: u32,
}

impl Encoder {
    /// Reads the `tokenizer.json` of a model folder.
    ///
    /// # Errors
    /// When it cannot be read, or does not fit the model or the settings.
    pub fn load(folder: &Path, model: &ModelConfig, settings: EncoderSettings) -> DataResult<Self> {
        let file = folder.join("tokenizer.json");
        let tokenizer = Tokenizer::from_file(&file)
            .map_err(|error| DataError::Tokenizer { place: file.display().to_string(), message: error.to_string() })?;
        Self::new(tokenizer, model, settings)
    }

    /// Takes a tokenizer for `model`; what it would cut or pad by itself is turned off.
    ///
    /// # Errors
    /// When it has tokens that the model has no embedding for, or the settings cannot be.
    pub fn new(mut tokenizer: Tokenizer, model: &ModelConfig, settings: EncoderSettings) -> DataResult<Self> {
        let highest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
        let highest = highest.max(model.eos_token_id.unwrap_or(0)).max(model.pad_token_id.unwrap_or(0));
        if highest as usize >= model.vocab_size {
            return Err(DataError::Vocabulary { highest, rows: model.vocab_size });
        }
        let end = match (settings.append_end, model.eos_token_id) {
            (true, None) => return Err(DataError::NoEnd),
            (append, end) => end.filter(|_| append),
        };
        if settings.max_length < 2 + usize::from(settings.append_end) {
            return Err(DataError::MaxLength { max_length: settings.max_length });
        }
        tokenizer.with_padding(None);
        // Turning truncation off cannot fail.
        let _ = tokenizer.with_truncation(None);
        Ok(Self { tokenizer, settings, end, pad: model.pad_token_id.or(model.eos_token_id).unwrap_or(0) })
    }

    /// The token to fill rows with.
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// The settings.
    pub fn settings(&self) -> EncoderSettings {
        self.settings
    }

    /// The tokens of a text; with `special`, those before it that the tokenizer adds, and how many they are.
    fn tokens(&self, text: &str, special: bool) -> DataResult<(Vec<u32>, usize)> {
        let encoding = self.tokenizer.encode_fast(text, special).map_err(|error| DataError::Tokenizer {
            place: format!("failed on {:?}", text.chars().take(60).collect::<String>()),
            message: error.to_string(),
        })?;
        let (ids, mask) = (encoding.get_ids(), encoding.get_special_tokens_mask());
        let lead = mask.iter().take_while(|&&added| added == 1).count();
        let trail = mask.iter().skip(lead).rev().take_while(|&&added| added == 1).count();
        Ok((ids[..ids.len() - trail].to_vec(), lead))
    }

    /// Encodes a prompt with its answers; all are cut or refused together.
    ///
    /// # Errors
    /// When the tokenizer fails; that a text is refused is no error of this function.
    pub fn encode(&self, prompt: &str, answers: &[&str]) -> DataResult<Result<Encoded, Refusal>> {
        if answers.iter().any(|answer| answer.trim().is_empty()) {
            return Ok(Err(Refusal::Empty));
        }
        let (mut prompt, lead) = self.tokens(prompt, true)?;
        let mut encoded = Vec::with_capacity(answers.len());
        for answer in answers {
            let (tokens, _) = self.tokens(answer, false)?;
            if tokens.is_empty() {
                return Ok(Err(Refusal::Empty));
            }
            encoded.push(tokens);
        }
        let longest = encoded.iter().map(Vec::len).max().unwrap_or(0);
        let ends = usize::from(self.end.is_some());
        let (limit, tokens) = (self.settings.max_length, prompt.len() + longest + ends);
        let refused = Ok(Err(Refusal::TooLong { tokens, limit }));
        let (mut cut_prompt, mut cut_answer) = (false, false);
        if tokens > limit {
            match self.settings.truncation {
                Truncation::Drop => return refused,
                Truncation::CutPrompt => {
                    let excess = tokens - limit;
                    // What the tokenizer puts before every text stays, and one token of the prompt's own.
                    if lead + excess >= prompt.len() {
                        return refused;
                    }
                    prompt.drain(lead..lead + excess);
                    cut_prompt = true;
                }
                Truncation::CutAnswer => {
                    let room = limit.saturating_sub(prompt.len() + ends);
                    if room == 0 {
                        return refused;
                    }
                    for answer in &mut encoded {
                        answer.truncate(room);
                    }
                    cut_answer = true;
                }
            }
        }
        if let Some(end) = self.end {
            for answer in &mut encoded {
                answer.push(end);
            }
        }
        Ok(Ok(Encoded { prompt, answers: encoded, cut_prompt, cut_answer }))
    }

    /// Encodes pairs in parallel, on as many threads as there are cores; results come in the pairs' order. Blocks.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode_pairs(&self, pairs: &[Pair], left_out: &mut LeftOut) -> DataResult<(Vec<Tokenised>, Counts)> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = pairs.len().div_ceil(threads).max(16);
        let parts = std::thread::scope(|scope| {
            let running: Vec<_> = pairs.chunks(share).map(|part| scope.spawn(|| self.encode_part(part))).collect();
            let joined = running.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined.map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect::<Vec<_>>()
        });
        let (mut all, mut counts) = (Vec::with_capacity(pairs.len()), Counts::default());
        for part in parts {
            let part = part?;
            all.extend(part.kept);
            counts.add(&part.counts);
            left_out.extend(part.left_out);
        }
        Ok((all, counts))
    }

    fn encode_part(&self, pairs: &[Pair]) -> DataResult<Part> {
        let mut part = Part::default();
        for pair in pairs {
            part.counts.read += 1;
            let encoded = match self.encode(&pair.prompt, &[&pair.chosen, &pair.rejected])? {
                Ok(encoded) => encoded,
                Err(refusal) => {
                    match refusal {
                        Refusal::Empty => part.counts.empty += 1,
                        Refusal::TooLong { .. } => part.counts.too_long += 1,
                    }
                    part.left_out.push((pair.id, refusal));
                    continue;
                }
            };
            let mut answers = encoded.answers.into_iter();
            let (chosen, rejected) = (answers.next().unwrap_or_default(), answers.next().unwrap_or_default());
            let tokenised = Tokenised { id: pair.id, prompt: encoded.prompt, chosen, rejected, margin: pair.margin };
            part.counts.kept += 1;
            part.counts.cut_prompts += u64::from(encoded.cut_prompt);
            part.counts.cut_answers += u64::from(encoded.cut_answer);
            part.counts.tokens += tokenised.packed_length() as u64;
            part.kept.push(tokenised);
        }
        Ok(part)
    }
}

#[derive(Default)]
struct Part {
    kept: Vec<Tokenised>,
    counts: Counts,
    left_out: Vec<(i64, Refusal)>,
}

/// The first pairs that were left out, with the reason: enough to look at, never all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut(Vec<(i64, Refusal)>);

impl LeftOut {
    const MOST: usize = 20;

    fn extend(&mut self, more: Vec<(i64, Refusal)>) {
        let room = Self::MOST - self.0.len();
        self.0.extend(more.into_iter().take(room));
    }

    /// Adds what another part left out.
    pub fn merge(&mut self, other: Self) {
        self.extend(other.0);
    }

    /// Ids and reasons, in the order of reading.
    pub fn examples(&self) -> &[(i64, Refusal)] {
        &self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "encoder_tests.rs"]
pub(super) mod tests;

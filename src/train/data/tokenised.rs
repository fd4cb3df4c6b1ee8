//! Pairs as tokens, and how much was left out on the way.

use serde::Serialize;

/// A pair that is ready for a batch.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Tokenised {
    /// The pair's id.
    pub id: i64,
    /// The prompt's tokens.
    pub prompt: Vec<u32>,
    /// The better answer's tokens, its end token included where one is added; never empty.
    pub chosen: Vec<u32>,
    /// The worse answer's tokens, likewise.
    pub rejected: Vec<u32>,
    /// How much better the better one is.
    pub margin: f32,
}

impl Tokenised {
    /// Tokens of a row that holds the pair with its prompt once.
    pub fn packed_length(&self) -> usize {
        self.prompt.len() + self.chosen.len() + self.rejected.len()
    }

    /// Tokens of the prompt with the longer answer.
    pub fn longest(&self) -> usize {
        self.prompt.len() + self.chosen.len().max(self.rejected.len())
    }

    /// Chosen tokens that have a token before them to be predicted from.
    pub fn lm_tokens(&self) -> usize {
        self.chosen.len() - usize::from(self.prompt.is_empty())
    }
}

/// How many pairs were read, kept, cut and left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Pairs read.
    pub read: u64,
    /// Pairs kept, cut ones included.
    pub kept: u64,
    /// Pairs kept with a prompt that was cut from the left.
    pub cut_prompts: u64,
    /// Pairs kept with an answer that was cut from the right.
    pub cut_answers: u64,
    /// Pairs left out because they are longer than the limit and could not be cut to it.
    pub too_long: u64,
    /// Pairs left out because an answer holds no text.
    pub empty: u64,
    /// Tokens kept, prompts counted once.
    pub tokens: u64,
}

impl Counts {
    /// Adds the counts of another part of the data.
    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.kept += other.kept;
        self.cut_prompts += other.cut_prompts;
        self.cut_answers += other.cut_answers;
        self.too_long += other.too_long;
        self.empty += other.empty;
        self.tokens += other.tokens;
    }
}

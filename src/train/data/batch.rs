//! What a model is given at once: tokens in rows, and where losses and rewards are read.

use crate::nn::BatchShape;

/// How sequences lie in rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Prompt, chosen and rejected answer of a pair in one row, the prompt once; several pairs to a row.
    Packed {
        /// Tokens in a row; a pair that is longer gets a longer row.
        row_length: usize,
    },
    /// Two rows to a pair, each the prompt with one answer, padded to the longest.
    Padded,
}

/// How the pairs of an optimizer step become batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSettings {
    /// How sequences lie in rows.
    pub layout: Layout,
    /// Most tokens in a batch, padding included; a single row may have more.
    pub micro_tokens: usize,
    /// Whether places for the language-model loss are listed.
    pub lm: bool,
    /// Padded only: whether a step's pairs are sorted by length first, which spares padding. Trainers such as TRL do not.
    pub sorted: bool,
    /// The token that fills rows. No loss or reward depends on it.
    pub pad: u32,
}

/// The pair of places that hold none.
pub const NO_PAIR: i64 = -1;
/// The branch of prompt tokens; answers count from 1.
pub const PROMPT: i64 = 0;
/// The branch of the better answer.
pub const CHOSEN: i64 = 1;
/// The branch of the worse answer.
pub const REJECTED: i64 = 2;

/// A micro-batch. Vectors over tokens are `rows * length` long, row by row.
///
/// A token sees itself and the tokens before it in its row that are of the same pair and of the prompt or the same branch.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The sizes of all that follows.
    pub shape: BatchShape,
    /// Token ids.
    pub ids: Vec<i64>,
    /// Positions within the sequence; a rejected answer's go on from the prompt's.
    pub positions: Vec<i64>,
    /// Which pair of the batch a token is of, [`NO_PAIR`] for padding.
    pub pair: Vec<i64>,
    /// [`PROMPT`], [`CHOSEN`] or [`REJECTED`]; when scoring, answers of one prompt count from 1.
    pub branch: Vec<i64>,
    /// `lm_tokens` indices into the tokens: those that predict a chosen token, which is the next one of their sequence.
    pub lm_rows: Vec<i64>,
    /// The tokens to be predicted there.
    pub lm_labels: Vec<i64>,
    /// One over the chosen tokens of the whole optimizer step; 0 for fillers.
    pub lm_weights: Vec<f32>,
    /// `2 * pairs` indices of the tokens that rewards are read at: those of chosen answers, then those of rejected ones.
    pub last: Vec<i64>,
    /// One over the pairs of the whole optimizer step; 0 for fillers.
    pub pair_weights: Vec<f32>,
    /// The pairs' margins; 0 for fillers.
    pub margins: Vec<f32>,
    /// Ids of the real pairs, in the order of `pair_weights`.
    pub pairs_ids: Vec<i64>,
    /// Tokens that are not padding.
    pub tokens: usize,
}

impl Batch {
    /// An empty batch of padding.
    pub(super) fn blank(rows: usize, length: usize, pad: u32) -> Self {
        let tokens = rows * length;
        Self {
            shape: BatchShape { rows, length, pairs: 0, lm_tokens: 0 },
            ids: vec![i64::from(pad); tokens],
            positions: vec![0; tokens],
            pair: vec![NO_PAIR; tokens],
            branch: vec![PROMPT; tokens],
            lm_rows: Vec::new(),
            lm_labels: Vec::new(),
            lm_weights: Vec::new(),
            last: Vec::new(),
            pair_weights: Vec::new(),
            margins: Vec::new(),
            pairs_ids: Vec::new(),
            tokens: 0,
        }
    }

    /// Writes tokens of one branch of a pair from the place `at` on, the first at `position`; the place behind them.
    pub(super) fn write(&mut self, at: usize, text: &[u32], position: usize, pair: usize, branch: i64) -> usize {
        for (offset, &token) in text.iter().enumerate() {
            self.ids[at + offset] = i64::from(token);
            self.positions[at + offset] = (position + offset) as i64;
            self.pair[at + offset] = pair as i64;
            self.branch[at + offset] = branch;
        }
        self.tokens += text.len();
        at + text.len()
    }

    /// Share of the places that are padding.
    pub fn padding(&self) -> f64 {
        1.0 - self.tokens as f64 / self.shape.tokens() as f64
    }
}

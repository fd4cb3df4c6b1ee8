//! An optimizer step's pairs as micro-batches whose losses add up to the step's.
//!
//! Weights are normalised over the step, so neither the layout nor the budget changes the loss. Counts are rounded up to
//! buckets with fillers of weight zero: sessions are built per shape, so shapes should be few.

use super::batch::{Batch, BatchSettings, Layout};
use super::pack::packed;
use super::pad::padded;
use super::tokenised::Tokenised;

/// A head computes `2 * pairs` rewards, which is nothing beside the rows: few buckets matter more than few fillers.
const FEWEST_PAIRS: usize = 8;
/// Fewer pairs than tokens over this are as good as that many.
const TOKENS_OF_PAIR: usize = 256;
/// The language-model head costs per place: a bucket is this part of the batch's tokens, so about a thirty-second of
/// them is wasted.
const LM_BUCKETS: usize = 16;

/// Lays out the pairs of one optimizer step. The same pairs in the same order always give the same batches.
pub fn step_batches(pairs: &[&Tokenised], settings: &BatchSettings) -> Vec<Batch> {
    let laid = match settings.layout {
        Layout::Packed { row_length } => packed(pairs, row_length, settings.micro_tokens, settings.pad),
        Layout::Padded => padded(pairs, settings.sorted, settings.micro_tokens, settings.pad),
    };
    let chosen: usize = pairs.iter().map(|pair| pair.lm_tokens()).sum();
    let finish = |(mut batch, items): (Batch, Vec<usize>)| {
        let count = items.len();
        batch.shape.pairs = pair_bucket(count, batch.shape.tokens());
        let fillers = batch.shape.pairs - count;
        // Between the chosen and the rejected, and behind both.
        let rejected = batch.last.split_off(count);
        batch.last.extend(std::iter::repeat_n(0, fillers));
        batch.last.extend(rejected);
        batch.last.extend(std::iter::repeat_n(0, fillers));
        batch.pair_weights = vec![1.0 / pairs.len() as f32; count];
        batch.margins = items.iter().map(|&item| pairs[item].margin).collect();
        batch.pairs_ids = items.iter().map(|&item| pairs[item].id).collect();
        batch.pair_weights.resize(batch.shape.pairs, 0.0);
        batch.margins.resize(batch.shape.pairs, 0.0);
        batch.finish_lm(settings.lm, 1.0 / chosen as f32);
        batch
    };
    laid.into_iter().map(finish).collect()
}

/// Places for rewards in a batch of so many tokens: a power of two, so that sessions are few.
pub(super) fn pair_bucket(count: usize, tokens: usize) -> usize {
    count.max(tokens / TOKENS_OF_PAIR).max(FEWEST_PAIRS).next_power_of_two()
}

impl Batch {
    fn finish_lm(&mut self, wanted: bool, weight: f32) {
        let real = if wanted { self.lm_rows.len() } else { 0 };
        let bucket = (self.shape.tokens() / LM_BUCKETS).next_multiple_of(32).max(32);
        self.shape.lm_tokens = real.next_multiple_of(bucket);
        self.lm_weights = vec![weight; real];
        self.lm_rows.truncate(real);
        self.lm_labels.truncate(real);
        self.lm_weights.resize(self.shape.lm_tokens, 0.0);
        self.lm_rows.resize(self.shape.lm_tokens, 0);
        self.lm_labels.resize(self.shape.lm_tokens, 0);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::train::data::batch::{CHOSEN, NO_PAIR, REJECTED};

    const PAD: u32 = 9999;

    fn settings(layout: Layout) -> BatchSettings {
        BatchSettings { layout, micro_tokens: 512, lm: true, sorted: false, pad: PAD }
    }

    fn layouts() -> [BatchSettings; 4] {
        let padded = settings(Layout::Padded);
        [
            settings(Layout::Packed { row_length: 128 }),
            settings(Layout::Packed { row_length: 96 }),
            padded,
            BatchSettings { sorted: true, ..padded },
        ]
    }

    /// Pairs with these lengths, every token of its own kind.
    fn pairs(lengths: &[(usize, usize, usize)]) -> Vec<Tokenised> {
        let mut next = 0;
        let mut tokens = |count: usize| {
            next += count as u32;
            (next - count as u32..next).collect::<Vec<_>>()
        };
        lengths
            .iter()
            .enumerate()
            .map(|(n, &(prompt, chosen, rejected))| Tokenised {
                id: 100 + n as i64,
                prompt: tokens(prompt),
                chosen: tokens(chosen),
                rejected: tokens(rejected),
                margin: n as f32,
            })
            .collect()
    }

    /// What the token at `at` sees, as the mask is made, by token and position.
    fn seen(batch: &Batch, at: usize) -> (Vec<u32>, Vec<i64>) {
        let row = at / batch.shape.length * batch.shape.length;
        let visible = (row..=at).filter(|&other| {
            batch.pair[other] == batch.pair[at] && (batch.branch[other] == 0 || batch.branch[other] == batch.branch[at])
        });
        visible.map(|other| (batch.ids[other] as u32, batch.positions[other])).unzip()
    }

    fn check(pairs: &[Tokenised], settings: &BatchSettings) {
        let batches = step_batches(&pairs.iter().collect::<Vec<_>>(), settings);
        assert_eq!(batches, step_batches(&pairs.iter().collect::<Vec<_>>(), settings));
        let mut found = BTreeMap::new();
        let (mut lm_weight, mut pair_weight) = (0.0, 0.0);
        for batch in &batches {
            let shape = batch.shape;
            let (tokens, count) = (shape.tokens(), batch.pairs_ids.len());
            for column in [&batch.ids, &batch.positions, &batch.pair, &batch.branch] {
                assert_eq!(column.len(), tokens);
            }
            assert_eq!(
                (batch.last.len(), batch.pair_weights.len(), batch.margins.len()),
                (2 * shape.pairs, shape.pairs, shape.pairs)
            );
            assert_eq!(
                (batch.lm_rows.len(), batch.lm_labels.len(), batch.lm_weights.len()),
                (shape.lm_tokens, shape.lm_tokens, shape.lm_tokens)
            );
            assert!(
                tokens
                    <= settings.micro_tokens.max(shape.length * if settings.layout == Layout::Padded { 2 } else { 1 })
            );
            assert_eq!(batch.tokens, batch.pair.iter().filter(|&&pair| pair != NO_PAIR).count());
            assert!((0..tokens).all(|at| (batch.pair[at] == NO_PAIR) == (batch.ids[at] == i64::from(PAD))));
            assert!(batch.pair_weights[count..].iter().all(|&weight| weight == 0.0));
            for slot in 0..count {
                let ends = [batch.last[slot] as usize, batch.last[shape.pairs + slot] as usize];
                assert!(ends.iter().all(|&end| batch.pair[end] == slot as i64));
                assert_eq!(ends.map(|end| batch.branch[end]), [CHOSEN, REJECTED]);
                let texts = ends.map(|end| {
                    let (text, positions) = seen(batch, end);
                    assert_eq!(positions, (0..text.len() as i64).collect::<Vec<_>>());
                    text
                });
                let previous = found.insert(batch.pairs_ids[slot], (texts, batch.margins[slot], Vec::new()));
                assert!(previous.is_none(), "a pair was laid out twice");
                pair_weight += batch.pair_weights[slot];
            }
            for ((&row, &label), &weight) in batch.lm_rows.iter().zip(&batch.lm_labels).zip(&batch.lm_weights) {
                lm_weight += weight;
                if weight > 0.0 {
                    let (before, _) = seen(batch, row as usize);
                    let id = batch.pairs_ids[batch.pair[row as usize] as usize];
                    found.get_mut(&id).unwrap().2.push((before.len(), label as u32));
                }
            }
        }
        assert_eq!(found.len(), pairs.len(), "every pair once");
        for pair in pairs {
            let (texts, margin, predicted) = &found[&pair.id];
            assert_eq!(texts[0], [pair.prompt.clone(), pair.chosen.clone()].concat());
            assert_eq!(texts[1], [pair.prompt.clone(), pair.rejected.clone()].concat());
            assert_eq!(margin.to_bits(), pair.margin.to_bits());
            let first = pair.prompt.len();
            let wanted: Vec<_> =
                pair.chosen.iter().enumerate().map(|(n, &token)| (first + n, token)).filter(|&(n, _)| n > 0).collect();
            assert_eq!(*predicted, wanted);
        }
        assert!((pair_weight - 1.0).abs() < 1e-4);
        assert!((lm_weight - 1.0).abs() < 1e-3 || pairs.iter().all(|pair| pair.lm_tokens() == 0));
    }

    #[test]
    fn a_pair_shares_its_prompt_and_its_rejected_answer_starts_where_the_prompt_ends() {
        let pairs = pairs(&[(2, 3, 2)]);
        let batch = step_batches(&[&pairs[0]], &settings(Layout::Packed { row_length: 32 })).remove(0);
        assert_eq!(batch.ids[..8], [0, 1, 2, 3, 4, 5, 6, i64::from(PAD)]);
        assert_eq!(batch.positions[..8], [0, 1, 2, 3, 4, 2, 3, 0]);
        assert_eq!(batch.branch[..8], [0, 0, 1, 1, 1, 2, 2, 0]);
        assert_eq!(batch.pair[..8], [0, 0, 0, 0, 0, 0, 0, -1]);
        assert_eq!((batch.lm_rows[..3].to_vec(), batch.lm_labels[..3].to_vec()), (vec![1, 2, 3], vec![2, 3, 4]));
        assert_eq!((batch.last[0], batch.last[batch.shape.pairs], batch.tokens), (4, 6, 7));
    }

    #[test]
    fn without_the_language_model_loss_no_places_are_listed() {
        let pairs = pairs(&[(2, 3, 2), (4, 5, 6)]);
        let rm = BatchSettings { lm: false, ..settings(Layout::Padded) };
        for batch in step_batches(&pairs.iter().collect::<Vec<_>>(), &rm) {
            assert_eq!((batch.shape.lm_tokens, batch.lm_rows.len()), (0, 0));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn no_token_is_lost_and_every_index_is_right(
            lengths in prop::collection::vec((0..60_usize, 1..80_usize, 1..80_usize), 1..24),
        ) {
            for settings in layouts() {
                check(&pairs(&lengths), &settings);
            }
        }
    }
}

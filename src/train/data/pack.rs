//! Which pairs share a row, and which rows share a batch.

use super::batch::{Batch, CHOSEN, PROMPT, REJECTED};
use super::tokenised::Tokenised;

/// A row to be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bin {
    /// Tokens it has room for.
    pub(super) capacity: usize,
    /// Tokens it holds.
    pub(super) fill: usize,
    /// What it holds, by index.
    pub(super) items: Vec<usize>,
}

/// Puts items of these lengths into rows: the longest first, each into the first row with room for it (first-fit
/// decreasing: at most 11/9 of the fewest rows possible, plus 6/9; Dósa 2007). Items of equal length keep their order. An
/// item longer than `row_length` gets a row as long as its bucket.
pub(super) fn bins(lengths: &[usize], row_length: usize) -> Vec<Bin> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&item| std::cmp::Reverse(lengths[item]));
    let mut bins: Vec<Bin> = Vec::new();
    for item in order {
        let length = lengths[item];
        let bin = match bins.iter_mut().find(|bin| bin.fill + length <= bin.capacity) {
            Some(bin) => bin,
            None => {
                let capacity = if length > row_length { length_bucket(length) } else { row_length };
                bins.push(Bin { capacity, fill: 0, items: Vec::new() });
                let at = bins.len() - 1;
                &mut bins[at]
            }
        };
        bin.fill += length;
        bin.items.push(item);
    }
    bins
}

/// The row length that serves `length`: a multiple of 32 of at most three significant bits, so at most a quarter longer.
pub(super) fn length_bucket(length: usize) -> usize {
    let units = length.div_ceil(32).max(1);
    let low = (usize::BITS - units.leading_zeros()).saturating_sub(3);
    units.next_multiple_of(1 << low) * 32
}

/// Cuts `count` equal things into batches of `most` at most: full ones, then powers of two, so that the number of
/// distinct sizes grows with the logarithm of `most` and nothing is filled up.
pub(super) fn batch_sizes(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let most = most.max(1);
    let mut left = count;
    std::iter::from_fn(move || {
        let size = if left >= most { most } else { (1 << (usize::BITS - left.leading_zeros())) >> 1 };
        left -= size;
        (size > 0).then_some(size)
    })
}

/// Batches of rows with shared prompts. Rows of one length come together, the fullest first.
pub(super) fn packed(
    pairs: &[&Tokenised],
    row_length: usize,
    micro_tokens: usize,
    pad: u32,
) -> Vec<(Batch, Vec<usize>)> {
    let lengths: Vec<usize> = pairs.iter().map(|pair| pair.packed_length()).collect();
    let mut bins = bins(&lengths, row_length);
    bins.sort_by_key(|bin| std::cmp::Reverse((bin.capacity, bin.fill)));
    let mut batches = Vec::new();
    for rows in bins.chunk_by(|a, b| a.capacity == b.capacity) {
        let length = rows[0].capacity;
        let mut rest = rows;
        for size in batch_sizes(rows.len(), micro_tokens / length) {
            let (now, later) = rest.split_at(size);
            rest = later;
            batches.push(lay(pairs, now, length, pad));
        }
    }
    batches
}

fn lay(pairs: &[&Tokenised], bins: &[Bin], length: usize, pad: u32) -> (Batch, Vec<usize>) {
    let mut batch = Batch::blank(bins.len(), length, pad);
    let mut places = Vec::new();
    let mut rejected = Vec::new();
    for (row, bin) in bins.iter().enumerate() {
        let mut at = row * length;
        for &item in &bin.items {
            let (pair, slot) = (pairs[item], places.len());
            let after = pair.prompt.len();
            at = batch.write(at, &pair.prompt, 0, slot, PROMPT);
            let first = at;
            at = batch.write(at, &pair.chosen, after, slot, CHOSEN);
            batch.last.push(at as i64 - 1);
            batch.predict(first, pair);
            at = batch.write(at, &pair.rejected, after, slot, REJECTED);
            rejected.push(at as i64 - 1);
            places.push(item);
        }
    }
    batch.last.extend(rejected);
    (batch, places)
}

impl Batch {
    /// Lists the places that predict a pair's chosen tokens, the first of which stands at `first`; the token before it
    /// is the prompt's last.
    pub(super) fn predict(&mut self, first: usize, pair: &Tokenised) {
        let skipped = usize::from(pair.prompt.is_empty());
        for (offset, &token) in pair.chosen.iter().enumerate().skip(skipped) {
            self.lm_rows.push((first + offset) as i64 - 1);
            self.lm_labels.push(i64::from(token));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_come_first_and_the_rest_fills_the_gaps() {
        let found = bins(&[3, 9, 1, 6, 7, 4], 10);
        let items: Vec<_> = found.iter().map(|bin| bin.items.clone()).collect();
        assert_eq!(items, [vec![1, 2], vec![4, 0], vec![3, 5]]);
    }

    #[test]
    fn an_item_longer_than_a_row_gets_a_longer_row_that_others_may_share() {
        let found = bins(&[100, 300, 15], 128);
        assert_eq!(found[0], Bin { capacity: 320, fill: 315, items: vec![1, 2] });
        assert_eq!(found[1], Bin { capacity: 128, fill: 100, items: vec![0] });
    }

    #[test]
    fn a_bucket_is_its_own_bucket_and_at_most_a_quarter_longer() {
        for length in 1..5000_usize {
            let bucket = length_bucket(length);
            assert!(bucket >= length && bucket.is_multiple_of(32) && length_bucket(bucket) == bucket);
            assert!(bucket <= (length.div_ceil(32) * 32) * 5 / 4, "{length} became {bucket}");
        }
    }

    #[test]
    fn sizes_are_full_ones_then_powers_of_two() {
        let sizes = |count, most| batch_sizes(count, most).collect::<Vec<_>>();
        assert_eq!(sizes(21, 8), [8, 8, 4, 1]);
        assert_eq!(sizes(5, 3), [3, 2]);
        assert_eq!(sizes(3, 0), [1, 1, 1]);
        assert_eq!(sizes(0, 8), [0; 0]);
    }

    proptest! {
        #[test]
        fn every_item_lies_in_one_row_that_has_room(lengths in prop::collection::vec(1..400_usize, 0..60)) {
            let found = bins(&lengths, 256);
            let mut seen: Vec<_> = found.iter().flat_map(|bin| bin.items.clone()).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for bin in &found {
                prop_assert_eq!(bin.fill, bin.items.iter().map(|&item| lengths[item]).sum::<usize>());
                prop_assert!(bin.fill <= bin.capacity);
            }
            // Two rows never are so empty that one would have done.
            let halves = found.iter().filter(|bin| bin.capacity == 256 && bin.fill * 2 <= 256).count();
            prop_assert!(halves <= 1);
        }
    }
}

//! Two rows to a pair, padded to the longest: how trainers usually lay pairs out, kept for comparison.

use super::batch::{Batch, CHOSEN, PROMPT, REJECTED};
use super::pack::{batch_sizes, length_bucket};
use super::tokenised::Tokenised;

/// Batches of padded rows. Pairs keep their order unless `sorted`; as many go together as the budget allows.
pub(super) fn padded(pairs: &[&Tokenised], sorted: bool, micro_tokens: usize, pad: u32) -> Vec<(Batch, Vec<usize>)> {
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    if sorted {
        order.sort_by_key(|&item| std::cmp::Reverse(pairs[item].longest()));
    }
    let mut batches = Vec::new();
    let mut rest = order.as_slice();
    while !rest.is_empty() {
        let mut longest = 0;
        let fitting = rest.iter().enumerate().take_while(|&(before, &item)| {
            longest = longest.max(pairs[item].longest());
            before == 0 || 2 * (before + 1) * length_bucket(longest) <= micro_tokens
        });
        let (mut group, later) = rest.split_at(fitting.count());
        rest = later;
        for size in batch_sizes(group.len(), usize::MAX) {
            let (now, after) = group.split_at(size);
            group = after;
            batches.push((lay(pairs, now, pad), now.to_vec()));
        }
    }
    batches
}

fn lay(pairs: &[&Tokenised], items: &[usize], pad: u32) -> Batch {
    let longest = items.iter().map(|&item| pairs[item].longest()).max().unwrap_or(0);
    let length = length_bucket(longest);
    let mut batch = Batch::blank(2 * items.len(), length, pad);
    let mut rejected = Vec::new();
    for (slot, &item) in items.iter().enumerate() {
        let pair = pairs[item];
        let first = batch.write(2 * slot * length, &pair.prompt, 0, slot, PROMPT);
        let end = batch.write(first, &pair.chosen, pair.prompt.len(), slot, CHOSEN);
        batch.last.push(end as i64 - 1);
        batch.predict(first, pair);
        let second = batch.write((2 * slot + 1) * length, &pair.prompt, 0, slot, PROMPT);
        let end = batch.write(second, &pair.rejected, pair.prompt.len(), slot, REJECTED);
        rejected.push(end as i64 - 1);
    }
    batch.last.extend(rejected);
    batch
}

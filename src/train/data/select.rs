//! Choosing some of the pairs, by seeds alone.

use super::draw::Draws;
use super::tokenised::Tokenised;

/// Keeps `count` of the pairs, or all if there are fewer; those that are kept stay in their order. A pair's place in the
/// draw depends on the seed and its id alone, so a smaller choice lies within a larger one, and other pairs that come or
/// go do not change the draw of those that stay.
pub fn choose(pairs: &mut Vec<Tokenised>, seed: u64, count: usize) {
    if count >= pairs.len() {
        return;
    }
    // The index breaks ties between pairs of one id.
    let draw = |(index, pair): (usize, &Tokenised)| (Draws::new("choice", seed, &pair.id.to_le_bytes()).bits(), index);
    let mut draws: Vec<_> = pairs.iter().enumerate().map(draw).collect();
    let mut kept = vec![false; pairs.len()];
    if count > 0 {
        draws.select_nth_unstable(count - 1);
    }
    for &(_, index) in &draws[..count] {
        kept[index] = true;
    }
    let mut kept = kept.into_iter();
    pairs.retain(|_| kept.next().unwrap_or(false));
}

/// Keeps a share of the pairs, from 0 to 1, rounded to a whole number of them; see [`choose`].
pub fn choose_share(pairs: &mut Vec<Tokenised>, seed: u64, share: f64) {
    let count = (pairs.len() as f64 * share.clamp(0.0, 1.0)).round() as usize;
    choose(pairs, seed, count);
}

/// Whether a group, such as a repository, is held out for tests, where about `share` of all groups are: all its pairs are
/// on one side, so that a test never asks about code that was trained on.
pub fn held_out(group: &str, seed: u64, share: f64) -> bool {
    Draws::new("held out", seed, group.as_bytes()).unit() < share
}

/// Parts pairs into those to train on and those held out, by their group; pairs of unknown group by their id.
pub fn hold_out(pairs: Vec<Tokenised>, seed: u64, share: f64) -> (Vec<Tokenised>, Vec<Tokenised>) {
    pairs.into_iter().partition(|pair| {
        let group = if pair.group.is_empty() { &format!("id {}", pair.id) } else { &pair.group };
        !held_out(group, seed, share)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(count: i64) -> Vec<Tokenised> {
        (0..count).map(|id| Tokenised { id, group: format!("owner/{}", id % 50), ..Tokenised::default() }).collect()
    }

    fn chosen(seed: u64, count: usize) -> Vec<i64> {
        let mut pairs = pairs(1000);
        choose(&mut pairs, seed, count);
        pairs.iter().map(|pair| pair.id).collect()
    }

    #[test]
    fn a_choice_has_its_size_keeps_the_order_and_lies_within_a_larger_one() {
        let (few, many) = (chosen(5, 100), chosen(5, 400));
        assert_eq!((few.len(), many.len(), chosen(5, 0).len(), chosen(5, 2000).len()), (100, 400, 0, 1000));
        assert!(few.is_sorted() && many.is_sorted());
        assert!(few.iter().all(|id| many.contains(id)));
        assert_ne!(few, chosen(6, 100));
    }

    #[test]
    fn a_share_is_rounded_to_whole_pairs() {
        let mut some = pairs(10);
        choose_share(&mut some, 1, 0.25);
        assert_eq!(some.len(), 3);
    }

    #[test]
    fn all_pairs_of_a_group_are_on_one_side() {
        let (train, test) = hold_out(pairs(1000), 3, 0.3);
        assert_eq!(train.len() + test.len(), 1000);
        assert!(test.len() > 100 && test.len() < 500, "{}", test.len());
        assert!(train.iter().all(|pair| test.iter().all(|other| other.group != pair.group)));
    }

    #[test]
    fn pairs_of_unknown_group_are_parted_one_by_one() {
        let loose = (0..1000).map(|id| Tokenised { id, ..Tokenised::default() }).collect();
        let (train, test) = hold_out(loose, 3, 0.3);
        assert!((600..800).contains(&train.len()) && test.len() == 1000 - train.len());
    }
}

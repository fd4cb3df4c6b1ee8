//! The order in which an epoch goes through the pairs.
//!
//! It depends on the seed, the epoch and the number of pairs alone, so a run resumes from (epoch, step) without any other
//! state. Random numbers are BLAKE3's output stream, the same on every machine and in every version.

use super::draw::Draws;

/// An epoch's order, cut into optimizer steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    order: Vec<usize>,
    batch_pairs: usize,
}

impl Epoch {
    /// The order of epoch `epoch`, from 0, over `pairs` pairs, `batch_pairs` of them a step.
    pub fn new(seed: u64, epoch: u64, pairs: usize, batch_pairs: usize) -> Self {
        let mut draws = Draws::new("order of an epoch", seed, &epoch.to_le_bytes());
        let mut order: Vec<usize> = (0..pairs).collect();
        // Fisher and Yates, as Durstenfeld 1964.
        for last in (1..pairs).rev() {
            order.swap(last, draws.below(last + 1));
        }
        Self { order, batch_pairs: batch_pairs.max(1) }
    }

    /// Steps of the epoch; the last one may have fewer pairs.
    pub fn steps(&self) -> usize {
        self.order.len().div_ceil(self.batch_pairs)
    }

    /// Indices of the pairs of a step, from 0; empty behind the last.
    pub fn step(&self, step: usize) -> &[usize] {
        let start = (step * self.batch_pairs).min(self.order.len());
        &self.order[start..(start + self.batch_pairs).min(self.order.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(epoch: &Epoch) -> Vec<usize> {
        (0..epoch.steps()).flat_map(|step| epoch.step(step).to_vec()).collect()
    }

    #[test]
    fn an_epoch_has_every_pair_once_and_the_next_another_order() {
        let epochs = [0, 1, 2].map(|epoch| all(&Epoch::new(7, epoch, 1000, 64)));
        for order in &epochs {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        }
        assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
        assert_ne!(epochs[0], all(&Epoch::new(8, 0, 1000, 64)));
        assert_eq!(epochs[0], all(&Epoch::new(7, 0, 1000, 10)));
    }

    #[test]
    fn the_order_is_the_same_on_every_machine_and_in_every_version() {
        assert_eq!(all(&Epoch::new(42, 3, 10, 4)), PINNED);
    }

    #[test]
    fn the_last_step_has_the_rest_and_behind_it_is_nothing() {
        let epoch = Epoch::new(1, 0, 10, 4);
        let sizes: Vec<_> = (0..4).map(|step| epoch.step(step).len()).collect();
        assert_eq!((epoch.steps(), sizes), (3, vec![4, 4, 2, 0]));
        assert_eq!(Epoch::new(1, 0, 0, 4).steps(), 0);
    }

    #[test]
    fn no_place_is_favoured() {
        let mut first = [0; 8];
        for seed in 0..8000 {
            first[all(&Epoch::new(seed, 0, 8, 1))[0]] += 1;
        }
        // Mean 1000, standard deviation 30.
        assert!(first.iter().all(|&count| (850..1150).contains(&count)), "{first:?}");
    }

    const PINNED: [usize; 10] = [4, 7, 0, 6, 3, 5, 1, 9, 2, 8];
}

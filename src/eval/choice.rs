//! Multiple choice: the option with the highest reward wins.

use super::subsets::rank;

/// The probability that the right option wins when those with the highest reward are decided by chance: 1 over their number
/// if it is one of them, else 0. Options without a reward rank last; if none has one, it is chance alone.
pub fn wins(rewards: &[Option<f32>], right: usize) -> f64 {
    let ranks: Vec<f32> = rewards.iter().map(|reward| rank(*reward)).collect();
    let best = ranks.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let tied = ranks.iter().filter(|rank| rank.total_cmp(&best).is_eq()).count();
    match ranks.get(right) {
        Some(own) if own.total_cmp(&best).is_eq() => 1.0 / tied as f64,
        _ => 0.0,
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // halves and quarters are exact
mod tests {
    use super::*;

    #[test]
    fn the_highest_reward_wins_and_ties_are_shared() {
        let rewards = [Some(1.0), Some(3.0), None, Some(3.0)];
        let found: Vec<f64> = (0..4).map(|right| wins(&rewards, right)).collect();
        assert_eq!(found, [0.0, 0.5, 0.0, 0.5]);
        assert_eq!(wins(&[None, Some(f32::NAN), None, None], 1), 0.25);
        assert_eq!(wins(&[Some(-0.0), Some(0.0)], 0), 0.5);
        assert_eq!(wins(&[], 0), 0.0);
    }
}

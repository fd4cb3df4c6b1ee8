//! At which steps a run keeps a checkpoint for good: geometrically growing, so that a decay run from each of them gives
//! points evenly spread on a logarithmic axis of training length (CodePMP, arXiv 2410.02229, uses a factor of 2^(1/4)).

/// Four checkpoints to every doubling: `2^(1/4)`.
pub const FACTOR: f64 = 1.189_207_115_002_721;

/// Steps `first * factor^i`, rounded, each once, up to and with `last` where the sequence meets it. None below one step.
pub fn geometric(first: u64, factor: f64, last: u64) -> Vec<u64> {
    let mut steps = Vec::new();
    if first == 0 || factor <= 1.0 || !factor.is_finite() {
        return steps;
    }
    for power in 0_i32.. {
        let step = (first as f64 * factor.powi(power)).round();
        if step > last as f64 {
            break;
        }
        let step = step as u64;
        if steps.last() != Some(&step) {
            steps.push(step);
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fourth_step_is_a_doubling() {
        let steps = geometric(100, FACTOR, 1700);
        assert_eq!(steps[..5], [100, 119, 141, 168, 200]);
        assert_eq!(steps[4..].iter().step_by(4).copied().collect::<Vec<_>>(), [200, 400, 800, 1600]);
    }

    #[test]
    fn small_steps_that_round_to_the_same_number_come_once() {
        assert_eq!(geometric(1, FACTOR, 8), [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn nothing_lies_beyond_the_last_step() {
        assert_eq!(geometric(5, 2.0, 20), [5, 10, 20]);
        assert_eq!(geometric(5, 2.0, 19), [5, 10]);
        assert_eq!(geometric(5, 2.0, 4), [0_u64; 0]);
    }

    #[test]
    fn a_factor_that_does_not_grow_gives_none() {
        assert!(geometric(5, 1.0, 20).is_empty());
        assert!(geometric(5, f64::NAN, 20).is_empty());
        assert!(geometric(0, 2.0, 20).is_empty());
    }
}

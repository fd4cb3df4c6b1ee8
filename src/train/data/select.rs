//! Choosing some of the pairs, by seeds alone.

use super::draw::Draws;

/// Whether a group, such as a repository, is held out for tests, where about `share` of all groups are: all its pairs are
/// on one side, so that a test never asks about code that was trained on.
pub fn held_out(group: &str, seed: u64, share: f64) -> bool {
    Draws::new("held out", seed, group.as_bytes()).unit() < share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_the_share_of_groups_is_held_out_and_another_seed_holds_out_others() {
        let held = |seed| (0..1000).map(|n| held_out(&format!("owner/{n}"), seed, 0.3)).collect::<Vec<_>>();
        let count = held(3).iter().filter(|held| **held).count();
        assert!((250..350).contains(&count), "{count}");
        assert_eq!(held(3), held(3));
        assert_ne!(held(3), held(4));
    }
}

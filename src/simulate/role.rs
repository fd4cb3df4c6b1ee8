//! Which part a model plays, told by its name.

/// What a model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Writes the instruction for a piece of code.
    Describer,
    /// Writes the code, nearly intact.
    Strong,
    /// Writes the code with bugs.
    Weak,
    /// Says which of two answers is better.
    Judge,
}

/// The models that `/v1/models` lists. Any name is accepted that holds `judge`, `describ`, `strong` or `weak` (in this order);
/// models of different names answer differently, so that three sizes can be three names.
pub const MODELS: [&str; 4] = ["simulated-describer", "simulated-strong", "simulated-weak", "simulated-judge"];

impl Role {
    /// The role of `model`, or `None` for a name that tells none.
    pub fn of(model: &str) -> Option<Self> {
        if model.contains("judge") {
            Some(Self::Judge)
        } else if model.contains("describ") {
            Some(Self::Describer)
        } else if model.contains("strong") {
            Some(Self::Strong)
        } else if model.contains("weak") {
            Some(Self::Weak)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_role() {
        assert_eq!(MODELS.map(Role::of), [Role::Describer, Role::Strong, Role::Weak, Role::Judge].map(Some));
        assert_eq!(Role::of("simulated-weak-1b"), Some(Role::Weak));
        assert_eq!(Role::of("gpt-4o"), None);
    }
}

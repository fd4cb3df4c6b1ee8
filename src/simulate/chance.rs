//! Which request meets which fault.

use std::collections::BTreeMap;

use super::dice::Dice;
use super::protocol::RequestKey;
use super::settings::FaultKind;

/// The fault on the way of this attempt (from 1) at a request, if any.
pub(super) fn of_attempt(
    faults: &BTreeMap<FaultKind, f64>,
    seed: u64,
    key: RequestKey,
    attempt: u32,
) -> Option<FaultKind> {
    let dice = Dice::of(&[b"attempt", &seed.to_le_bytes(), &key.0.to_le_bytes(), &attempt.to_le_bytes()]);
    drawn(faults, dice, true)
}

/// The fault of the answer itself, if any. It is the same at every attempt: an answer that comes back after a crash
/// must be the one that would have come without it.
pub(super) fn of_answer(faults: &BTreeMap<FaultKind, f64>, seed: u64, key: RequestKey) -> Option<FaultKind> {
    let dice = Dice::of(&[b"answer fault", &seed.to_le_bytes(), &key.0.to_le_bytes()]);
    drawn(faults, dice, false)
}

fn drawn(faults: &BTreeMap<FaultKind, f64>, mut dice: Dice, transient: bool) -> Option<FaultKind> {
    let mut left = dice.unit();
    for (kind, probability) in faults.iter().filter(|(kind, _)| kind.is_transient() == transient) {
        left -= probability;
        if left < 0.0 {
            return Some(*kind);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_as_often_as_set_and_repeat_for_the_same_request() {
        let faults = [(FaultKind::InternalError, 0.1), (FaultKind::Drop, 0.3), (FaultKind::Empty, 0.2)].into();
        let run = |attempt| -> Vec<_> { (0..4000).map(|n| of_attempt(&faults, 1, RequestKey(n), attempt)).collect() };
        let share = |kind| run(1).iter().filter(|fault| **fault == Some(kind)).count() as f64 / 4000.0;
        assert!((share(FaultKind::InternalError) - 0.1).abs() < 0.02);
        assert!((share(FaultKind::Drop) - 0.3).abs() < 0.03);
        assert!(share(FaultKind::Empty) == 0.0, "an answer's fault is not the way's");
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let empty = (0..4000).filter(|n| of_answer(&faults, 1, RequestKey(*n)).is_some()).count();
        assert!((empty as f64 / 4000.0 - 0.2).abs() < 0.03);
    }
}

//! When a failed request is sent again, and after how long.
//!
//! Delays are exponential with full jitter: uniform between zero and `base * 2^n`, up to a cap (M. Brooker, "Exponential
//! Backoff and Jitter", AWS Architecture Blog, 2015). Where the server says how long to wait, that is waited, and a little
//! more, so that those who were sent away together do not all come back together.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Failure, FailureClass, FailurePolicies};

/// Answers of status 429 are not counted as attempts, but there is an end to them: this many times `max_attempts`.
const THROTTLED_FACTOR: u32 = 10;

/// The longest delay of our own making.
const CAP: Duration = Duration::from_mins(1);

/// The most jitter on top of a wait that the server asked for.
const SPREAD: Duration = Duration::from_secs(1);

/// The retries of an endpoint.
#[derive(Debug)]
pub(super) struct Retry {
    max_attempts: u32,
    /// Multiplies delays of our own; 1 but in tests.
    scale: f64,
    rng: Mutex<StdRng>,
}

/// How often one call has failed so far, by class.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failed([u32; FailureClass::ALL.len()]);

impl Failed {
    fn note(&mut self, class: FailureClass) -> u32 {
        let count = &mut self.0[class as usize];
        *count += 1;
        *count
    }

    /// Failures that count against `max_attempts`: those of classes that have no number of their own.
    fn counted(self, policies: &FailurePolicies) -> u32 {
        let counts = |class: &FailureClass| *class != FailureClass::Throttled && policies.of(*class).retry.is_none();
        FailureClass::ALL.into_iter().filter(counts).map(|class| self.0[class as usize]).sum()
    }
}

impl Retry {
    pub(super) fn new(max_attempts: u32) -> Self {
        Self::seeded(max_attempts, 1.0, rand::random())
    }

    fn seeded(max_attempts: u32, scale: f64, seed: u64) -> Self {
        Self { max_attempts, scale, rng: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    /// Delays of a thousandth, for tests against real sockets.
    #[cfg(test)]
    pub(super) fn hasty(max_attempts: u32) -> Self {
        Self::seeded(max_attempts, 0.001, 0)
    }

    /// How long to wait before the request is sent again; none if it is not to be.
    pub(super) fn delay(&self, policies: &FailurePolicies, failed: &mut Failed, failure: &Failure) -> Option<Duration> {
        let count = failed.note(failure.class);
        let (base, limit) = schedule(failure.class);
        let again = match (policies.of(failure.class).retry, failure.class) {
            (Some(retries), _) => count <= u32::from(retries),
            (None, FailureClass::Throttled) => count < self.max_attempts.saturating_mul(THROTTLED_FACTOR),
            (None, _) => count < limit && failed.counted(policies) < self.max_attempts,
        };
        again.then(|| match failure.retry_after {
            Some(wait) => wait + self.jitter(SPREAD),
            None => self.jitter(base.saturating_mul(1 << (count - 1).min(16)).min(CAP)),
        })
    }

    fn jitter(&self, most: Duration) -> Duration {
        let most = most.mul_f64(self.scale);
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_nanos(rng.random_range(0..=most.as_nanos() as u64))
    }
}

/// The first delay's bound, and how often a failure of this class is met before giving up, where the pipeline file says
/// nothing.
///
/// An empty or garbled answer is worth another try, but may have been paid for, so only one or two.
fn schedule(class: FailureClass) -> (Duration, u32) {
    let unlimited = u32::MAX;
    match class {
        FailureClass::Throttled => (Duration::from_secs(1), unlimited),
        FailureClass::Overloaded | FailureClass::TimedOut => (Duration::from_millis(500), unlimited),
        FailureClass::Connection => (Duration::from_millis(250), unlimited),
        FailureClass::Malformed => (Duration::from_millis(100), 3),
        FailureClass::Empty => (Duration::from_millis(100), 2),
        FailureClass::Truncated | FailureClass::Filtered | FailureClass::Refused => (Duration::from_millis(100), 1),
        FailureClass::BadRequest | FailureClass::Unauthorised | FailureClass::OutOfQuota => (Duration::from_secs(1), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(max_attempts: u32) -> Retry {
        Retry::seeded(max_attempts, 1.0, 7)
    }

    fn delays(max_attempts: u32, failure: &Failure) -> Vec<Duration> {
        delays_by(&FailurePolicies::default(), max_attempts, failure)
    }

    fn delays_by(policies: &FailurePolicies, max_attempts: u32, failure: &Failure) -> Vec<Duration> {
        let (retry, mut failed) = (retry(max_attempts), Failed::default());
        std::iter::from_fn(|| retry.delay(policies, &mut failed, failure)).collect()
    }

    #[test]
    fn a_number_in_the_pipeline_file_counts_for_its_class_alone() {
        for class in FailureClass::ALL {
            for retries in [0, 1, 9] {
                let toml = format!("{class} = {{ retry = {retries} }}");
                let policies: FailurePolicies = toml::from_str(&toml).expect("right policies");
                assert_eq!(delays_by(&policies, 3, &Failure::new(class, "")).len(), retries, "{class}");
            }
        }
        let policies: FailurePolicies = toml::from_str("overloaded = { retry = 5 }").expect("right policies");
        let (retry, mut failed) = (retry(2), Failed::default());
        let mut again = |class| retry.delay(&policies, &mut failed, &Failure::new(class, "")).is_some();
        assert!((0..5).all(|_| again(FailureClass::Overloaded)));
        assert!(again(FailureClass::Connection));
        assert!(!again(FailureClass::Connection));
    }

    #[test]
    fn each_class_is_retried_so_often_and_no_more() {
        for (class, retries) in [
            (FailureClass::Throttled, 59),
            (FailureClass::Overloaded, 5),
            (FailureClass::TimedOut, 5),
            (FailureClass::Connection, 5),
            (FailureClass::Truncated, 0),
            (FailureClass::Filtered, 0),
            (FailureClass::Malformed, 2),
            (FailureClass::Empty, 1),
            (FailureClass::Refused, 0),
            (FailureClass::BadRequest, 0),
            (FailureClass::Unauthorised, 0),
            (FailureClass::OutOfQuota, 0),
        ] {
            assert_eq!(delays(6, &Failure::new(class, "")).len(), retries, "{class}");
        }
    }

    #[test]
    fn one_attempt_means_no_retry() {
        assert!(delays(1, &Failure::new(FailureClass::Overloaded, "")).is_empty());
    }

    #[test]
    fn attempts_of_different_classes_count_together_but_for_throttled_ones() {
        let (retry, mut failed) = (retry(3), Failed::default());
        let none = FailurePolicies::default();
        let mut again = |class| retry.delay(&none, &mut failed, &Failure::new(class, "")).is_some();
        assert!(again(FailureClass::Overloaded));
        assert!(again(FailureClass::Throttled));
        assert!(again(FailureClass::Connection));
        assert!(again(FailureClass::Throttled));
        assert!(!again(FailureClass::Malformed));
    }

    #[test]
    fn delays_double_with_full_jitter_up_to_a_cap_and_follow_the_seed() {
        let failure = Failure::new(FailureClass::Overloaded, "");
        let all = delays(12, &failure);
        assert_eq!(all, delays(12, &failure));
        for (n, delay) in all.iter().enumerate() {
            assert!(*delay <= CAP.min(Duration::from_millis(500 << n)), "{n}: {delay:?}");
        }
        assert!(all.iter().any(|delay| *delay > Duration::from_secs(10)));
    }

    #[test]
    fn a_wait_the_server_asks_for_is_waited_and_spread() {
        let wait = Duration::from_secs(20);
        let failure = Failure { retry_after: Some(wait), ..Failure::new(FailureClass::Throttled, "") };
        let all = delays(2, &failure);
        assert!(all.iter().all(|delay| (wait..=wait + SPREAD).contains(delay)));
        assert!(all.windows(2).any(|pair| pair[0] != pair[1]));
    }
}

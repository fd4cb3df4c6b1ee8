//! The servers of one endpoint, all of them the same model: which one a call goes to, and which ones rest.
//!
//! A call goes to the server with the fewest calls under way. One that fails [`SICK`] times in a row rests, longer each
//! time; then it is sent one call, and is back if that is answered. When none is well, all are asked as if they were:
//! the calls' own retries and failures then say what is wrong.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::transport::Transport;
use super::{Failure, FailureClass};

/// Failures in a row after which a server rests.
const SICK: u32 = 3;
/// The first rest; each further one is twice as long, up to [`LONGEST`].
const REST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_mins(1);

/// The servers of one endpoint.
#[derive(Debug)]
pub(super) struct Replicas {
    all: Vec<Replica>,
    /// Where the search begins, so that equally busy servers take turns.
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Replica {
    transport: Transport,
    under_way: AtomicU32,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    failures: u32,
    rests: u32,
    rests_until: Option<Instant>,
    /// The one call after a rest is under way.
    probed: bool,
}

/// A call to one of the servers.
#[derive(Debug)]
pub(super) struct Visit<'r> {
    replica: &'r Replica,
    alone: bool,
    reported: bool,
    pub(super) index: usize,
}

impl Replicas {
    pub(super) fn new(transports: Vec<Transport>) -> Self {
        let replica = |transport| Replica { transport, under_way: AtomicU32::new(0), health: Mutex::default() };
        Self { all: transports.into_iter().map(replica).collect(), turn: AtomicUsize::new(0) }
    }

    /// Chooses a server, if possible another one than `failed`.
    pub(super) fn visit(&self, failed: Option<usize>) -> Visit<'_> {
        let index = self.choose(failed);
        let replica = &self.all[index];
        replica.under_way.fetch_add(1, Ordering::Relaxed);
        Visit { replica, alone: self.all.len() == 1, reported: false, index }
    }

    fn choose(&self, failed: Option<usize>) -> usize {
        if self.all.len() == 1 {
            return 0;
        }
        let now = Instant::now();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let order = || (0..self.all.len()).map(|at| (turn + at) % self.all.len());
        // The lock decides who of several calls is the one that probes.
        if let Some(rested) = order().find(|&at| self.all[at].health().begin_probe(now)) {
            return rested;
        }
        let least = |at: &usize| self.all[*at].under_way.load(Ordering::Relaxed);
        let well = || order().filter(|&at| self.all[at].health().rests_until.is_none());
        let other = well().filter(|at| Some(*at) != failed).min_by_key(least);
        other.or_else(|| well().next()).or_else(|| order().min_by_key(least)).unwrap_or(0)
    }

    /// Every server's connections.
    pub(super) fn transports(&self) -> impl Iterator<Item = &Transport> {
        self.all.iter().map(|replica| &replica.transport)
    }

    #[cfg(test)]
    pub(super) fn transports_mut(&mut self) -> impl Iterator<Item = &mut Transport> {
        self.all.iter_mut().map(|replica| &mut replica.transport)
    }
}

impl Replica {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    fn begin_probe(&mut self, now: Instant) -> bool {
        let due = !self.probed && self.rests_until.is_some_and(|until| until <= now);
        self.probed |= due;
        due
    }

    /// Whether it was sick and is well now.
    fn well(&mut self) -> bool {
        std::mem::take(self).rests_until.is_some()
    }

    /// The rest that begins with this failure, if one does.
    fn failed(&mut self, now: Instant) -> Option<Duration> {
        self.failures += 1;
        let begins = if self.rests_until.is_some() { self.probed } else { self.failures >= SICK };
        self.probed = false;
        begins.then(|| {
            let rest = REST.saturating_mul(1 << self.rests.min(10)).min(LONGEST);
            self.rests += 1;
            self.rests_until = Some(now + rest);
            rest
        })
    }
}

impl Visit<'_> {
    pub(super) fn transport(&self) -> &Transport {
        &self.replica.transport
    }

    /// Takes note of how the call went. Whatever a server answers shows that it is well, but for 5xx.
    pub(super) fn report<T>(&mut self, result: &Result<T, Failure>) {
        self.reported = true;
        if self.alone {
            return;
        }
        let sick = [FailureClass::Connection, FailureClass::Overloaded, FailureClass::TimedOut];
        let failure = result.as_ref().err().filter(|failure| sick.contains(&failure.class));
        let base = self.replica.transport.base();
        match failure {
            None if self.replica.health().well() => tracing::info!("{base} is back"),
            None => {}
            Some(failure) => {
                if let Some(rest) = self.replica.health().failed(Instant::now()) {
                    tracing::warn!("{base} rests for {} s: {failure}", rest.as_secs());
                }
            }
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.replica.under_way.fetch_sub(1, Ordering::Relaxed);
        if !self.reported {
            self.replica.health().probed = false;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::super::EndpointSettings;
    use super::super::endpoint::parse_base_url;
    use super::*;

    fn replicas(count: u16) -> Replicas {
        let settings = EndpointSettings::new("http://127.0.0.1:1/v1", "m");
        let transport = |at| {
            let url = parse_base_url(&format!("http://127.0.0.1:{at}/v1")).unwrap();
            Transport::new(&settings, url, None).unwrap()
        };
        Replicas::new((1..=count).map(transport).collect())
    }

    fn fail(replicas: &Replicas, index: usize, times: u32) {
        for _ in 0..times {
            let mut visit = Visit { replica: &replicas.all[index], alone: false, reported: false, index };
            replicas.all[index].under_way.fetch_add(1, Ordering::Relaxed);
            visit.report::<()>(&Err(Failure::new(FailureClass::Connection, "gone")));
        }
    }

    fn choices(replicas: &Replicas, count: usize) -> Vec<usize> {
        let mut seen: Vec<usize> = (0..count).map(|_| replicas.visit(None).index).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn calls_go_where_the_fewest_are_under_way_and_a_retry_goes_elsewhere() {
        let replicas = replicas(3);
        let held: Vec<Visit<'_>> = (0..6).map(|_| replicas.visit(None)).collect();
        for replica in &replicas.all {
            assert_eq!(replica.under_way.load(Ordering::Relaxed), 2);
        }
        drop(held.into_iter().filter(|visit| visit.index != 1).collect::<Vec<_>>());
        assert_eq!(choices(&replicas, 10).len(), 3);
        assert!((0..10).all(|_| replicas.visit(Some(2)).index != 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sick_server_rests_is_probed_by_one_call_and_comes_back() {
        let replicas = replicas(2);
        fail(&replicas, 0, SICK);
        assert_eq!(choices(&replicas, 20), [1]);
        tokio::time::sleep(REST).await;
        let mut probe = replicas.visit(None);
        assert_eq!(probe.index, 0);
        assert_eq!(choices(&replicas, 20), [1], "one call probes");
        probe.report::<()>(&Err(Failure::new(FailureClass::TimedOut, "late")));
        drop(probe);
        tokio::time::sleep(REST).await;
        assert_eq!(choices(&replicas, 20), [1], "the second rest is longer");
        tokio::time::sleep(REST).await;
        let mut probe = replicas.visit(None);
        assert_eq!(probe.index, 0);
        probe.report(&Ok(()));
        drop(probe);
        assert_eq!(choices(&replicas, 20), [0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_no_is_not_sick_and_with_all_of_them_sick_all_are_asked() {
        let replicas = replicas(2);
        for class in [FailureClass::Throttled, FailureClass::BadRequest, FailureClass::Unauthorised] {
            for _ in 0..9 {
                replicas.visit(None).report::<()>(&Err(Failure::new(class, "no")));
            }
        }
        assert_eq!(choices(&replicas, 20), [0, 1]);
        fail(&replicas, 0, SICK);
        fail(&replicas, 1, SICK);
        assert_eq!(choices(&replicas, 20), [0, 1]);
    }
}

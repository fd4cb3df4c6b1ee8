//! A bounded map for what can be made again.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

/// Keeps at least the last `capacity / 2` entries that were used: when the young half is full it becomes the old one,
/// and the old one goes. Cheaper than exact order of use, and good enough for what costs only time.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    half: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq + Copy, V: Clone> Cache<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { half: (capacity / 2).max(1), young: HashMap::new(), old: HashMap::new() }
    }

    /// Makes room for `more` entries that stay until as many others have been used.
    pub(super) fn grow(&mut self, more: usize) {
        self.half += more;
    }

    pub(super) fn get(&mut self, key: K) -> Option<V> {
        if let Some(value) = self.young.get(&key) {
            return Some(value.clone());
        }
        let value = self.old.remove(&key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.half {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::Cache;

    #[test]
    fn what_is_used_stays_and_the_size_is_bounded() {
        let mut cache = Cache::new(10);
        for n in 0..1000 {
            cache.insert(n, n);
            assert_eq!(cache.get(0), Some(0));
        }
        assert!(cache.young.len() + cache.old.len() <= 10);
        assert_eq!(cache.get(999), Some(999));
        assert_eq!(cache.get(500), None);
    }
}

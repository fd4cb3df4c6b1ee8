//! An open-addressed table of document numbers that stores no keys.
//!
//! A slot is 32 bits: the low ones hold the document's number plus one (0 is an empty slot), all that are left
//! above hold a tag, bits of the hash that spare most needless looks at the document. The more documents, the
//! fewer tag bits; every growth deals them anew. Growth asks the caller for the hashes again, takes a factor of
//! 9/8 and keeps the load between 0.8 and 0.9, so a document costs 4.4 to 5 bytes. Nothing is ever removed.

use std::ops::ControlFlow;

/// A table of document numbers.
#[derive(Clone, Debug)]
pub struct Slots {
    cells: Box<[u32]>,
    used: usize,
    number_bits: u32,
}

impl Slots {
    pub fn with_capacity(capacity: usize) -> Self {
        Self { cells: vec![0; capacity].into(), used: 0, number_bits: bits_for(capacity as u32) }
    }

    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.cells)
    }

    /// Calls `visit` with the number of every document inserted under this hash, in ascending order where they were
    /// inserted so, and of a few others; until `visit` breaks off.
    #[inline]
    pub fn candidates(&self, hash: u64, mut visit: impl FnMut(u32) -> ControlFlow<()>) {
        let (mut at, tag) = (self.home(hash), self.tag(hash));
        loop {
            let slot = self.cells[at];
            if slot == 0 {
                return;
            }
            if slot & self.tag_mask() == tag && visit((slot & !self.tag_mask()) - 1).is_break() {
                return;
            }
            at = self.after(at);
        }
    }

    /// Whether the number could be inserted without growing first.
    pub fn has_room(&self, number: u32) -> bool {
        !self.is_full() && bits_for(number) <= self.number_bits
    }

    fn is_full(&self) -> bool {
        (self.used + 1) * 10 > self.cells.len() * 9
    }

    /// Makes room for the number `next`; `entries` gives every hash and number again, in ascending order of numbers. The old slots
    /// go first, so that the two tables are never held at once.
    pub fn grow(&mut self, entries: impl Iterator<Item = (u64, u32)>, next: u32) {
        let used = self.used;
        let wanted = if self.is_full() { self.cells.len() / 8 * 9 + 8 } else { self.cells.len() };
        *self = Self { cells: Box::default(), used: 0, number_bits: 0 };
        // Twice the next number: documents that are in no table use up numbers too.
        let number_bits = bits_for(next.saturating_mul(2).max(wanted as u32));
        *self = Self { cells: vec![0; wanted].into(), used: 0, number_bits };
        for (hash, number) in entries {
            self.insert(hash, number);
        }
        debug_assert_eq!(self.used, used, "growth is given every entry again");
    }

    /// Inserts a number. There must be room.
    pub fn insert(&mut self, hash: u64, number: u32) {
        debug_assert!(self.used < self.cells.len() && bits_for(number) <= self.number_bits);
        let mut at = self.home(hash);
        while self.cells[at] != 0 {
            at = self.after(at);
        }
        self.cells[at] = self.tag(hash) | (number + 1);
        self.used += 1;
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.cells.len() { 0 } else { at + 1 }
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        (((hash >> 32) * self.cells.len() as u64) >> 32) as usize
    }

    #[inline]
    fn tag_mask(&self) -> u32 {
        // At 32 bits the shift is out of range, and no bit is left for a tag.
        u32::MAX.checked_shl(self.number_bits).unwrap_or(0)
    }

    #[inline]
    fn tag(&self, hash: u64) -> u32 {
        hash as u32 & self.tag_mask()
    }
}

/// Bits that hold `number + 1`.
fn bits_for(number: u32) -> u32 {
    32 - number.saturating_add(1).leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedupe::mix::scatter;

    /// Inserts `0..count`, skipping multiples of `skip`; ten numbers share a hash.
    fn filled(count: u32, skip: u32) -> Slots {
        let hash = |number: u32| scatter(u64::from(number / 10));
        let mut slots = Slots::with_capacity(16);
        for number in (0..count).filter(|number| number % skip != 0) {
            if !slots.has_room(number) {
                let entries = (0..number).filter(|number| number % skip != 0);
                slots.grow(entries.map(|number| (hash(number), number)), number);
            }
            slots.insert(hash(number), number);
        }
        slots
    }

    #[test]
    fn every_number_is_found_under_its_hash_after_any_growth() {
        for count in [1, 15, 16, 100, 5000] {
            let slots = filled(count, 7);
            for number in 0..count {
                let mut found = Vec::new();
                slots.candidates(scatter(u64::from(number / 10)), |candidate| {
                    found.push(candidate);
                    ControlFlow::Continue(())
                });
                assert_eq!(found.contains(&number), number % 7 != 0, "{number} of {count}");
            }
        }
    }

    #[test]
    fn tags_spare_most_other_numbers() {
        let slots = filled(20_000, 1_000_000);
        let mut strangers = 0;
        for absent in 1_000_000..1_010_000 {
            slots.candidates(scatter(absent), |_| {
                strangers += 1;
                ControlFlow::Continue(())
            });
        }
        assert!(strangers < 100, "{strangers}");
    }

    #[test]
    fn a_number_costs_at_most_five_bytes() {
        for count in [10_000, 10_500, 11_000, 11_500, 12_000] {
            let slots = filled(count, 1_000_000);
            assert!(slots.memory_bytes() <= count as usize * 5 + 64, "{count}: {}", slots.memory_bytes());
        }
    }

    #[test]
    fn numbers_may_run_ahead_of_the_entries() {
        let mut slots = Slots::with_capacity(16);
        for number in [3, 1000, 100_000] {
            if !slots.has_room(number) {
                let earlier: Vec<u32> = [3, 1000].into_iter().filter(|&earlier| earlier < number).collect();
                slots.grow(earlier.into_iter().map(|number| (7, number)), number);
            }
            slots.insert(7, number);
        }
        let mut found = Vec::new();
        slots.candidates(7, |candidate| {
            found.push(candidate);
            ControlFlow::Continue(())
        });
        assert_eq!(found, [3, 1000, 100_000]);
    }
}

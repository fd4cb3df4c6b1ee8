//! How many rows a stage that calls models may still take.

/// Counts rows against the limit of a run.
#[derive(Debug)]
pub struct Quota {
    limit: Option<u64>,
    /// Rows in hand, and those that were answered.
    taken: u64,
    rejected: u64,
}

impl Quota {
    /// Nothing taken yet.
    pub fn new(limit: Option<u64>) -> Self {
        Self { limit, taken: 0, rejected: 0 }
    }

    /// Rows that may still be taken. Rejected ones are made up for, but a model that is of no use must not be asked about
    /// everything: as many rejections as rows were wanted are the end.
    pub fn left(&self) -> u64 {
        match self.limit {
            None => u64::MAX,
            Some(limit) if self.rejected >= limit => 0,
            Some(limit) => limit.saturating_sub(self.taken),
        }
    }

    /// Rows were claimed.
    pub fn take(&mut self, rows: u64) {
        self.taken += rows;
    }

    /// Rows went back to the queue.
    pub fn give_back(&mut self, rows: u64) {
        self.taken -= rows;
    }

    /// Rows were rejected.
    pub fn reject(&mut self, rows: u64) {
        self.taken -= rows;
        self.rejected += rows;
    }
}

#[cfg(test)]
mod tests {
    use super::Quota;

    #[test]
    fn rejected_rows_are_made_up_for_up_to_the_limit() {
        let mut quota = Quota::new(Some(3));
        quota.take(3);
        assert_eq!(quota.left(), 0);
        quota.give_back(1);
        quota.reject(1);
        assert_eq!(quota.left(), 2);
        quota.take(2);
        quota.reject(2);
        assert_eq!(quota.left(), 0);
    }
}

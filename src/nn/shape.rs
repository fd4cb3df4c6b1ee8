//! The static shape of a batch: graphs are built, and sessions kept, one per shape.

/// The numbers that fix the shape of every tensor of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchShape {
    /// Rows of tokens.
    pub rows: usize,
    /// Tokens in a row, padding included.
    pub length: usize,
    /// Pairs, fillers of weight zero included.
    pub pairs: usize,
    /// Places that the language-model loss is taken at, fillers of weight zero included; 0 leaves that head out.
    pub lm_tokens: usize,
}

impl BatchShape {
    /// All tokens, padding included.
    pub fn tokens(&self) -> usize {
        self.rows * self.length
    }

    /// Tokens whose last hidden states are read: the ends of answers, then the places of the language-model loss.
    pub fn read(&self) -> usize {
        2 * self.pairs + self.lm_tokens
    }

    /// The shape with its numbers rounded up, so that few shapes serve many batches: lengths to a multiple of 32, the rest
    /// to at most three significant bits. `rows` stays as it is.
    #[must_use]
    pub fn bucketed(self) -> Self {
        Self {
            rows: self.rows,
            length: self.length.next_multiple_of(32),
            pairs: three_bits(self.pairs),
            lm_tokens: three_bits(self.lm_tokens).next_multiple_of(32),
        }
    }

    /// The same shape without the language-model head.
    #[must_use]
    pub fn without_lm(self) -> Self {
        Self { lm_tokens: 0, ..self }
    }
}

/// The least number of the form `a * 2^b`, `a < 8`, that is not below `n`: at most a quarter above it.
fn three_bits(n: usize) -> usize {
    let bits = usize::BITS - n.leading_zeros();
    n.next_multiple_of(1 << bits.saturating_sub(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_never_shrink_and_waste_at_most_a_quarter() {
        for n in 0..5000 {
            let bucket = three_bits(n);
            assert!(bucket >= n && bucket * 4 <= n * 5, "{n} became {bucket}");
        }
    }

    #[test]
    fn a_bucket_is_its_own_bucket() {
        let shape = BatchShape { rows: 3, length: 200, pairs: 11, lm_tokens: 777 }.bucketed();
        assert_eq!(shape.bucketed(), shape);
    }

    #[test]
    fn no_language_model_loss_stays_none() {
        let shape = BatchShape { rows: 1, length: 10, pairs: 1, lm_tokens: 0 };
        assert_eq!(shape.bucketed().lm_tokens, 0);
    }
}

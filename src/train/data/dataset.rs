//! Encoded pairs in memory, in the order of reading.

use std::sync::Arc;

use futures::{Stream, StreamExt as _};

use super::encoder::{Encoder, LeftOut};
use super::error::DataResult;
use super::pair::Pair;
use super::tokenised::{Counts, Tokenised};

/// Texts held at a time: enough to keep all cores at work, little beside the tokens.
const CHUNK: usize = 4096;

/// Encoded pairs, and what became of the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// The pairs, in the order of reading.
    pub pairs: Vec<Tokenised>,
    /// How many were read, kept, cut and left out.
    pub counts: Counts,
    /// The first ones that were left out.
    pub left_out: LeftOut,
}

impl Dataset {
    /// Encodes pairs as they are read. Blocks.
    ///
    /// # Errors
    /// The first one of reading or encoding.
    pub fn read(pairs: impl Iterator<Item = DataResult<Pair>>, encoder: &Encoder) -> DataResult<Self> {
        let (mut all, mut chunk) = (Self::default(), Vec::new());
        for pair in pairs {
            chunk.push(pair?);
            if chunk.len() == CHUNK {
                all.extend(&chunk, encoder)?;
                chunk.clear();
            }
        }
        all.extend(&chunk, encoder)?;
        Ok(all)
    }

    /// Encodes pages of pairs as they arrive, on blocking threads, while the next page is on its way.
    ///
    /// # Errors
    /// The first one of reading or encoding.
    pub async fn collect<S>(pages: S, encoder: &Arc<Encoder>) -> DataResult<Self>
    where
        S: Stream<Item = DataResult<Vec<Pair>>> + Send,
    {
        let encode = |page: DataResult<Vec<Pair>>| {
            let encoder = Arc::clone(encoder);
            async move {
                let page = page?;
                let encoded = tokio::task::spawn_blocking(move || {
                    let mut part = Self::default();
                    part.extend(&page, &encoder).map(|()| part)
                });
                encoded.await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))
            }
        };
        let mut parts = std::pin::pin!(pages.map(encode).buffered(2));
        let mut all = Self::default();
        while let Some(part) = parts.next().await {
            let part = part?;
            all.pairs.extend(part.pairs);
            all.counts.add(&part.counts);
            all.left_out.merge(part.left_out);
        }
        Ok(all)
    }

    /// Encodes more pairs. Blocks.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn extend(&mut self, pairs: &[Pair], encoder: &Encoder) -> DataResult<()> {
        let (pairs, counts) = encoder.encode_pairs(pairs, &mut self.left_out)?;
        self.pairs.extend(pairs);
        self.counts.add(&counts);
        Ok(())
    }

    /// The pairs with these indices, as an optimizer step takes them.
    ///
    /// # Panics
    /// When an index is out of range: that is a bug.
    pub fn step(&self, indices: &[usize]) -> Vec<&Tokenised> {
        indices.iter().map(|&index| &self.pairs[index]).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::encoder::{EncoderSettings, tests::bytes};
    use super::*;
    use crate::nn::Preset;
    use crate::train::data::DataError;

    fn encoder() -> Arc<Encoder> {
        let settings = EncoderSettings { max_length: 64, ..EncoderSettings::default() };
        Arc::new(Encoder::new(bytes(), &Preset::Tiny.config(258), settings).unwrap())
    }

    fn pairs() -> Vec<Pair> {
        let pair = |id: i64| Pair {
            id,
            prompt: format!("ask {id}"),
            chosen: "c".repeat(1 + id as usize % 70),
            rejected: "r".into(),
            margin: 0.0,
            repository: format!("owner/{}", id % 7),
            split: None,
        };
        (0..5000).map(pair).collect()
    }

    #[tokio::test]
    async fn pages_that_stream_in_give_what_reading_at_once_gives() {
        let encoder = encoder();
        let whole = Dataset::read(pairs().into_iter().map(Ok), &encoder).unwrap();
        assert!(whole.counts.too_long > 0 && whole.counts.kept as usize == whole.pairs.len());
        let pages: Vec<_> = pairs().chunks(333).map(|page| Ok(page.to_vec())).collect();
        assert_eq!(Dataset::collect(futures::stream::iter(pages), &encoder).await.unwrap(), whole);
    }

    #[tokio::test]
    async fn a_page_that_fails_ends_the_reading() {
        let pages = vec![Ok(pairs()), Err(DataError::NoEnd), Ok(pairs())];
        let error = Dataset::collect(futures::stream::iter(pages), &encoder()).await.unwrap_err();
        assert!(matches!(error, DataError::NoEnd));
    }
}

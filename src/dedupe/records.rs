//! What is held of every kept document: its id, its content hash and its packed sketch.
//!
//! Records live in blocks of fixed size, so that growing copies nothing and leaves little unused.

use super::content::ContentHash;

/// Records in a block: few, so that the unused end does not show in the memory of a small corpus.
const BLOCK: usize = 64;

/// The kept documents, numbered from 0 in the order in which they were kept.
#[derive(Clone, Debug)]
pub struct Records {
    /// Words of a sketch; 0 where none are held.
    width: usize,
    blocks: Vec<Block>,
    length: usize,
}

#[derive(Clone, Debug)]
struct Block {
    ids: Box<[i64; BLOCK]>,
    hashes: Box<[ContentHash; BLOCK]>,
    sketches: Box<[u64]>,
    /// Which records have a sketch, one bit each.
    sketched: u64,
}

impl Records {
    pub fn new(width: usize) -> Self {
        Self { width, blocks: Vec::new(), length: 0 }
    }

    pub fn len(&self) -> u32 {
        self.length as u32
    }

    pub fn memory_bytes(&self) -> usize {
        let block = size_of::<[i64; BLOCK]>() + size_of::<[ContentHash; BLOCK]>() + self.width * BLOCK * 8;
        self.blocks.len() * block + self.blocks.capacity() * size_of::<Block>()
    }

    /// Appends a record; `sketch` is `None`, or as wide as was said at the start.
    pub fn push(&mut self, id: i64, hash: ContentHash, sketch: Option<&[u64]>) {
        let at = self.length % BLOCK;
        if at == 0 {
            self.blocks.push(Block {
                ids: Box::new([0; BLOCK]),
                hashes: Box::new([ContentHash::from_bytes([0; 16]); BLOCK]),
                sketches: vec![0; self.width * BLOCK].into(),
                sketched: 0,
            });
        }
        let block = &mut self.blocks[self.length / BLOCK];
        block.ids[at] = id;
        block.hashes[at] = hash;
        if let Some(sketch) = sketch {
            block.sketches[at * self.width..][..self.width].copy_from_slice(sketch);
            block.sketched |= 1 << at;
        }
        self.length += 1;
    }

    pub fn id(&self, number: u32) -> i64 {
        let (block, at) = self.find(number);
        block.ids[at]
    }

    pub fn hash(&self, number: u32) -> ContentHash {
        let (block, at) = self.find(number);
        block.hashes[at]
    }

    /// The sketch of a document that has one.
    #[inline]
    pub fn sketch(&self, number: u32) -> &[u64] {
        let (block, at) = self.find(number);
        &block.sketches[at * self.width..][..self.width]
    }

    /// Every document that has a sketch, in order.
    pub fn sketches(&self) -> impl Iterator<Item = (u32, &[u64])> {
        (0..self.len())
            .filter(|&number| {
                let (block, at) = self.find(number);
                block.sketched >> at & 1 == 1
            })
            .map(|number| (number, self.sketch(number)))
    }

    #[inline]
    fn find(&self, number: u32) -> (&Block, usize) {
        (&self.blocks[number as usize / BLOCK], number as usize % BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_across_blocks() {
        let mut records = Records::new(3);
        for number in 0..700_u64 {
            let sketch = [number, number * 2, number * 3];
            let hash = ContentHash::of(&number.to_string());
            records.push(-(number as i64), hash, (number % 5 != 0).then_some(&sketch[..]));
        }
        assert_eq!(records.len(), 700);
        assert_eq!(records.id(699), -699);
        assert_eq!(records.hash(64), ContentHash::of("64"));
        assert_eq!(records.sketch(511), [511, 1022, 1533]);
        let sketched: Vec<u32> = records.sketches().map(|(number, _)| number).collect();
        assert_eq!(sketched, (0..700).filter(|number| number % 5 != 0).collect::<Vec<_>>());
    }
}

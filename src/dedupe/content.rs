//! The identity of a document's content.

/// The first 16 bytes of the BLAKE3 hash of a document's content; equal hashes are taken as equal content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 16]);

impl ContentHash {
    /// Hashes a document's content.
    pub fn of(content: &str) -> Self {
        let mut prefix = [0; 16];
        prefix.copy_from_slice(&blake3::hash(content.as_bytes()).as_bytes()[..16]);
        Self(prefix)
    }

    /// A hash read back from where it was stored.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Bits that place the hash in a table: it is uniform already.
    pub(super) fn bits(self) -> u64 {
        self.0.first_chunk().map_or(0, |half| u64::from_le_bytes(*half))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_blake3_of_the_empty_text() {
        assert_eq!(
            ContentHash::of("").to_bytes(),
            [0xaf, 0x13, 0x49, 0xb9, 0xf5, 0xf9, 0xa1, 0xa6, 0xa0, 0x40, 0x4d, 0xea, 0x36, 0xdc, 0xc9, 0x49]
        );
    }

    #[test]
    fn a_hash_survives_its_byte_form() {
        let hash = ContentHash::of("def f(): pass\n");
        assert_eq!(ContentHash::from_bytes(hash.to_bytes()), hash);
        assert_ne!(hash, ContentHash::of("def g(): pass\n"));
    }
}

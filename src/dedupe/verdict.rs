//! The answer about one document, and the reason for it.

/// What became of a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// It is unlike every document kept before, and is kept now.
    Kept,
    /// Its content equals that of a kept document.
    Exact {
        /// The id of the document that was kept.
        kept: i64,
    },
    /// It is near a kept document: of all kept documents found near it, the one with the highest estimate, and of
    /// these the one kept first.
    Near {
        /// The id of the document that was kept.
        kept: i64,
        /// The estimated Jaccard similarity of the two, 0 to 1.
        similarity: f32,
    },
}

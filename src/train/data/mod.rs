//! From pairs as text to batches of tokens.
//!
//! ```text
//! files, database ──> Pair ──Encoder──> Tokenised ──Epoch──> a step's pairs ──step_batches──> Batch
//! ```
//!
//! Invariants: the order of what is read decides the order of what comes out, whatever the number of threads; the
//! order of an epoch depends on its seed alone, on every machine; nothing is cut or left out uncounted, and the token that a reward is
//! read at is never cut off. Running a batch is left to `train::model`.

pub mod batch;
pub mod dataset;
mod draw;
pub mod encoder;
pub mod epoch;
pub mod error;
pub mod files;
mod pack;
mod pad;
pub mod pair;
pub mod score;
pub mod select;
pub mod step;
pub mod stored;
pub mod tokenised;

pub use batch::{Batch, BatchSettings, Layout};
pub use dataset::Dataset;
pub use encoder::{Encoded, Encoder, EncoderSettings, LeftOut, Refusal, Truncation};
pub use epoch::Epoch;
pub use error::{DataError, DataResult};
pub use files::read_pairs;
pub use pair::Pair;
pub use score::{Answers, ScoreBatch, ScoreInput, read_score_inputs, score_batches};
pub use step::step_batches;
pub use stored::stored_pairs;
pub use tokenised::{Counts, Tokenised};

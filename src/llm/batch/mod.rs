//! The same requests as files: OpenAI's Batch API, servers that copy it, and `vllm run-batch`.
//!
//! A request file has one request a line under a `custom_id`; result files bring the answers back in any order, each under
//! its `custom_id`. [`Batches`] uploads files, makes batches and fetches results; [`request_line`] and [`ResultReader`] are
//! the two kinds of line. A body is the very one that [`super::Client`] would have sent, and a result is judged as its
//! response would have been.

mod api;
mod line;
mod settings;

pub use api::{Batches, RemoteBatch};
pub use line::{BatchResult, LineError, ResultReader, request_line};
pub use settings::BatchSettings;

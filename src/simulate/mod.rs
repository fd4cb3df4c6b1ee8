//! A simulator of OpenAI-compatible chat models: for the offline demo, for load tests and for fault tests.
//!
//! It is no model and is never presented as one. It indexes a corpus; asked to describe code, it writes an instruction
//! from the code's signature, docstring and body; asked to write code from that instruction, it finds the code again
//! and returns it nearly intact (strong) or with realistic bugs made on the syntax tree (weak). Word problems of the made
//! reasoning set are solved rightly as often as it is told, and of two answers a judge prefers the one nearer to the code of
//! the corpus, as often as it is told.
//!
//! Invariants: an answer follows from the settings' seed and the request alone, whatever came before; faults of the
//! answer itself follow from the same, faults of the way also from how often the request was seen; a limit is never
//! exceeded in any window of 60 seconds.

mod batches;
mod cache;
mod chance;
mod compose;
mod describe;
mod dice;
mod dress;
mod edit;
mod facts;
mod habits;
mod index;
mod judge;
mod log;
mod mention;
mod mutate;
mod protocol;
mod role;
mod server;
mod settings;
mod simulator;
mod solve;
mod stats;
mod stream;
mod subject;
mod survey;
mod window;
mod wording;

pub use index::Index;
pub use protocol::{
    ChatRequest, Choice, Completion, Content, Failure, FailureDetail, FinishReason, Message, Part, Reply, RequestKey,
    StreamOptions, Usage,
};
pub use role::{MODELS, Role};
pub use server::serve;
pub use settings::{Fault, FaultKind, Settings, SettingsError};
pub use simulator::{Answer, AnswerError, Simulator};
pub use stats::{KeyCount, Stats};

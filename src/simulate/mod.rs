//! A simulator of OpenAI-compatible chat models: for the offline demo, for load tests and for fault tests.
//!
//! It is no model and is never presented as one. It indexes a corpus; asked to describe code, it writes an instruction
//! from the code's signature, docstring and body; asked to write code from that instruction, it finds the code again
//! and returns it nearly intact (strong) or with realistic bugs made on the syntax tree (weak).
//!
//! Invariants: an answer follows from the settings' seed and the request alone, whatever came before; faults of the
//! answer itself follow from the same, faults of the way also from how often the request was seen; a limit is never
//! exceeded in any window of 60 seconds.

mod compose;
mod dice;
mod dress;
mod edit;
mod mention;
mod mutate;
mod settings;
mod survey;
mod wording;

pub use settings::{Fault, FaultKind, Settings, SettingsError};
/// shim
pub struct Index;
impl Index {
    /// shim
    pub fn from_sources(_: impl Iterator<Item = (String, String)>, _: u64) -> Self {
        Self
    }
}
/// shim
pub struct Simulator;
impl Simulator {
    /// shim
    pub fn new(_: Index, _: Settings) -> Self {
        Self
    }
}
/// shim
pub async fn serve(
    _: tokio::net::TcpListener,
    _: std::sync::Arc<Simulator>,
    stop: tokio_util::sync::CancellationToken,
) -> std::io::Result<()> {
    stop.cancelled().await;
    Ok(())
}

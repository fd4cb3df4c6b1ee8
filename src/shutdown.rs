//! Stopping in order: the first Ctrl-C drains and commits, the second stops at once.

use tokio_util::sync::CancellationToken;

/// Exit code of an interrupted command (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;

/// Returns a token that the first SIGINT or SIGTERM cancels; the second ends the process.
///
/// # Errors
/// When the operating system refuses the signal handlers.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let drain = token.clone();
    tokio::spawn(async move {
        let mut first = true;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if !first {
                std::process::exit(INTERRUPTED.into());
            }
            first = false;
            tracing::warn!("stopping: finishing the calls in flight; once more to stop at once");
            drain.cancel();
        }
    });
    Ok(token)
}

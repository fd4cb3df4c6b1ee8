//! Where log lines go: standard error, `CODEPMP_LOG` decides how many.

use tracing_subscriber::EnvFilter;

/// Starts logging to standard error. Lines never carry prompts, answers or keys.
pub fn start(color: bool) {
    let filter = EnvFilter::try_from_env(crate::env::LOG).unwrap_or_else(|_| EnvFilter::new("warn,codepmp=info"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(color)
        .with_target(false)
        .without_time()
        .try_init();
}

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

/// An error with its causes on one line; a cause that the text before it tells already is left out.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !line.contains(&cause) {
            line = if line.is_empty() { cause } else { format!("{line}: {cause}") };
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the server failed: {source}")]
    struct Outer {
        source: std::io::Error,
    }

    #[test]
    fn a_cause_that_is_told_already_is_not_told_again() {
        let error = anyhow::Error::from(Outer { source: std::io::Error::other("gone") }).context("reading pairs");
        assert_eq!(one_line(&error), "reading pairs: the server failed: gone");
    }
}

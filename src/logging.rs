//! Logs: on standard error, as text for people or as JSON, one object a line.

use std::io;

use tracing_subscriber::EnvFilter;

/// Begins to log; `RUST_LOG` goes over `level`.
pub(crate) fn start(json: bool, level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if json {
        logs.json().init();
    } else {
        logs.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init();
    }
}

//! Being told to stop: SIGTERM, or ctrl-c.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens from when it is made, so that nothing is missed.
#[derive(Debug)]
pub(crate) struct Stop {
    term: Signal,
    interrupt: Signal,
}

impl Stop {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        let (term, interrupt) =
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        Ok(Self { term, interrupt })
    }

    /// Waits for the first.
    pub(crate) async fn came(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

//! SHELL: a thread that copies one direction, at once, and tells what it copied.

use std::io::{self, ErrorKind, Read, Write};

use anyhow::Context;
use tokio::sync::oneshot;

use super::lines::Lines;
use super::record::Ear;

/// Bytes that are copied at a time: what a pipe holds.
const CHUNK_BYTES: usize = 64 << 10;

/// One direction that is being copied.
#[derive(Debug)]
pub(super) struct Copy(oneshot::Receiver<()>);

impl Copy {
    /// Copies until there is no more, or nobody who takes it.
    pub(super) fn start(
        from: impl Read + Send + 'static,
        to: impl Write + Send + 'static,
        ear: Ear,
    ) -> anyhow::Result<Self> {
        let (done, copied) = oneshot::channel();
        let work = move || {
            if let Err(error) = copy(from, to, &ear) {
                tracing::debug!(%error, "a direction has ended");
            }
            drop(done);
        };
        let thread = std::thread::Builder::new().name("copy".to_owned()).spawn(work);
        thread.context("cannot start a thread")?;
        Ok(Self(copied))
    }

    /// Waits for its end.
    pub(super) async fn done(self) {
        // The sender is dropped when the thread ends, and never sends.
        let _ended = self.0.await;
    }
}

fn copy(mut from: impl Read, mut to: impl Write, ear: &Ear) -> io::Result<()> {
    let (mut chunk, mut lines) = (vec![0; CHUNK_BYTES], Lines::default());
    loop {
        let count = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = chunk.get(..count).unwrap_or_default();
        // Heard first: or else an answer could be heard before its request.
        lines.push(bytes, |line| ear.hear(line));
        to.write_all(bytes)?;
        to.flush()?;
    }
    lines.end().into_iter().for_each(|line| ear.hear(line));
    Ok(())
}

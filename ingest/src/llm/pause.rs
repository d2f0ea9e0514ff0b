//! SHELL: the longest pause between two frames. It costs a frame no more than a look at the clock.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Measures from the last frame on.
#[derive(Debug)]
pub(crate) struct Pause {
    max: Duration,
    since: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pause {
    pub(crate) fn new(max_ms: u64) -> Self {
        Self { max: Duration::from_millis(max_ms), since: Instant::now(), timer: None }
    }

    /// A frame came.
    pub(crate) fn goes_on(&mut self) {
        self.since = Instant::now();
    }

    /// Ready once the pause is too long. Only asked where there is no frame.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = self.since + self.max;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= end {
                return Poll::Ready(());
            }
            // It was set before the last frame.
            timer.as_mut().reset(end);
        }
        Poll::Pending
    }
}

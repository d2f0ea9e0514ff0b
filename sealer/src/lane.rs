//! A partition on its way from the source to the store: where it is read, where it is sealed, under what terms.

use std::time::Duration;

#[cfg(test)]
use schemas::Partition;
use schemas::Seconds;
use store::{Lock, Retention, Store};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::enroller::Enroller;
use crate::error::{Error, ErrorKind};
use crate::metrics::Metrics;
use crate::origin::Origin;
use crate::source::Source;

/// First wait before an operation is tried again; doubles each time.
const RETRY_WAIT_MIN_MS: u64 = 100;
/// Tries that are made even when a shutdown has been asked for.
const TRIES_MIN: u32 = 5;

/// A partition, its source and its store.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) store: Store,
    pub(crate) source: Source,
    pub(crate) origin: Origin,
    pub(crate) keeping: Keeping,
    pub(crate) retry_wait_max_ms: u64,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: CancellationToken,
    /// Who enrols what is sealed; `None` where nothing is enrolled.
    pub(crate) enroller: Option<Enroller>,
}

/// How long what is sealed is kept.
#[derive(Clone, Debug)]
pub(crate) struct Keeping {
    /// The topic's retention class.
    pub(crate) class: String,
    /// `None` where nothing is locked.
    pub(crate) retention: Option<Retention>,
}

impl Keeping {
    /// The lock of a segment or body that is written now.
    pub(crate) fn lock(&self, now: Seconds) -> Result<Option<Lock>, Error> {
        let lock = self.retention.as_ref().map(|retention| retention.lock(&self.class, now));
        lock.transpose().map_err(|error| Error::Config(error.to_string()))
    }

    /// The lock of a record, an opening or a terminal object that is written now.
    pub(crate) fn record_lock(&self, now: Seconds) -> Result<Option<Lock>, Error> {
        let lock = self.retention.as_ref().map(|retention| retention.record_lock(&self.class, now));
        lock.transpose().map_err(|error| Error::Config(error.to_string()))
    }
}

impl Lane {
    /// Of a partition of a log in memory, without locks or a log of segments.
    #[cfg(test)]
    pub(crate) fn of_memory(store: Store, log: &crate::memory::Log, partition: Partition) -> Self {
        let origin = log.origins().into_iter().find(|origin| origin.partition == partition);
        Self {
            store,
            source: Source::Memory(log.clone()),
            origin: origin.unwrap(),
            keeping: Keeping { class: "standard".to_owned(), retention: None },
            retry_wait_max_ms: 1,
            metrics: Metrics::default(),
            shutdown: CancellationToken::new(),
            enroller: None,
        }
    }

    /// Tries until it works, waiting longer each time; an error that trying again cannot mend ends it at once, and so does
    /// a shutdown after a few tries.
    pub(crate) async fn patiently<T, F: Future<Output = Result<T, Error>>>(
        &self,
        doing: &str,
        key: &str,
        mut operation: impl FnMut() -> F,
    ) -> Result<T, Error> {
        let mut wait = RETRY_WAIT_MIN_MS;
        let mut tries = 0;
        loop {
            let error = match operation().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            tries += 1;
            let hopeless = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Conflict);
            if hopeless || (self.shutdown.is_cancelled() && tries >= TRIES_MIN) {
                return Err(error);
            }
            self.metrics.retried(&self.origin);
            warn!(partition = %self.origin.partition, %key, tries, wait_ms = wait, %error, "could not {doing} yet");
            crate::clock::wait(Duration::from_millis(wait)).await;
            wait = (wait * 2).min(self.retry_wait_max_ms);
        }
    }
}

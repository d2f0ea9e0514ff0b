//! SHELL: the task that enrols what this process seals, and answers partitions that ask whether their chain holds all that is
//! enrolled of it. Sealing never waits for it but for that answer.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schemas::tlog::{Beat, Entry, HEARTBEAT_PARTITIONS_MAX, Heartbeat};
use schemas::{Offset, Partition, Seconds};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::chain::Head;
use crate::clock;
use crate::config::LogConfig;
use crate::enrol::Desk;
use crate::error::{Error, ErrorKind, causes};
use crate::links::Confirmed;
use crate::log::Log;
use crate::metrics::LogMetrics;
use crate::source::Source;
use crate::stop::Stop;

/// Partitions that may ask at once.
const ASKS: usize = 64;
/// Tries that are made once nothing more is sealed.
const LAST_TRIES: usize = 5;
const LAST_WAIT: Duration = Duration::from_millis(500);

/// The end of each partition's chain.
type Heads = BTreeMap<Partition, Head>;

/// What a partition tells the task, and asks it.
#[derive(Clone, Debug)]
pub(crate) struct Enroller {
    heads: Arc<Mutex<Heads>>,
    asks: mpsc::Sender<Ask>,
}

#[derive(Debug)]
pub(crate) struct Ask {
    head: Head,
    answer: oneshot::Sender<Result<(), Error>>,
}

/// What [`Enrolment::run`] is made with.
#[derive(Debug)]
pub(crate) struct Enrolment {
    pub(crate) desk: Desk,
    pub(crate) source: Source,
    pub(crate) config: LogConfig,
    pub(crate) metrics: LogMetrics,
    heads: Arc<Mutex<Heads>>,
    asks: mpsc::Receiver<Ask>,
    /// `None` until it was found in the store.
    log: Option<Log>,
}

impl Enroller {
    /// Tells of a chain's new end.
    pub(crate) fn sealed(&self, head: &Head) {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.insert(head.chain.partition, head.clone());
    }

    /// Whether the chain holds all that is enrolled of it.
    ///
    /// # Errors
    /// It does not: [`Error::Stopped`]. Or the store failed.
    pub(crate) async fn confirm(&self, head: &Head) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let gone = || Error::Unsettled { what: "nobody enrols any more".to_owned() };
        self.asks.send(Ask { head: head.clone(), answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())??;
        self.sealed(head);
        Ok(())
    }
}

impl Enrolment {
    pub(crate) fn new(
        desk: Desk,
        source: Source,
        config: LogConfig,
        metrics: LogMetrics,
    ) -> (Enroller, Self) {
        let (sender, asks) = mpsc::channel(ASKS);
        let heads = Arc::new(Mutex::new(Heads::new()));
        let enroller = Enroller { heads: heads.clone(), asks: sender };
        (enroller, Self { desk, source, config, metrics, heads, asks, log: None })
    }

    /// Enrols until `finish`, and then what is left.
    pub(crate) async fn run(mut self, finish: CancellationToken) {
        let interval = Duration::from_millis(self.config.interval_ms.max(1));
        loop {
            tokio::select! {
                Some(ask) = self.asks.recv() => self.answer(ask).await,
                () = clock::wait(interval) => drop(self.enrol().await),
                () = finish.cancelled() => break,
            }
        }
        for _ in 0..LAST_TRIES {
            if self.enrol().await {
                return;
            }
            clock::wait(LAST_WAIT).await;
        }
        error!("what was sealed last is not enrolled; the next start enrols it");
    }

    async fn answer(&mut self, ask: Ask) {
        let confirmed = self.confirm(&ask.head).await;
        let answer = match confirmed {
            // A log that is broken is no reason to stop sealing: it says nothing of this chain.
            Err(error @ Error::Log { .. }) => {
                self.failed(&error);
                Ok(())
            }
            answer => answer,
        };
        // Whoever asked may have gone.
        let _unheard = ask.answer.send(answer);
    }

    async fn confirm(&mut self, head: &Head) -> Result<(), Error> {
        let mut log = self.found().await?;
        self.desk.follow(&mut log).await?;
        let confirmed = self.desk.confirm(&log, head).await;
        self.log = Some(log);
        match confirmed? {
            Confirmed::Whole => Ok(()),
            Confirmed::Dropped(enrolled) => Err(Error::Stopped {
                topic: head.chain.topic.clone(),
                partition: head.chain.partition,
                stop: Stop::Dropped { enrolled: enrolled.next, next: head.next },
            }),
        }
    }

    /// Enrols what there is; whether it worked.
    async fn enrol(&mut self) -> bool {
        match self.try_enrol().await {
            Ok(()) => {
                self.metrics.stopped(false);
                true
            }
            Err(error) => {
                // It is looked for anew: another may have gone on from a state that is not known here.
                self.log = None;
                self.failed(&error);
                false
            }
        }
    }

    async fn try_enrol(&mut self) -> Result<(), Error> {
        let heads: Vec<Head> = {
            let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
            heads.values().cloned().collect()
        };
        let mut log = self.found().await?;
        let now = clock::now();
        let pending = |log: &Log| heads.iter().filter(|head| is_ahead(log, head)).count();
        let partitions = self.partitions().await?;
        let due = self.due(&log, partitions, now);
        if pending(&log) > 0 || due {
            let ends = if due { self.ends().await? } else { BTreeMap::new() };
            let config = &self.config;
            let beats = |log: &Log| heartbeats(log, partitions, now, config, &ends);
            self.desk.enrol(&mut log, &heads, now, beats).await?;
        }
        self.metrics.enrolled(&log, pending(&log), now);
        self.log = Some(log);
        Ok(())
    }

    async fn found(&mut self) -> Result<Log, Error> {
        match self.log.take() {
            Some(log) => Ok(log),
            None => self.desk.load(self.partitions().await?).await,
        }
    }

    async fn partitions(&self) -> Result<u32, Error> {
        let origins = self.source.origins().await?;
        Ok(origins.first().map_or(0, |origin| origin.partitions))
    }

    fn due(&self, log: &Log, partitions: u32, now: Seconds) -> bool {
        let ahead = self.heads.lock().unwrap_or_else(PoisonError::into_inner).len();
        (ahead > 0 || !log.links().is_empty())
            && ranges(partitions).any(|range| is_due(log, &range, now, &self.config))
    }

    /// Where the source's log ends, of the partitions that tell.
    async fn ends(&self) -> Result<BTreeMap<Partition, Offset>, Error> {
        let mut ends = BTreeMap::new();
        for origin in self.source.origins().await? {
            match self.source.extent(&origin).await {
                Ok(extent) => drop(ends.insert(origin.partition, extent.end)),
                Err(error) => {
                    warn!(partition = %origin.partition, %error, "the heartbeat does not say where it ends");
                }
            }
        }
        Ok(ends)
    }

    fn failed(&self, error: &Error) {
        if error.kind() == ErrorKind::Corrupt {
            self.metrics.stopped(true);
            error!(error = %causes(error), "could not enrol");
        } else {
            warn!(error = %causes(error), "could not enrol yet");
        }
    }
}

fn is_ahead(log: &Log, head: &Head) -> bool {
    let enrolled = log.enrolled(head.chain.partition);
    enrolled.is_none_or(|at| (at.epoch, at.next) < (head.chain.epoch, head.next))
}

fn ranges(partitions: u32) -> impl Iterator<Item = Range<u32>> {
    let step = HEARTBEAT_PARTITIONS_MAX;
    (0..partitions.div_ceil(step)).map(move |n| n * step..((n + 1) * step).min(partitions))
}

fn is_due(log: &Log, range: &Range<u32>, now: Seconds, config: &LogConfig) -> bool {
    let every = i64::try_from(config.heartbeat_ms / 1000).unwrap_or(i64::MAX);
    log.last_beat(range.start).is_none_or(|last| now.0.saturating_sub(last.0) >= every)
}

/// The heartbeats that are due, after all that is noted in `log`.
pub(crate) fn heartbeats(
    log: &Log,
    partitions: u32,
    now: Seconds,
    config: &LogConfig,
    ends: &BTreeMap<Partition, Offset>,
) -> Vec<Entry> {
    let due = ranges(partitions).filter(|range| is_due(log, range, now, config));
    let told = due.map(|range| {
        let links = log.links().range(Partition(range.start)..Partition(range.end));
        let beats = links.map(|(partition, link)| Beat {
            partition: *partition,
            epoch: link.epoch,
            next: link.next,
            leaf: link.leaf,
            end: ends.get(partition).copied(),
        });
        Heartbeat { topic: log.topic().clone(), beats: beats.collect(), range, at: now }
    });
    told.filter(|heartbeat| !heartbeat.beats.is_empty()).map(Entry::Heartbeat).collect()
}

//! SHELL: the sink, where messages become durable.
//!
//! One bounded queue and one thread that empties it: so a session's messages reach the log in the order in which they
//! were admitted, and requests that come together share one fsync. A full queue is an answer, never a wait.

#![expect(clippy::disallowed_methods, reason = "the age of the last failure decides readiness")]

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use spool::{Message, Spool};
use tokio::sync::oneshot;

use crate::away::Away;
use crate::batch::Batch;
use crate::error::Error;
use crate::group::{GROUP_BYTES_MAX, Group};
use crate::kafka::{Kafka, KafkaConfig};
use crate::relay::Relay;

/// Requests that wait for the writer. Their bytes are bounded by the gateway's `in_flight_bytes_max`.
const JOBS_MAX: usize = 4096;
/// How long a failure counts against readiness: then somebody has to try again, or nobody would ever know.
const FAILURE_AGE_MAX: Duration = Duration::from_secs(5);

/// Told, for each message of a job, whether it is durable.
pub(crate) type Done = Box<dyn FnOnce(Vec<bool>) + Send>;

/// What the writer is to do.
pub(crate) enum Job {
    /// The messages of one request.
    Write(Vec<Message>, Done),
    /// No more will come.
    End(End),
}

/// An orderly end: told once all that was queued before has had its outcome.
pub(crate) struct End {
    /// When messages that can wait on disk are left there.
    pub(crate) until: Instant,
    /// Told how many those are.
    pub(crate) done: oneshot::Sender<u64>,
}

/// Where events go. Clones are the same sink; its thread ends with the last one.
#[derive(Clone, Debug)]
pub struct Sink {
    queue: SyncSender<Job>,
    health: Arc<Health>,
    /// The spool for when Kafka is away, if there is one.
    pub(crate) away: Option<Arc<Away>>,
    /// Bytes of the largest message it takes.
    pub(crate) event_bytes_max: usize,
}

/// What the writer last met with.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failure: Mutex<Option<(Instant, String)>>,
    pub(crate) jobs: AtomicU64,
}

impl Health {
    pub(crate) fn succeeded(&self) {
        *self.failure() = None;
    }

    /// The first of a row of failures is an error for a human; the others add nothing.
    pub(crate) fn failed(&self, why: String) {
        let mut failure = self.failure();
        match *failure {
            None => tracing::error!(why, "the log takes no events"),
            Some(_) => tracing::debug!(why, "the log still takes no events"),
        }
        *failure = Some((Instant::now(), why));
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<(Instant, String)>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// The durable queue on disk, which may also be the log of a single machine.
    ///
    /// # Errors
    /// [`Error::Thread`].
    pub fn spool(spool: Spool) -> Result<Self, Error> {
        Self::start(usize::MAX, move |jobs, health| append(&spool, jobs, health))
    }

    /// A Kafka topic. Asks the brokers for it, and waits some seconds for their answer.
    ///
    /// # Errors
    /// [`Error::Config`] and [`Error::Kafka`] for settings that make no sense; [`Error::Topic`]; [`Error::Unreachable`];
    /// [`Error::Thread`].
    pub fn kafka(config: &KafkaConfig) -> Result<Self, Error> {
        let kafka = Kafka::new(config, false)?;
        kafka.look()?;
        Self::start(config.event_bytes_max, move |jobs, health| send(kafka, jobs, health))
    }

    /// A Kafka topic, with a spool in `dir` of at most `bytes_max` that events go to while Kafka is away: when it refuses
    /// all, or has not acknowledged something for `patience`. It starts also then.
    ///
    /// # Errors
    /// As [`Sink::kafka`], but for [`Error::Unreachable`]; [`Error::Spool`].
    pub fn kafka_with_spool(
        config: &KafkaConfig,
        dir: &Path,
        bytes_max: u64,
        patience: Duration,
    ) -> Result<Self, Error> {
        let relay = Relay::open(config, dir, bytes_max, patience)?;
        let away = relay.away();
        let sink = Self::start(config.event_bytes_max, move |jobs, health| {
            relay.run(&jobs, health);
        })?;
        Ok(Self { away: Some(away), ..sink })
    }

    fn start(
        event_bytes_max: usize,
        write: impl FnOnce(Receiver<Job>, &Arc<Health>) + Send + 'static,
    ) -> Result<Self, Error> {
        let (queue, jobs) = sync_channel(JOBS_MAX);
        let health = Arc::new(Health::default());
        let writers = Arc::clone(&health);
        let thread = std::thread::Builder::new().name("sink".to_owned());
        let thread = thread.spawn(move || write(jobs, &writers));
        thread.map_err(|source| Error::Thread { source })?;
        Ok(Self { queue, health, away: None, event_bytes_max })
    }

    /// Queues the job, or says why not. It never blocks, so it may be called under a lock.
    pub(crate) fn send(&self, job: Job) -> Result<(), &'static str> {
        self.health.jobs.fetch_add(1, Ordering::Relaxed);
        self.queue.try_send(job).map_err(|error| {
            self.health.jobs.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => "the queue to the log is full",
                TrySendError::Disconnected(_) => "the writer to the log has stopped",
            }
        })
    }

    /// Requests in the queue.
    pub(crate) fn jobs(&self) -> u64 {
        self.health.jobs.load(Ordering::Relaxed)
    }

    /// Why the sink does not take events at the moment, or cannot get them to where they belong, if so.
    pub(crate) fn failure(&self) -> Option<String> {
        let failure = self.health.failure();
        let recent = failure.as_ref().filter(|(at, _)| at.elapsed() < FAILURE_AGE_MAX);
        recent.map(|(_, why)| why.clone()).or_else(|| self.away.as_ref()?.stuck_why())
    }

    /// Waits until all that was queued before has had its outcome, and until what is spooled has gone to Kafka if that is
    /// possible within `limit`. Returns how many messages are left in the spool.
    pub(crate) async fn end(&self, limit: Duration) -> u64 {
        let (done, wait) = oneshot::channel();
        let mut job = Some(Job::End(End { until: Instant::now() + limit, done }));
        // A full queue is tried again until there is room.
        while let Some(next) = job.take() {
            self.health.jobs.fetch_add(1, Ordering::Relaxed);
            if let Err(TrySendError::Full(back)) = self.queue.try_send(next) {
                self.health.jobs.fetch_sub(1, Ordering::Relaxed);
                job = Some(back);
                tokio::task::yield_now().await;
            }
        }
        wait.await.unwrap_or_default()
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(messages, _) => write!(f, "Write({} messages)", messages.len()),
            Self::End(_) => f.write_str("End"),
        }
    }
}

/// Empties the queue into Kafka.
fn send(mut kafka: Kafka, jobs: Receiver<Job>, health: &Arc<Health>) {
    for job in jobs {
        health.jobs.fetch_sub(1, Ordering::Relaxed);
        match job {
            Job::Write(messages, done) => {
                kafka.hand(&Batch::new(messages, done, false, Some(Arc::clone(health))));
            }
            Job::End(end) => {
                kafka.flush();
                end.done.send(0).ok();
            }
        }
    }
}

/// Empties the queue into the spool: what waits is one append, and so one fsync.
fn append(spool: &Spool, jobs: Receiver<Job>, health: &Health) {
    while let Ok(first) = jobs.recv() {
        let (mut group, mut ends) = (Group::default(), Vec::new());
        let mut next = Some(first);
        while let Some(job) = next {
            health.jobs.fetch_sub(1, Ordering::Relaxed);
            match job {
                Job::Write(messages, done) => group.add(messages, done),
                Job::End(end) => ends.push(end),
            }
            next = if group.bytes() < GROUP_BYTES_MAX { jobs.try_recv().ok() } else { None };
        }
        group.append(spool, health);
        for end in ends {
            end.done.send(0).ok();
        }
    }
}

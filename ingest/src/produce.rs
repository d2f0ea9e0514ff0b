//! SHELL: the sink, where messages become durable.
//!
//! One bounded queue and one thread that empties it: so a session's messages reach the log in the order in which they
//! were admitted, and requests that come together share one fsync. A full queue is an answer, never a wait.

#![expect(clippy::disallowed_methods, reason = "the age of the last failure decides readiness")]

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use spool::{Message, Spool};
use tokio::sync::oneshot;

use crate::error::Error;
use crate::kafka::{Kafka, KafkaConfig};

/// Requests that wait for the writer. Their bytes are bounded by the gateway's `in_flight_bytes_max`.
const JOBS_MAX: usize = 4096;
/// Messages written with one fsync reach this, or are those of one request.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// How long a failure counts against readiness: then somebody has to try again, or nobody would ever know.
const FAILURE_AGE_MAX: Duration = Duration::from_secs(5);

/// Told, for each message of a job, whether it is durable.
pub(crate) type Done = Box<dyn FnOnce(Vec<bool>) + Send>;

/// The messages of one request.
pub(crate) struct Job {
    pub(crate) messages: Vec<Message>,
    pub(crate) done: Done,
}

/// Where events go. Clones are the same sink; its thread ends with the last one.
#[derive(Clone, Debug)]
pub struct Sink {
    queue: SyncSender<Job>,
    health: Arc<Health>,
    /// Bytes of the largest message it takes.
    pub(crate) event_bytes_max: usize,
}

/// What the writer last met with.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failure: Mutex<Option<(Instant, String)>>,
    jobs: AtomicU64,
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

    /// A Kafka topic.
    ///
    /// # Errors
    /// [`Error::Config`] and [`Error::Kafka`] for settings that make no sense; [`Error::Thread`].
    pub fn kafka(config: &KafkaConfig) -> Result<Self, Error> {
        Self::start_kafka(Kafka::new(config)?, config.event_bytes_max)
    }

    fn start_kafka(kafka: Kafka, event_bytes_max: usize) -> Result<Self, Error> {
        Self::start(event_bytes_max, move |jobs, health| {
            for job in jobs {
                health.jobs.fetch_sub(1, Ordering::Relaxed);
                kafka.send(job, health);
            }
        })
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
        Ok(Self { queue, health, event_bytes_max })
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

    /// Why the sink does not take events at the moment, if so.
    pub(crate) fn failure(&self) -> Option<String> {
        let failure = self.health.failure();
        let recent = failure.as_ref().filter(|(at, _)| at.elapsed() < FAILURE_AGE_MAX);
        recent.map(|(_, why)| why.clone())
    }

    /// Waits until all that was queued before has had its outcome.
    pub(crate) async fn flush(&self) {
        let (flushed, wait) = oneshot::channel();
        // That nobody waits any more is no error; a full queue is tried again until there is room.
        let done = Box::new(move |_| {
            flushed.send(()).ok();
        });
        let mut job = Some(Job { messages: Vec::new(), done });
        while let Some(next) = job.take() {
            self.health.jobs.fetch_add(1, Ordering::Relaxed);
            if let Err(TrySendError::Full(back)) = self.queue.try_send(next) {
                self.health.jobs.fetch_sub(1, Ordering::Relaxed);
                job = Some(back);
                tokio::task::yield_now().await;
            }
        }
        drop(wait.await);
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({} messages)", self.messages.len())
    }
}

/// Empties the queue into the spool: what waits is one append, and so one fsync.
fn append(spool: &Spool, jobs: Receiver<Job>, health: &Health) {
    while let Ok(first) = jobs.recv() {
        let mut messages = Vec::new();
        let mut waiting = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(job) = next {
            health.jobs.fetch_sub(1, Ordering::Relaxed);
            bytes += job.messages.iter().map(|message| message.value.len()).sum::<usize>();
            waiting.push((job.messages.len(), job.done));
            messages.extend(job.messages);
            next = if bytes < GROUP_BYTES_MAX { jobs.try_recv().ok() } else { None };
        }
        let durable = append_group(spool, messages, health);
        for (count, done) in waiting {
            done(vec![durable; count]);
        }
    }
}

fn append_group(spool: &Spool, messages: Vec<Message>, health: &Health) -> bool {
    if messages.is_empty() {
        return true;
    }
    let count = messages.len();
    match spool.append(messages) {
        Ok(offsets) => {
            tracing::debug!(offset_first = offsets.start, count, "appended");
            health.succeeded();
            true
        }
        Err(error) => {
            health.failed(error.to_string());
            false
        }
    }
}

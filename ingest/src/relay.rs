//! SHELL: the Kafka sink that has a spool for when Kafka is away.
//!
//! One thread does it all: it takes jobs, hands them to the client or appends them to the spool, and hands the spool to the
//! client. So a switch is a moment between two jobs. Delivery reports answer requests from the client's own thread; this
//! one looks at them afterwards. What is decided when is `course`.
//!
//! Nothing is acknowledged but what the broker acknowledged or the disk did, and the head of the spool is forgotten only
//! after delivery: a kill at any point loses nothing, and the next start hands over again what is there.

#![expect(
    clippy::disallowed_methods,
    reason = "how long Kafka has not answered is told by a clock"
)]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use spool::{Message, Record, Spool};

use crate::away::Away;
use crate::batch::{Batch, Failure};
use crate::course::Course;
use crate::error::Error;
use crate::group::{GROUP_BYTES_MAX, Group};
use crate::kafka::{Kafka, KafkaConfig};
use crate::produce::{End, Health, Job};

/// How often reports are looked at while no job comes, and while the spool goes to the topic.
const TICK: Duration = Duration::from_millis(50);
const TICK_DRAINING: Duration = Duration::from_millis(2);
/// Time until the next try after a failure; until a human may have acted.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_STUCK: Duration = Duration::from_secs(5);
/// Files of the spool: what was delivered of one is delivered again after a restart.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;

/// The thread's state.
pub(crate) struct Relay {
    kafka: KafkaConfig,
    patience: Duration,
    spool: Spool,
    course: Course,
    /// Absent while it would have nothing to do.
    client: Option<Kafka>,
    /// What is in the client's hands, in order: first stretches of the spool, then direct batches.
    handed: VecDeque<Handed>,
    away: Arc<Away>,
    health: Arc<Health>,
    /// When something was last delivered.
    progress: Instant,
    end: Option<End>,
}

struct Handed {
    batch: Arc<Batch>,
    at: Instant,
    /// Where the stretch of the spool ends; `None` if it came directly.
    spooled_to: Option<u64>,
    bytes: usize,
}

impl Relay {
    /// Opens the spool and looks for the topic. It starts also while Kafka is away.
    pub(crate) fn open(
        kafka: &KafkaConfig,
        dir: &Path,
        bytes_max: u64,
        patience: Duration,
    ) -> Result<Self, Error> {
        let limits = spool::Config {
            segment_bytes_max: SEGMENT_BYTES_MAX,
            bytes_max,
            ..spool::Config::default()
        };
        let client = Kafka::new(kafka, true)?;
        let (spool, recovery) = Spool::open(dir, limits)
            .map_err(|source| Error::Spool { dir: dir.to_owned(), source: Box::new(source) })?;
        tracing::info!(topic = kafka.topic, dir = %dir.display(), ?recovery, "spool opened");
        let is_there = match client.look() {
            Ok(()) => true,
            Err(error @ Error::Unreachable { .. }) => {
                tracing::warn!(%error, topic = kafka.topic, "Kafka is away: events go to the spool");
                false
            }
            Err(error) => return Err(error),
        };
        let mut course = Course::new(spool.start(), is_there, patience);
        course.turn_direct(spool.next(), Duration::ZERO);
        let away = Arc::new(Away::new(kafka.topic.clone(), spool.clone()));
        away.set(course.is_direct(), course.head());
        Ok(Self {
            kafka: kafka.clone(),
            patience,
            spool,
            course,
            client: Some(client),
            handed: VecDeque::new(),
            away,
            health: Arc::default(),
            progress: Instant::now(),
            end: None,
        })
    }

    /// What others may know of it.
    pub(crate) fn away(&self) -> Arc<Away> {
        Arc::clone(&self.away)
    }

    /// Works until there can be no more jobs.
    pub(crate) fn run(mut self, jobs: &Receiver<Job>, health: &Arc<Health>) {
        self.health = Arc::clone(health);
        loop {
            let is_draining = !self.course.is_direct() && !self.handed.is_empty();
            let tick = if is_draining { TICK_DRAINING } else { TICK };
            match jobs.recv_timeout(tick) {
                Ok(job) => self.take(job, jobs),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.step(Instant::now());
        }
    }

    fn take(&mut self, job: Job, jobs: &Receiver<Job>) {
        // Whether Kafka is away is found out before more is handed over, and not behind a queue of jobs.
        self.collect(Instant::now());
        self.health.jobs.fetch_sub(1, Ordering::Relaxed);
        match job {
            Job::End(end) => {
                self.progress = Instant::now();
                self.end = Some(end);
            }
            Job::Write(messages, done) if self.course.is_direct() => {
                let bytes = messages.iter().map(|message| message.value.len()).sum();
                let batch = Batch::new(messages, done, true, Some(Arc::clone(&self.health)));
                self.hand(batch, None, bytes);
            }
            Job::Write(messages, done) => {
                let mut group = Group::default();
                group.add(messages, done);
                while group.bytes() < GROUP_BYTES_MAX
                    && let Ok(job) = jobs.try_recv()
                {
                    self.health.jobs.fetch_sub(1, Ordering::Relaxed);
                    match job {
                        Job::Write(messages, done) => group.add(messages, done),
                        Job::End(end) => self.end = Some(end),
                    }
                }
                group.append(&self.spool, &self.health);
            }
        }
    }

    fn hand(&mut self, batch: Arc<Batch>, spooled_to: Option<u64>, bytes: usize) {
        if let Some(client) = &mut self.client {
            client.hand(&batch);
        } else {
            batch.fail_from(0, &Failure::Away("there is no client".to_owned()));
        }
        self.handed.push_back(Handed { batch, at: Instant::now(), spooled_to, bytes });
    }

    fn step(&mut self, now: Instant) {
        self.collect(now);
        self.drain(now);
        if self.course.turn_direct(self.spool.next(), self.oldest(now)) {
            tracing::info!(topic = self.kafka.topic, "Kafka is back: events go to it directly");
            self.away.recovered();
        }
        self.away.set(self.course.is_direct(), self.course.head());
        self.end(now);
    }

    fn oldest(&self, now: Instant) -> Duration {
        self.handed.front().map_or(Duration::ZERO, |front| now.saturating_duration_since(front.at))
    }

    /// Learns what became of what the client has had longest, and takes everything back if Kafka is away.
    fn collect(&mut self, now: Instant) {
        while let Some(front) = self.handed.front() {
            let (to, count) = (front.spooled_to, front.batch.messages.len());
            match (front.batch.ended(), to) {
                (None, _) => break,
                (Some(Err(Failure::Away(why))), _) => return self.withdraw(now, &why),
                (Some(Err(Failure::Refused(why))), Some(_)) => return self.stuck(now, why),
                (Some(Ok(())), Some(to)) => self.delivered(to, count),
                // It has answered for itself.
                (Some(_), None) => {}
            }
            self.progress = now;
            self.handed.pop_front();
        }
        if self.course.is_overdue(self.oldest(now)) {
            let why = format!("no acknowledgement within {} ms", self.patience.as_millis());
            self.withdraw(now, &why);
        }
    }

    fn delivered(&mut self, to: u64, count: usize) {
        self.course.delivered(to);
        self.away.drained(count);
        if let Err(error) = self.spool.truncate_head(to) {
            // It is delivered again after the next start.
            tracing::warn!(%error, topic = self.kafka.topic, "the spool does not forget what it should");
        }
    }

    /// Empties the client's hands: what came directly and was not acknowledged goes behind the spool's end.
    fn withdraw(&mut self, now: Instant, why: &str) {
        if self.course.is_direct() {
            tracing::warn!(why, topic = self.kafka.topic, "Kafka is away: events go to the spool");
        } else {
            tracing::debug!(why, topic = self.kafka.topic, "Kafka is still away");
        }
        let client = self.client.take();
        if let Some(client) = &client {
            client.withdraw();
        }
        let mut group = Group::default();
        let (mut is_gapless, handed) = (true, std::mem::take(&mut self.handed));
        for Handed { batch, spooled_to, .. } in handed {
            let Some(to) = spooled_to else {
                group.take_back(&batch);
                if group.bytes() >= GROUP_BYTES_MAX {
                    std::mem::take(&mut group).append(&self.spool, &self.health);
                }
                continue;
            };
            is_gapless &= batch.ended() == Some(Ok(()));
            if is_gapless {
                self.delivered(to, batch.messages.len());
            }
        }
        group.append(&self.spool, &self.health);
        self.course.away(now, PAUSE);
        // It takes a moment to end, and nobody waits for an answer any more.
        drop(client);
    }

    /// The spool cannot go to the topic as things are, though Kafka may be there.
    fn stuck(&mut self, now: Instant, why: String) {
        self.withdraw(now, &why);
        self.course.away(now, PAUSE_STUCK);
        self.away.stuck(why);
    }

    /// Hands over of the spool what there is room for.
    fn drain(&mut self, now: Instant) {
        let next = self.spool.next();
        let mut bytes =
            self.handed.iter().filter(|handed| handed.spooled_to.is_some()).map(|h| h.bytes).sum();
        while let Some((from, bytes_max)) = self.course.stretch(now, next, bytes) {
            let records = self.spool.read(from, bytes_max).map_err(|error| error.to_string());
            match records.and_then(|records| self.ready_client().map(|()| records)) {
                Ok(records) => bytes += self.hand_over(records),
                Err(why) => return self.stuck(now, why),
            }
        }
    }

    fn ready_client(&mut self) -> Result<(), String> {
        if self.client.is_none() {
            let client = Kafka::new(&self.kafka, true).map_err(|error| error.to_string())?;
            self.client = Some(client);
        }
        Ok(())
    }

    fn hand_over(&mut self, records: Vec<Record>) -> usize {
        let Some(to) = records.last().map(|record| record.offset + 1) else { return 0 };
        let message = |record: Record| {
            let Record { timestamp_ms, key, value, .. } = record;
            Message { timestamp_ms, key, value }
        };
        let messages: Vec<Message> = records.into_iter().map(message).collect();
        let bytes = messages.iter().map(|message| message.value.len()).sum();
        let batch = Batch::new(messages, Box::new(|_| {}), true, None);
        self.course.handed(to);
        self.hand(batch, Some(to), bytes);
        bytes
    }

    /// At the end: what Kafka takes goes there, until it takes no more or time is over; the rest stays in the spool.
    fn end(&mut self, now: Instant) {
        let Some(end) = &self.end else { return };
        let is_empty = self.handed.is_empty() && self.course.head() == self.spool.next();
        let stands_still = now.saturating_duration_since(self.progress) > self.patience;
        let is_over = now >= end.until || (stands_still && !self.course.is_direct());
        if !is_empty && !is_over {
            return;
        }
        if !is_empty && self.course.is_direct() {
            self.withdraw(now, "the gateway stops");
        }
        let left = self.spool.next() - self.course.head();
        if let Some(End { done, .. }) = self.end.take() {
            done.send(left).ok();
        }
    }
}

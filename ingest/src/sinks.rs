//! SHELL: the sinks of a gateway: one for each retention class, since a topic has one.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use spool::Message;
use tokio::sync::oneshot;

use crate::class::{self, Class};
use crate::config::Config;
use crate::error::Error;
use crate::kafka::KafkaConfig;
use crate::produce::Sink;

/// Where events go, by retention class. Clones are the same sinks.
#[derive(Clone, Debug)]
pub struct Sinks {
    /// In the order of the classes, so that of events that name none first; never empty.
    first: Sink,
    others: Vec<Sink>,
}

impl From<Sink> for Sinks {
    fn from(first: Sink) -> Self {
        Self { first, others: Vec::new() }
    }
}

impl Sinks {
    /// The topic of `kafka` and those of `config`'s other classes; with `spool`, each has a folder of its name in it for
    /// when Kafka is away. Waits some seconds for the brokers.
    ///
    /// # Errors
    /// As [`Sink::kafka`] and [`Sink::kafka_with_spool`]; [`Error::Config`] where two classes have one topic.
    pub fn kafka(
        kafka: &KafkaConfig,
        config: &Config,
        spool: Option<&Path>,
    ) -> Result<Self, Error> {
        config.check()?;
        let topic = |class| config.topics.get(class).unwrap_or(&kafka.topic);
        let topics: Vec<&String> = class::names(config).map(topic).collect();
        let is_new = |(index, topic)| !topics.iter().take(index).any(|other| *other == topic);
        if let Some(topic) = topics.iter().copied().enumerate().find(|it| !is_new(*it)) {
            let why = format!("has {} for two classes: a topic has one", topic.1);
            return Err(Error::Config { field: "topics", why });
        }
        let open = |topic: &String| {
            let kafka = KafkaConfig { topic: topic.clone(), ..kafka.clone() };
            let Some(dir) = spool else { return Sink::kafka(&kafka) };
            let patience = Duration::from_millis(config.spool_patience_ms);
            Sink::kafka_with_spool(&kafka, &dir.join(topic), config.spool_bytes_max, patience)
        };
        // Side by side: brokers that are away make each of them wait.
        let sinks = std::thread::scope(|scope| {
            let opening: Vec<_> = topics.iter().map(|topic| scope.spawn(|| open(topic))).collect();
            let lost = || std::io::Error::other("it panicked");
            let opened = opening.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| Err(Error::Thread { source: lost() }))
            });
            opened.collect::<Result<Vec<_>, _>>()
        })?;
        let mut sinks = sinks.into_iter();
        let none = || Error::Config { field: "topics", why: "has no first topic".to_owned() };
        Ok(Self { first: sinks.next().ok_or_else(none)?, others: sinks.collect() })
    }

    pub(crate) fn of(&self, class: Class) -> &Sink {
        let other = class.0.checked_sub(1).and_then(|index| self.others.get(index));
        other.unwrap_or(&self.first)
    }

    /// How many classes have a sink.
    pub(crate) fn count(&self) -> usize {
        1 + self.others.len()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Sink> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Bytes of the largest message that all of them take.
    pub(crate) fn event_bytes_max(&self) -> usize {
        self.all().map(|sink| sink.event_bytes_max).min().unwrap_or(usize::MAX)
    }

    /// Why one of them does not take events, if so.
    pub(crate) fn failure(&self) -> Option<String> {
        self.all().find_map(Sink::failure)
    }

    /// That events are taken, and where those of a topic go that do not get onto it.
    pub(crate) fn readiness(&self) -> String {
        let mut text = "ready\n".to_owned();
        for away in self.all().filter_map(|sink| sink.away.as_deref()) {
            if !away.is_direct() {
                let (topic, messages) = (&away.topic, away.messages());
                text.push_str(&format!(
                    "{topic}: Kafka is away, {messages} messages are spooled\n"
                ));
            }
        }
        text
    }

    /// Requests in the queues.
    pub(crate) fn jobs(&self) -> u64 {
        self.all().map(Sink::jobs).sum()
    }

    /// Ends all of them side by side; returns how many messages are left in spools.
    pub(crate) async fn end(&self, limit: Duration) -> u64 {
        futures_util::future::join_all(self.all().map(|sink| sink.end(limit))).await.iter().sum()
    }
}

/// The messages of a request that go to one sink.
#[derive(Debug, Default)]
pub(crate) struct Part<P> {
    pub(crate) class: Class,
    pub(crate) messages: Vec<Message>,
    /// What is kept of each.
    pub(crate) pending: Vec<P>,
    /// The place of each in the request.
    pub(crate) places: Vec<usize>,
}

/// Splits a request by sink; each part keeps the order.
pub(crate) fn parts<P>(messages: Vec<(Class, Message, P)>) -> Vec<Part<P>> {
    let count = messages.len();
    let mut parts: Vec<Part<P>> = Vec::with_capacity(1);
    for (place, (class, message, pending)) in messages.into_iter().enumerate() {
        let known = parts.iter().position(|part| part.class == class);
        let index = known.unwrap_or(parts.len());
        if known.is_none() {
            // Most requests have one part.
            let room = if place == 0 { count } else { 0 };
            parts.push(Part {
                class,
                messages: Vec::with_capacity(room),
                pending: Vec::with_capacity(room),
                places: Vec::with_capacity(room),
            });
        }
        let Some(part) = parts.get_mut(index) else { continue };
        part.messages.push(message);
        part.pending.push(pending);
        part.places.push(place);
    }
    parts
}

/// Gathers the outcomes of a request's parts, and answers when the last is there. `T` is held until then.
#[derive(Debug)]
pub(crate) struct Gather<T>(Mutex<Gathering<T>>);

#[derive(Debug)]
struct Gathering<T> {
    durable: Vec<bool>,
    left: usize,
    answer: Option<(oneshot::Sender<Arc<[bool]>>, T)>,
}

impl<T> Gather<T> {
    /// For `count` messages in `left` parts.
    pub(crate) fn new(
        count: usize,
        left: usize,
        answer: oneshot::Sender<Arc<[bool]>>,
        held: T,
    ) -> Arc<Self> {
        let durable = vec![false; count];
        Arc::new(Self(Mutex::new(Gathering { durable, left, answer: Some((answer, held)) })))
    }

    /// The part with these places ended so.
    pub(crate) fn part(&self, places: &[usize], outcomes: &[bool]) {
        let mut gathering = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, outcome) in places.iter().zip(outcomes) {
            if let Some(durable) = gathering.durable.get_mut(*place) {
                *durable = *outcome;
            }
        }
        gathering.left = gathering.left.saturating_sub(1);
        if gathering.left > 0 {
            return;
        }
        let durable = std::mem::take(&mut gathering.durable);
        if let Some((answer, held)) = gathering.answer.take() {
            drop(held);
            // If nobody waits any more, the client has gone; its events are as durable as any.
            drop(answer.send(durable.into()));
        }
    }
}

//! SHELL: messages in the hands of the Kafka client, and what became of each.
//!
//! A batch is one request's messages, or a stretch of the spool. It answers for itself when the last delivery report is in,
//! unless some of its messages are to be kept for the spool: those are for the relay to take back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use spool::Message;

use crate::bursts::Burst;
use crate::produce::{Done, Health};

/// Why a message did not get onto the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The broker will not take this message as it is, or from us, however often it is tried.
    Refused(String),
    /// Kafka is away, or was told nothing: the same message may go later.
    Away(String),
}

impl Failure {
    pub(crate) fn of(error: &KafkaError) -> Self {
        let why = error.to_string();
        match error.rdkafka_error_code() {
            Some(
                Code::MessageSizeTooLarge
                | Code::MessageBatchTooLarge
                | Code::InvalidTopic
                | Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::UnknownTopic
                | Code::UnknownTopicOrPartition
                | Code::UnknownPartition
                | Code::PolicyViolation
                | Code::InvalidTimestamp
                | Code::InvalidRecord
                | Code::UnsupportedForMessageFormat,
            ) => Self::Refused(why),
            _ => Self::Away(why),
        }
    }

    pub(crate) fn why(&self) -> &str {
        let (Self::Refused(why) | Self::Away(why)) = self;
        why
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nobody has said yet.
    Open,
    Delivered,
    Refused,
    Away,
}

/// Messages that were handed to the client together.
pub(crate) struct Batch {
    pub(crate) messages: Vec<Message>,
    /// Whether messages that Kafka was away for wait to be taken back, instead of being answered for.
    is_kept: bool,
    open: Mutex<Open>,
    /// Told how requests fare; `None` for what no request waits for.
    health: Option<Arc<Health>>,
}

struct Open {
    left: usize,
    fates: Vec<Fate>,
    /// The first.
    failure: Option<Failure>,
    /// `None` once the batch was answered for, or taken back.
    done: Option<Done>,
}

/// What is to be answered for a batch that was taken back.
pub(crate) struct Unanswered {
    pub(crate) fates: Vec<Fate>,
    pub(crate) done: Done,
}

impl Batch {
    pub(crate) fn new(
        messages: Vec<Message>,
        done: Done,
        is_kept: bool,
        health: Option<Arc<Health>>,
    ) -> Arc<Self> {
        let (left, fates) = (messages.len(), vec![Fate::Open; messages.len()]);
        let open = Mutex::new(Open { left, fates, failure: None, done: Some(done) });
        Arc::new(Self { messages, is_kept, open, health })
    }

    /// How it ended: `None` while reports are missing.
    pub(crate) fn ended(&self) -> Option<Result<(), Failure>> {
        let open = self.open();
        (open.left == 0).then(|| open.failure.clone().map_or(Ok(()), Err))
    }

    /// The messages from `index` on never got to the client.
    pub(crate) fn fail_from(&self, index: usize, failure: &Failure) {
        for index in index..self.messages.len() {
            self.settle(index, Err(failure.clone()));
        }
    }

    /// What is left to answer, for whoever answers it now. Reports that come later change nothing.
    pub(crate) fn take_back(&self) -> Option<Unanswered> {
        let mut open = self.open();
        let done = open.done.take()?;
        Some(Unanswered { fates: open.fates.clone(), done })
    }

    fn settle(&self, index: usize, outcome: Result<(), Failure>) {
        let mut open = self.open();
        if let Some(fate) = open.fates.get_mut(index) {
            *fate = match &outcome {
                Ok(()) => Fate::Delivered,
                Err(Failure::Refused(_)) => Fate::Refused,
                Err(Failure::Away(_)) => Fate::Away,
            };
        }
        if let Err(failure) = outcome {
            // That Kafka is away outweighs that it refused one message: it decides what is done with the others.
            match open.failure {
                Some(Failure::Away(_)) => {}
                Some(Failure::Refused(_)) if matches!(failure, Failure::Refused(_)) => {}
                _ => open.failure = Some(failure),
            }
        }
        open.left = open.left.saturating_sub(1);
        if open.left == 0 {
            self.answer(open);
        }
    }

    /// Answers for the batch, whose reports are all in, unless some of it is to be taken back.
    fn answer(&self, mut open: MutexGuard<'_, Open>) {
        if self.is_kept && matches!(open.failure, Some(Failure::Away(_))) {
            return;
        }
        if let Some(health) = &self.health {
            match &open.failure {
                Some(failure) => health.failed(failure.why().to_owned()),
                None => health.succeeded(),
            }
        }
        let Some(done) = open.done.take() else { return };
        let durable = open.fates.iter().map(|fate| *fate == Fate::Delivered).collect();
        drop(open);
        done(durable);
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Goes with a message, and comes back with its delivery report.
pub(crate) struct Report {
    pub(crate) batch: Arc<Batch>,
    pub(crate) index: usize,
    #[expect(dead_code, reason = "is over when its last report is dropped")]
    pub(crate) burst: Burst,
}

impl Report {
    pub(crate) fn settle(&self, outcome: Result<(), Failure>) {
        self.batch.settle(self.index, outcome);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn batch(count: usize, is_kept: bool) -> (Arc<Batch>, Receiver<Vec<bool>>) {
        let message = Message { timestamp_ms: 1, key: None, value: Vec::new() };
        let (answered, answer) = channel();
        let done = Box::new(move |durable| answered.send(durable).unwrap());
        (Batch::new(vec![message; count], done, is_kept, None), answer)
    }

    fn away() -> Result<(), Failure> {
        Err(Failure::Away("away".to_owned()))
    }

    #[test]
    fn a_batch_answers_when_its_last_report_is_in() {
        let (batch, answer) = batch(3, true);
        batch.settle(1, Err(Failure::Refused("no".to_owned())));
        batch.settle(0, Ok(()));
        assert_eq!((batch.ended(), answer.try_recv().ok()), (None, None));
        batch.settle(2, Ok(()));
        assert_eq!(answer.recv().unwrap(), [true, false, true]);
        assert!(matches!(batch.ended(), Some(Err(Failure::Refused(_)))));
        assert!(batch.take_back().is_none());
    }

    #[test]
    fn what_kafka_was_away_for_is_taken_back_once_and_answered_by_who_took_it() {
        let (kept, answer) = batch(3, true);
        kept.settle(0, Ok(()));
        kept.fail_from(1, &Failure::Away("away".to_owned()));
        assert!(matches!(kept.ended(), Some(Err(Failure::Away(_)))));
        let rest = kept.take_back().unwrap();
        assert_eq!(rest.fates, [Fate::Delivered, Fate::Away, Fate::Away]);
        assert!(kept.take_back().is_none() && answer.try_recv().is_err());
        (rest.done)(vec![true; 3]);
        assert_eq!(answer.recv().unwrap(), [true; 3]);
    }

    #[test]
    fn a_batch_that_nobody_takes_back_answers_also_that_kafka_is_away() {
        let (failed, answer) = batch(2, false);
        failed.settle(0, away());
        failed.settle(1, Ok(()));
        assert_eq!(answer.recv().unwrap(), [false, true]);
    }

    #[test]
    fn reports_that_come_after_the_batch_was_taken_back_change_nothing() {
        let (late, answer) = batch(2, true);
        assert_eq!(late.take_back().unwrap().fates, [Fate::Open; 2]);
        late.settle(0, Ok(()));
        late.settle(1, Ok(()));
        assert!(answer.try_recv().is_err());
    }
}

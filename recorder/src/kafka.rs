//! SHELL: straight to a topic: idempotent, `acks=all`, in order, placed as Java clients place.
//!
//! The client itself tries again for as long as it takes, since it alone can do that without changing the order; it gives
//! up on its own only where that would be no use.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use tokio::sync::mpsc;

use crate::door::{Answer, Next, Verdict};
use crate::encode::Message;
use crate::error::Error;

/// Room in a request for what stands beside the value: key, timestamp, batch header.
const OVERHEAD_BYTES: usize = 4096;

/// A producer for one topic.
pub(crate) struct Kafka {
    client: ClientConfig,
    brokers: String,
    topic: String,
    producer: ThreadedProducer<Deliveries>,
    trouble: Trouble,
}

/// Is told what the client complains about while it keeps trying.
pub(crate) type Trouble = Arc<dyn Fn(&str) + Send + Sync>;

impl Kafka {
    pub(crate) fn new(
        brokers: &str,
        topic: &str,
        properties: &BTreeMap<String, String>,
        event_bytes_max: usize,
        trouble: Trouble,
    ) -> Result<Self, Error> {
        if let Err(error) = schemas::Topic::new(topic) {
            return Err(Error::Config { field: "topic", why: error.why.to_owned() });
        }
        let mut client = ClientConfig::new();
        client.set("message.max.bytes", (event_bytes_max + OVERHEAD_BYTES).to_string());
        for (name, value) in properties {
            client.set(name, value);
        }
        // Last, since none of these may be overridden: durability, order and place depend on them.
        client
            .set("bootstrap.servers", brokers)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", "0")
            // The events have waited for each other already.
            .set("linger.ms", "0");
        let producer = create(&client, brokers, &trouble)?;
        let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
        Ok(Self { client, brokers, topic, producer, trouble })
    }

    /// Sends the messages and waits for each one's report.
    pub(crate) async fn send(&mut self, messages: &[Message]) -> Answer {
        if self.producer.client().fatal_error().is_some() {
            // An idempotent producer that lost its place can only be replaced.
            match create(&self.client, &self.brokers, &self.trouble) {
                Ok(producer) => self.producer = producer,
                Err(error) => return Answer::wait(messages.len(), None, error.to_string()),
            }
        }
        let (reports, mut outcomes) = mpsc::channel(messages.len().max(1));
        for (index, message) in messages.iter().enumerate() {
            let report = Box::new(Report { index, reports: reports.clone() });
            let record = BaseRecord::with_opaque_to(&self.topic, report)
                .key(message.key.as_slice())
                .payload(message.value.as_slice());
            if let Err((error, record)) = self.producer.send(record) {
                record.delivery_opaque.settle(Err(error));
                // Those behind it would overtake it.
                break;
            }
        }
        drop(reports);
        let mut answer = Answer::taken(0);
        answer.verdicts = vec![Verdict::Again; messages.len()];
        while let Some((index, outcome)) = outcomes.recv().await {
            let verdict = judged(&outcome);
            answer.why = outcome.err().map(|error| error.to_string()).or(answer.why);
            if let Some(slot) = answer.verdicts.get_mut(index) {
                *slot = verdict;
            }
        }
        if answer.verdicts.contains(&Verdict::Again) {
            answer.next = Next::Wait(None);
        }
        answer
    }
}

fn create(
    client: &ClientConfig,
    brokers: &str,
    trouble: &Trouble,
) -> Result<ThreadedProducer<Deliveries>, Error> {
    let context = Deliveries { trouble: Arc::clone(trouble) };
    client
        .create_with_context(context)
        .map_err(|source| Error::Client { target: brokers.to_owned(), source: Box::new(source) })
}

fn judged(outcome: &Result<(), KafkaError>) -> Verdict {
    let Err(error) = outcome else { return Verdict::Acknowledged };
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::PolicyViolation,
        ) => Verdict::Refused,
        _ => Verdict::Again,
    }
}

/// Goes with a message, and comes back with its report.
pub(crate) struct Report {
    index: usize,
    reports: mpsc::Sender<(usize, Result<(), KafkaError>)>,
}

impl Report {
    fn settle(&self, outcome: Result<(), KafkaError>) {
        // There is a place for each; nobody waits any more where the recorder was ended.
        self.reports.try_send((self.index, outcome)).ok();
    }
}

/// Receives reports.
pub(crate) struct Deliveries {
    trouble: Trouble,
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        (self.trouble)(&format!("{error}: {reason}"));
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Report>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Box<Report>) {
        report.settle(result.as_ref().map(drop).map_err(|(error, _)| error.clone()));
    }
}

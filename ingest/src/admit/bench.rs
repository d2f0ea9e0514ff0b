//! A gateway without effects, for tests: random bytes count up and the clock is a field.

use std::collections::BTreeSet;

use schemas::{
    Event, Message, Micros, Offset, PUBLISHED, Partition, Place, SessionId, Tenant, Timestamp,
};
use serde_json::Value;

use super::*;
use crate::avro_door::{self, Series};
use crate::draft::{Intake, drafts};
use crate::frames::Frames;

pub(super) const NOW: Micros = Micros(1_760_000_000_000_000);

/// The bench.
pub(super) struct Bench {
    pub(super) config: Config,
    pub(super) state: State<usize>,
    drawn: u128,
    pub(super) now: Micros,
    pub(super) event_bytes_max: usize,
    /// What is in the store, if there is one.
    pub(super) stored: Option<BTreeSet<Digest>>,
    /// Whether bodies are in Avro.
    pub(super) avro: Option<Series>,
    frames: Frames,
}

impl Bench {
    pub(super) fn new() -> Self {
        let config = Config::default();
        let event_bytes_max = config.event_bytes_max;
        let (state, frames) = (State::new(), Frames::default());
        let (stored, avro) = (None, None);
        Self { config, state, drawn: 0, now: NOW, event_bytes_max, stored, avro, frames }
    }

    pub(super) fn plan(&mut self, body: &[u8]) -> Result<Plan<usize>, Halt> {
        let tenant = Tenant::new("acme").unwrap();
        let session = SessionId::new("made").unwrap();
        let config = &self.config;
        let intake = Intake { config, tenant: &tenant, now: self.now, session: &session };
        let mut draw = || {
            self.drawn += 1;
            Ok(self.drawn.to_be_bytes())
        };
        let mut drafts = match self.avro {
            None => drafts(body, &intake, &mut draw)?,
            // The registry knows two schemas, of which one is ours.
            Some(series) => avro_door::drafts(body, series, &intake, &|id| {
                Ok(PUBLISHED.last().filter(|_| id.0 == 7))
            })?,
        };
        let door = Door {
            config,
            frames: &self.frames,
            credential_id: "k1",
            capture_point: "http",
            gateway_epoch: 7,
            now: self.now,
            event_bytes_max: self.event_bytes_max,
            stored: self.stored.as_ref(),
        };
        let unknown = self.state.unknown(&drafts, &door);
        salt(&mut drafts, &unknown);
        self.state.plan(drafts, &door)
    }

    /// A plan that needs nothing of the store.
    pub(super) fn plan_without_claims(&mut self, body: &[u8]) -> Result<Plan<usize>, Refusal> {
        self.plan(body).map_err(|halt| match halt {
            Halt::Refused(refusal) => refusal,
            Halt::Claims(claims) => panic!("{} claims", claims.len()),
        })
    }

    /// Admits a request and leaves it in flight.
    pub(super) fn send(
        &mut self,
        body: &Value,
    ) -> Result<(Vec<Sent>, Vec<Answer<usize>>), Refusal> {
        self.send_bytes(body.to_string().as_bytes())
    }

    pub(super) fn send_bytes(
        &mut self,
        body: &[u8],
    ) -> Result<(Vec<Sent>, Vec<Answer<usize>>), Refusal> {
        let plan = self.plan_without_claims(body)?;
        let sent: Vec<Sent> = plan.messages.into_iter().map(Admitted::split).collect();
        let pending: Vec<Pending> = sent.iter().map(|(_, _, pending)| pending.clone()).collect();
        self.state.commit(pending.iter().zip(0..), &self.config, |index| index);
        self.state.count(pending.len());
        Ok((sent, plan.answers))
    }

    /// Admits one event and learns that it is durable.
    pub(super) fn write(&mut self, event: &Value) -> Sent {
        let (mut sent, _) = self.send(event).unwrap();
        let sent = sent.remove(0);
        self.settle(&sent, true);
        sent
    }

    pub(super) fn settle(&mut self, (_, _, pending): &Sent, durable: bool) {
        self.state.settle(pending.clone(), durable, &self.config);
    }

    pub(super) fn refusal(&mut self, body: &Value) -> Refusal {
        self.send(body).map(|_| ()).unwrap_err()
    }
}

pub(super) type Sent = (Vec<u8>, Vec<u8>, Pending);

pub(super) fn read((key, value, _): &Sent) -> Event<'_> {
    let (offset, timestamp) = (Offset(0), Timestamp::default());
    let message = Message { offset, timestamp, key: Some(key), value: Some(value) };
    schemas::read(&message, Place { partition: Partition(0), partitions: 1 }).unwrap()
}

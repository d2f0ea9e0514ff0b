//! CORE: what the events of one request are admitted with, and what every message must be in the end.

use std::collections::BTreeSet;

use schemas::{Admission, Digest, Framing, Micros, PUBLISHED};

use crate::config::Config;
use crate::frames::Frames;

/// What every admission of a request says.
#[derive(Debug)]
pub(crate) struct Door<'a> {
    pub(crate) config: &'a Config,
    pub(crate) frames: &'a Frames,
    pub(crate) credential_id: &'a str,
    /// The door's name in the admission.
    pub(crate) capture_point: &'static str,
    pub(crate) gateway_epoch: i64,
    pub(crate) now: Micros,
    /// The sink's limit, or the gateway's where that is less.
    pub(crate) event_bytes_max: usize,
    /// Bodies that are in the store, and go by reference; `None` where there is no store.
    pub(crate) stored: Option<&'a BTreeSet<Digest>>,
}

impl Door<'_> {
    /// The admission of the event that is `seq` in this gateway's count.
    pub(crate) fn admission(&self, seq: i64) -> Admission<'_> {
        Admission {
            observed_at: self.now,
            credential_id: self.credential_id.into(),
            gateway_id: self.config.gateway_id.as_str().into(),
            gateway_epoch: self.gateway_epoch,
            gateway_seq: seq,
            capture_point: self.capture_point.into(),
        }
    }

    /// Why a reader would not take the message for an event. A cheap rule or type prevents each before.
    pub(crate) fn malformed(&self, key: &[u8], value: &[u8]) -> Option<schemas::Malformed> {
        let (offset, timestamp) = (schemas::Offset(0), schemas::Timestamp::default());
        let message = schemas::Message { offset, timestamp, key: Some(key), value: Some(value) };
        let place = schemas::Place { partition: schemas::Partition(0), partitions: 1 };
        let read = match self.frames.framing() {
            Framing::SingleObject => schemas::read(&message, place),
            Framing::Confluent => schemas::read_confluent(&message, place, |_| PUBLISHED.last()),
        };
        read.err()
    }
}

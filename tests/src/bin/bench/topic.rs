//! Events as the gateway would write them to the topic, with every body in full or each body once.

use std::collections::HashMap;

use schemas::{
    Admission, Body, Content, ContextPrefix, Digest, Envelope, Hasher, KafkaKey, Micros, Offset,
    Published, SessionId, Tenant, Timestamp, TimestampType, context_digest, encode_value,
};

use crate::figure::wide;
use crate::traffic::Happening;

/// How repeats are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A body once in a session, a history by reference: what the gateway does.
    Deduplicated,
    /// Every body with every event.
    Full,
}

impl Form {
    pub(crate) const ALL: [Self; 2] = [Self::Deduplicated, Self::Full];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Deduplicated => "deduplicated",
            Self::Full => "full",
        }
    }
}

/// A message of the topic, before it has an offset.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl Message {
    pub(crate) fn bytes(&self) -> u64 {
        wide(self.key.len() + self.value.len())
    }

    /// As a sealer gets it.
    pub(crate) fn at(self, offset: Offset) -> sealer::Message {
        let timestamp = Timestamp { kind: TimestampType::CreateTime, millis: self.timestamp_ms };
        sealer::Message {
            offset,
            timestamp,
            key: Some(self.key),
            headers: Vec::new(),
            value: Some(self.value),
            leader_epoch: None,
        }
    }
}

/// The writing end of the topic.
#[derive(Debug)]
pub(crate) struct Topic {
    form: Form,
    tenant: Tenant,
    /// Event digest of the last model call of each live session.
    last_calls: HashMap<String, Digest>,
    seq: i64,
}

impl Topic {
    pub(crate) fn new(form: Form) -> anyhow::Result<Self> {
        Ok(Self { form, tenant: Tenant::new("default")?, last_calls: HashMap::new(), seq: 0 })
    }

    pub(crate) fn write(&mut self, event: &Happening<'_>) -> anyhow::Result<Message> {
        let (step, copy) = (event.step, &event.copy);
        let envelope = self.envelope(event).to_bytes();
        let schema = Published::LATEST;
        self.remember(event, &schema, &envelope);
        let parts = if self.form == Form::Full { &step.parts } else { &step.parts_new };
        let body = |part: &usize| {
            let (text, salt, digest) = copy.part(*part);
            Body { digest, salt: Some(salt), data: Some(text.as_bytes()), enc: None }
        };
        let bodies: Vec<Body<'_>> = parts.iter().map(body).collect();
        let admission = self.admission(event.at).to_bytes();
        let value = encode_value(&schema, &envelope, None, Some(&admission), &bodies);
        let session = SessionId::new(&copy.session_id)?;
        let key = KafkaKey { tenant: self.tenant.clone(), session }.to_bytes();
        Ok(Message { timestamp_ms: event.at.0 / 1000, key, value })
    }

    fn envelope<'e>(&'e self, event: &'e Happening<'_>) -> Envelope<'e> {
        let (step, copy) = (event.step, &event.copy);
        let is_call = step.kind == "llm.call";
        let prefix = step.prefix.filter(|_| self.form == Form::Deduplicated);
        let prefix =
            prefix.and_then(|(_, count)| Some((*self.last_calls.get(&copy.session_id)?, count)));
        let folded = prefix.map_or(0, |(_, count)| count);
        let content = |item: &crate::corpus::Item| {
            let (text, _, digest) = copy.part(item.part);
            Content {
                role: item.role.into(),
                kind: item.kind.into(),
                media_type: "application/json".into(),
                size: wide(text.len()),
                digest,
            }
        };
        let whole = || step.items.iter().map(|item| copy.part(item.part).2).collect::<Vec<_>>();
        let is_end = step.kind == "session.end";
        Envelope {
            event_id: event.event_id,
            nonce: event.nonce,
            tenant: self.tenant.as_str().into(),
            session_id: copy.session_id.as_str().into(),
            kind: step.kind.into(),
            occurred_at: event.at,
            capture_source: "import".into(),
            status: "ok".into(),
            session_seq: Some(wide(event.index)),
            session_event_count: is_end.then(|| wide(copy.recorded.steps.len())),
            causation_id: step.tool.as_ref().map(|tool| copy.event_id(tool.cause)),
            operation: is_call.then(|| "chat".into()),
            tool_name: step.tool.as_ref().map(|tool| tool.name.as_str().into()),
            tool_call_id: step.tool.as_ref().map(|tool| tool.call_id.as_str().into()),
            context_prefix: prefix
                .map(|(event_digest, count)| ContextPrefix { event_digest, count: wide(count) }),
            context_digest: is_call.then(|| context_digest(&whole())),
            contents: step.items.iter().skip(folded).map(content).collect(),
            ..Envelope::blank()
        }
    }

    fn remember(&mut self, event: &Happening<'_>, schema: &Published, envelope: &[u8]) {
        match event.step.kind {
            "llm.call" if self.form == Form::Deduplicated => {
                let digest = Hasher::new("event").bytes(&schema.digest.0).bytes(envelope).finish();
                self.last_calls.insert(event.copy.session_id.clone(), digest);
            }
            "session.end" => drop(self.last_calls.remove(&event.copy.session_id)),
            _ => {}
        }
    }

    fn admission(&mut self, observed_at: Micros) -> Admission<'static> {
        let gateway_seq = self.seq;
        self.seq += 1;
        Admission {
            observed_at,
            credential_id: "".into(),
            gateway_id: "gateway".into(),
            gateway_epoch: 1_790_000_000_000_000,
            gateway_seq,
            capture_point: "http".into(),
        }
    }
}

//! The event: Rust types in the order of `avro/agent_event.avsc`, their Avro bytes and their digests.
//!
//! Decoded records borrow the message they were read from. What a message must satisfy beyond its encoding is
//! `message.rs`; the JSON form's types are `json.rs`.

use std::borrow::Cow;

use crate::avro::{Avro, Fault, Reader};
use crate::digest::{Digest, Salt};
use crate::id::{EventId, Micros, SpanId, TraceId};
use crate::json::{Json, JsonError};

type Text<'a> = Cow<'a, str>;

/// Declares a record once: the struct, its strict Avro encoding and, with `json`, its JSON form, all in field order.
macro_rules! record {
    (json $(#[$doc:meta])* $name:ident $(<$life:lifetime>)? { $($fields:tt)* }) => {
        record! { $(#[$doc])* $name $(<$life>)? { $($fields)* } }
        crate::json::json_record! { $name $(<$life>)? { $($fields)* } }
    };
    ($(#[$doc:meta])* $name:ident $(<$life:lifetime>)? {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name $(<$life>)? { $($(#[$field_doc])* pub $field: $type,)* }

        impl $(<$life>)? $name $(<$life>)? {
            /// The fields' names, in the order of the schema.
            pub const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];
        }

        impl<'a> Avro<'a> for $name $(<$life>)? {
            fn read(from: &mut Reader<'a>) -> Result<Self, Fault> {
                Ok(Self { $($field: Avro::read(from)?,)* })
            }

            fn write(&self, out: &mut Vec<u8>) {
                $(self.$field.write(out);)*
            }
        }
    };
}

record! {
json
/// Small typed metadata, written by the source. No free text: that is always a body.
Envelope<'a> {
    /// Identity of the event: UUIDv7, or UUIDv8 derived from the source's own identity where repeats must collapse (imports, OTLP spans).
    event_id: EventId,
    /// Random; makes the event digest hiding.
    nonce: Salt,
    /// Owner of the session: `[a-z0-9-]{1,64}`. Equals the tenant in the Kafka key.
    tenant: Text<'a>,
    /// The session (conversation, run) the event belongs to. Equals the session in the Kafka key. Ought to be unguessable.
    session_id: Text<'a>,
    /// What happened. Open vocabulary: session.start, session.end, user.message, llm.call, tool.call, retrieval, agent.message, agent.handoff, policy.decision, approval, state.change, evaluation, producer.heartbeat, producer.gap, config.change.
    kind: Text<'a>,
    /// When it began, by the source's clock: microseconds since 1970-01-01T00:00:00Z. JSON form: RFC 3339.
    occurred_at: Micros,
    /// Who wrote this envelope. Open vocabulary: sdk, http, import, otlp, llm_proxy, mcp_proxy.
    capture_source: Text<'a>,
    /// start, end, or complete (one event says it all).
    phase: Text<'a>,
    /// How long it took, in microseconds.
    duration_us: Option<u64>,
    /// Open vocabulary: unset, ok, error, denied, cancelled, timeout.
    status: Text<'a>,
    /// Low-cardinality class of the error. The message itself is a body of kind error.
    error_type: Option<Text<'a>>,
    /// Position in the session, counted from 0 by the source itself; null where the source does not count.
    session_seq: Option<u64>,
    /// Event digest of the source's previous event of this session.
    prev_event_digest: Option<Digest>,
    /// On session.end: how many events the source emitted in this session, this one included.
    session_event_count: Option<u64>,
    /// Session that started this one.
    parent_session_id: Option<Text<'a>>,
    /// The emitting process or library instance.
    producer_id: Option<Text<'a>>,
    /// Incarnation of the producer; grows with each restart.
    producer_epoch: Option<u64>,
    /// Position among all events of (producer_id, producer_epoch), from 0.
    producer_seq: Option<u64>,
    /// Events this producer knows it has dropped so far in this epoch.
    producer_dropped: Option<u64>,
    /// Event id of the event that caused this one.
    causation_id: Option<EventId>,
    /// W3C trace id.
    trace_id: Option<TraceId>,
    /// W3C span id of this event.
    span_id: Option<SpanId>,
    /// W3C span id of the parent.
    parent_span_id: Option<SpanId>,
    /// Links to other spans.
    links: Vec<Link>,
    /// Who did it. Open vocabulary: user, agent, tool, system.
    actor_type: Option<Text<'a>>,
    /// Pseudonym or machine name of the actor.
    actor_id: Option<Text<'a>>,
    /// `gen_ai.agent.id`.
    agent_id: Option<Text<'a>>,
    /// `gen_ai.agent.name`.
    agent_name: Option<Text<'a>>,
    /// `gen_ai.agent.version`.
    agent_version: Option<Text<'a>>,
    /// Commit the agent was built from.
    agent_git_sha: Option<Text<'a>>,
    /// Framework and version, as name/version.
    agent_framework: Option<Text<'a>>,
    /// On whose behalf: user, service, organisation.
    principal_type: Option<Text<'a>>,
    /// Pseudonym of the principal on whose behalf the agent acts.
    principal_id: Option<Text<'a>>,
    /// Delegation chain, nearest delegate first.
    delegation: Vec<Delegate<'a>>,
    /// `gen_ai.operation.name`.
    operation: Option<Text<'a>>,
    /// `gen_ai.provider.name`.
    provider: Option<Text<'a>>,
    /// `gen_ai.request.model`.
    request_model: Option<Text<'a>>,
    /// `gen_ai.response.model`.
    response_model: Option<Text<'a>>,
    /// `gen_ai.response.id`.
    response_id: Option<Text<'a>>,
    /// `gen_ai.request.temperature`.
    temperature: Option<f64>,
    /// `gen_ai.request.top_p`.
    top_p: Option<f64>,
    /// `gen_ai.request.max_tokens`.
    max_tokens: Option<u64>,
    /// `gen_ai.request.seed`.
    seed: Option<i64>,
    /// `gen_ai.response.finish_reasons`.
    finish_reasons: Vec<Text<'a>>,
    /// From request to first chunk of a streamed answer, in microseconds.
    time_to_first_chunk_us: Option<u64>,
    /// `gen_ai.usage.input_tokens`.
    usage_input_tokens: Option<u64>,
    /// `gen_ai.usage.output_tokens`.
    usage_output_tokens: Option<u64>,
    /// `gen_ai.usage.cache_read.input_tokens`.
    usage_cache_read_input_tokens: Option<u64>,
    /// `gen_ai.usage.cache_write.input_tokens`.
    usage_cache_write_input_tokens: Option<u64>,
    /// `gen_ai.usage.reasoning.output_tokens`.
    usage_reasoning_output_tokens: Option<u64>,
    /// Cost in 1e-9 US dollars.
    cost_nanos: Option<u64>,
    /// `gen_ai.tool.name`.
    tool_name: Option<Text<'a>>,
    /// `gen_ai.tool.call.id`.
    tool_call_id: Option<Text<'a>>,
    /// `gen_ai.tool.type`.
    tool_type: Option<Text<'a>>,
    /// read, write or destructive.
    tool_effect: Option<Text<'a>>,
    /// Protocol and revision a tool or agent was reached by, as name/revision.
    protocol: Option<Text<'a>>,
    /// Key under which the effect happens at most once.
    idempotency_key: Option<Text<'a>>,
    /// allow, deny, require_approval or redact.
    policy_decision: Option<Text<'a>>,
    /// Policy and version, as id/version.
    policy_id: Option<Text<'a>>,
    /// Pseudonym of who approved or refused.
    approver_id: Option<Text<'a>>,
    /// What was retrieved.
    retrievals: Vec<Retrieval<'a>>,
    /// What the event changed.
    state_changes: Vec<StateChange<'a>>,
    /// Scores.
    evaluations: Vec<Evaluation<'a>>,
    /// Classes of data the event touches. Open vocabulary.
    data_classes: Vec<Text<'a>>,
    /// One for a session; names the topic's class.
    retention_class: Text<'a>,
    /// Dialect the source spoke, as name/version.
    capture_convention: Option<Text<'a>>,
    /// exact_bytes, structured, truncated or redacted.
    capture_fidelity: Text<'a>,
    /// Attributes, events or bytes the source says it dropped from this event.
    source_dropped: Option<u64>,
    /// This event's context begins with the first count entries of that event's whole context (its own contents, outputs included); contents lists only what is new.
    context_prefix: Option<ContextPrefix>,
    /// Digest of the whole, resolved list of content digests.
    context_digest: Option<Digest>,
    /// The bodies of this event, in order.
    contents: Vec<Content<'a>>,
}}

record! {
json
/// A W3C span link.
Link {
    /// Linked trace.
    trace_id: TraceId,
    /// Linked span.
    span_id: SpanId,
}}

record! {
json
/// One link of an RFC 8693 act chain.
Delegate<'a> {
    /// Vocabulary of actor_type.
    r#type: Text<'a>,
    /// Pseudonym or machine name.
    id: Text<'a>,
}}

record! {
json
/// One retrieved document: lineage.
Retrieval<'a> {
    /// `gen_ai.data_source.id`.
    source: Text<'a>,
    /// Identity of the document in its source.
    document_id: Text<'a>,
    /// Version of the document.
    version: Option<Text<'a>>,
    /// Relevance the source gave.
    score: Option<f64>,
    /// The retrieved text, one of contents.
    digest: Option<Digest>,
}}

record! {
json
/// One RFC 6902 operation; values are bodies.
StateChange<'a> {
    /// What changed: a resource name.
    target: Text<'a>,
    /// add, remove, replace, move or copy.
    op: Text<'a>,
    /// RFC 6901 pointer into the target.
    path: Text<'a>,
    /// RFC 6901 pointer, for move and copy.
    from: Option<Text<'a>>,
    /// Value before, one of contents.
    before: Option<Digest>,
    /// Value after, one of contents.
    after: Option<Digest>,
}}

record! {
json
/// gen_ai.evaluation.result
Evaluation<'a> {
    /// `gen_ai.evaluation.name`.
    name: Text<'a>,
    /// `gen_ai.evaluation.score.value`.
    score: Option<f64>,
    /// `gen_ai.evaluation.score.label`.
    label: Option<Text<'a>>,
}}

record! {
json
/// Folds a repeated history.
ContextPrefix {
    /// An earlier event of this session.
    event_digest: Digest,
    /// How many of that event's whole context come first, 1 or more.
    count: u64,
}}

record! {
json
/// A reference to a body.
Content<'a> {
    /// Open vocabulary: system, user, assistant, tool, or empty.
    role: Text<'a>,
    /// Open vocabulary: message (one whole chat message, verbatim), text, tool_definitions, tool_arguments, tool_result, document, error, reason, state_value, attributes, raw.
    kind: Text<'a>,
    /// Media type of the content.
    media_type: Text<'a>,
    /// Bytes of the content.
    size: u64,
    /// Digest of the body.
    digest: Digest,
}}

record! {
/// Signature by the source over the event digest.
Signature<'a> {
    /// Names the public key.
    key_id: Text<'a>,
    /// ed25519 (RFC 8032, strict).
    alg: Text<'a>,
    /// The signature.
    value: &'a [u8],
}}

record! {
/// What the gateway adds. Nothing signs it.
Admission<'a> {
    /// When the gateway took the event: microseconds since 1970-01-01T00:00:00Z by its clock.
    observed_at: Micros,
    /// Public id of the credential that was presented; empty where none was needed.
    credential_id: Text<'a>,
    /// The gateway.
    gateway_id: Text<'a>,
    /// Incarnation of the gateway.
    gateway_epoch: i64,
    /// Position among all events this incarnation admitted, from 0.
    gateway_seq: i64,
    /// The door: http, import, otlp, llm_proxy, mcp_proxy.
    capture_point: Text<'a>,
}}

record! {
/// How the body is encrypted.
Enc<'a> {
    /// Names the key.
    key_id: Text<'a>,
    /// AEAD algorithm.
    alg: Text<'a>,
    /// AEAD nonce.
    nonce: &'a [u8],
}}

record! {
/// The content behind one digest: inline, or a claim check where data is null.
Body<'a> {
    /// SHA-256(domain, salt, content).
    digest: Digest,
    /// Null exactly where the body is encrypted.
    salt: Option<Salt>,
    /// The content, or its ciphertext; null for a claim check.
    data: Option<&'a [u8]>,
    /// Null where the body is in clear.
    enc: Option<Enc<'a>>,
}}

impl<'a> Envelope<'a> {
    /// Reads strict Avro bytes, all of them.
    #[must_use]
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let envelope = Self::read(&mut reader).ok()?;
        reader.rest().is_empty().then_some(envelope)
    }
}

impl Envelope<'_> {
    /// An envelope with the schema's defaults and nothing else.
    #[must_use]
    pub fn blank() -> Self {
        Self {
            phase: "complete".into(),
            status: "unset".into(),
            retention_class: "standard".into(),
            capture_fidelity: "structured".into(),
            ..Self::default()
        }
    }

    /// The strict Avro bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        self.write(&mut out);
        out
    }
}

impl Body<'_> {
    /// Whether the content stands here in clear, so that its digest can be derived.
    #[must_use]
    pub fn is_inline_clear(&self) -> bool {
        self.enc.is_none() && self.data.is_some()
    }
}

/// Gives the records that stand alone in a segment's columns their bytes.
macro_rules! bytes_of {
    ($($name:ident),*) => {$(
        impl<'a> $name<'a> {
            /// The strict Avro bytes, without a union branch.
            #[must_use]
            pub fn to_bytes(&self) -> Vec<u8> {
                let mut out = Vec::new();
                self.write(&mut out);
                out
            }

            /// Reads strict Avro bytes, all of them.
            #[must_use]
            pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
                let mut reader = Reader::new(bytes);
                let record = Self::read(&mut reader).ok()?;
                reader.rest().is_empty().then_some(record)
            }
        }
    )*};
}
bytes_of!(Signature, Admission, Enc);

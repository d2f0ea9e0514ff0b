//! The gateway's settings: numbers and names. Secrets and components are not here.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::Error;
use crate::llm::Upstream;

/// Settings of a gateway. A field's name is also the `limit` that an error names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of this gateway in every admission. Default `gateway`: a host's name would leak into evidence unasked.
    pub gateway_id: String,
    /// Where producers that keep an event's digest ask for its proof: told with every answer, as `receipts`. Default none.
    pub receipts: Option<String>,
    /// The retention class of the first topic. Default `standard`. An event that names a class without a topic is
    /// refused, so that a segment never mixes classes.
    pub retention_class: String,
    /// The topics of other retention classes: `class = "topic"`. Default none.
    pub topics: BTreeMap<String, String>,
    /// What is not recorded as it is: `default` (keys and tokens are masked), `off`, or a file of rules. Default `default`.
    pub redaction: String,

    /// Bytes of the spool of each topic, where there is one. Default 10 GiB: an hour of 3 MB/s. Beyond it events are
    /// turned away with 503.
    pub spool_bytes_max: u64,
    /// Milliseconds that Kafka has to acknowledge an event before events go to the spool. Default 2,000: more than a
    /// broker's pauses, less than clients wait.
    pub spool_patience_ms: u64,

    /// Bytes of a request's body as sent. Default 64 MiB: what OTLP exporters send at most.
    pub body_bytes_max: usize,
    /// Bytes of a request's body, decompressed. Default 64 MiB: what one request may cost in memory.
    pub decompressed_bytes_max: usize,
    /// Times its compressed size that a body may grow to, beyond its first MiB. Default 100: chat histories reach 30.
    pub decompressed_ratio_max: usize,
    /// Depth of arrays and objects in a request. Default 64: half of what common JSON readers follow.
    pub nesting_max: usize,
    /// Messages (spans, attributes, values, …) in an export by OTLP. Default 1,000,000: some 128 MB once decoded.
    pub otlp_messages_max: usize,
    /// Events in a request. Default 10,000: a batch of small ones fills a few MiB.
    pub events_max: usize,
    /// Top-level fields of an event. Default 512: the event has some 70 of its own.
    pub fields_max: usize,
    /// Contents of an event. Default 8,192: so many references fill the 1 MiB of an envelope.
    pub contents_max: usize,
    /// Items of any other list of an event. Default 1,024.
    pub list_items_max: usize,
    /// Bytes of a metadata string (the session id may have 512, the kind 64). Default 1,024: they are names, and free
    /// text is a body. The format ends at 4,096.
    pub string_bytes_max: usize,
    /// Bytes of a whole message. Default 16 MiB, half of what the format takes. A sink may take less (Kafka does).
    pub event_bytes_max: usize,

    /// Bytes of requests being read, admitted or waiting for the sink. Default 256 MiB; beyond it requests are turned
    /// away with 503. The process may need three times as much.
    pub in_flight_bytes_max: usize,
    /// Open connections. Default 1,024; more wait in the listener's backlog.
    pub connections_max: usize,
    /// Milliseconds a client has to send a request's headers, and that a connection may idle. Default 30,000.
    pub header_timeout_ms: u64,
    /// Milliseconds a client has to send a request's body. Default 30,000.
    pub body_timeout_ms: u64,
    /// Milliseconds a client may take none of what it is sent. Default 120,000.
    pub write_timeout_ms: u64,
    /// Milliseconds that requests in flight have to end after a shutdown began. Default 60,000: twice any other
    /// timeout.
    pub drain_timeout_ms: u64,

    /// The model APIs that agents reach through the gateway, as `/llm/NAME/…`. Default none.
    pub llm: BTreeMap<String, Upstream>,
    /// The MCP servers that agents reach through the gateway, as `/mcp/NAME`. Default none.
    pub mcp: BTreeMap<String, Upstream>,

    /// Sessions remembered. Default 100,000.
    pub sessions_max: usize,
    /// Bytes of memory for all sessions, roughly. Default 64 MiB. The session used least recently is forgotten first;
    /// that costs deduplication, never events.
    pub memory_bytes_max: usize,
    /// Bodies remembered of a session. Default 65,536.
    pub session_bodies_max: usize,
    /// Event ids remembered of a session. Default 16,384: a repeat comes within seconds.
    pub session_events_max: usize,
    /// Seconds after which a session starts a new base, with every body in full. Default 86,400, which is also the
    /// most that the format allows: object locks last that much longer than the retention period.
    pub base_age_max_s: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            receipts: None,
            gateway_id: "gateway".to_owned(),
            retention_class: "standard".to_owned(),
            topics: BTreeMap::new(),
            redaction: "default".to_owned(),
            spool_bytes_max: 10 << 30,
            spool_patience_ms: 2000,
            body_bytes_max: 64 << 20,
            decompressed_bytes_max: 64 << 20,
            decompressed_ratio_max: 100,
            nesting_max: 64,
            otlp_messages_max: 1_000_000,
            events_max: 10_000,
            fields_max: 512,
            contents_max: 8192,
            list_items_max: 1024,
            string_bytes_max: 1024,
            event_bytes_max: 16 << 20,
            in_flight_bytes_max: 256 << 20,
            connections_max: 1024,
            header_timeout_ms: 30_000,
            body_timeout_ms: 30_000,
            write_timeout_ms: 120_000,
            drain_timeout_ms: 60_000,
            llm: BTreeMap::new(),
            mcp: BTreeMap::new(),
            sessions_max: 100_000,
            memory_bytes_max: 64 << 20,
            session_bodies_max: 65_536,
            session_events_max: 16_384,
            base_age_max_s: 86_400,
        }
    }
}

impl Config {
    /// What the format forbids, and what would stop the gateway from taking anything.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let most = [
            ("string_bytes_max", self.string_bytes_max, schemas::STRING_BYTES_MAX),
            ("list_items_max", self.list_items_max, schemas::LIST_ITEMS_MAX),
            ("contents_max", self.contents_max, schemas::LIST_ITEMS_MAX),
            ("event_bytes_max", self.event_bytes_max, schemas::VALUE_BYTES_MAX),
            // serde_json follows 128; fields are read by it.
            ("nesting_max", self.nesting_max, 120),
            ("base_age_max_s", usize::try_from(self.base_age_max_s).unwrap_or(usize::MAX), 86_400),
            ("in_flight_bytes_max", self.in_flight_bytes_max, 1 << 40),
            ("connections_max", self.connections_max, 1 << 20),
            ("gateway_id", self.gateway_id.len(), schemas::STRING_BYTES_MAX),
            ("retention_class", self.retention_class.len(), self.string_bytes_max),
        ];
        let least = [
            ("in_flight_bytes_max", self.in_flight_bytes_max, self.decompressed_bytes_max),
            ("decompressed_bytes_max", self.decompressed_bytes_max, self.body_bytes_max),
            ("connections_max", self.connections_max, 1),
            ("sessions_max", self.sessions_max, 1),
            ("events_max", self.events_max, 1),
        ];
        if self.topics.contains_key(&self.retention_class) {
            let why =
                format!("has a topic for {}, which the first topic is for", self.retention_class);
            return Err(Error::Config { field: "topics", why });
        }
        for (field, upstreams) in [("llm", &self.llm), ("mcp", &self.mcp)] {
            for (name, upstream) in upstreams {
                let checked = upstream.check(name, self.in_flight_bytes_max);
                checked.map_err(|why| Error::Config { field, why })?;
            }
        }
        let over = most.into_iter().find(|(_, value, max)| value > max);
        let under = least.into_iter().find(|(_, value, min)| value < min);
        match (over, under) {
            (Some((field, _, max)), _) => {
                Err(Error::Config { field, why: format!("is over {max}") })
            }
            (_, Some((field, _, min))) => {
                Err(Error::Config { field, why: format!("is under {min}") })
            }
            (None, None) => Ok(()),
        }
    }
}

//! CORE: an export's bytes, decoded under limits and read.

use capture::otlp::{Fault, Limits, Read};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::json;
use crate::otlp::decoded_bytes;
use crate::otlp::weigh::{self, Kind, Weight, weigh};
use crate::refusal::{Code, Refusal};

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Logs,
    /// Taken so that clients log no errors, and let go: they are no evidence of anything.
    Metrics,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Protobuf,
    Json,
}

impl Signal {
    pub(crate) const ALL: [Self; 3] = [Self::Traces, Self::Logs, Self::Metrics];

    /// The path over HTTP.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
            Self::Metrics => "/v1/metrics",
        }
    }

    /// The method over gRPC.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        }
    }
}

/// What an export says. `reserve` is asked for memory before it is taken. Takes time: not for an async thread.
pub(crate) fn read(
    signal: Signal,
    format: Format,
    body: &[u8],
    config: &Config,
    reserve: impl FnMut(usize) -> Result<(), Refusal>,
) -> Result<Read, Refusal> {
    let limits = Limits {
        events_max: config.otlp_messages_max,
        contents_max: config.contents_max,
        nesting_max: config.nesting_max,
        ..Limits::default()
    };
    let mut decoder = Decoder { body, format, config, reserve };
    match signal {
        Signal::Traces => {
            let request = decoder.decode::<ExportTraceServiceRequest>(&weigh::TRACES);
            let is_other = |decoder: &mut Decoder<'_, _>| {
                decoder.holds::<ExportLogsServiceRequest>(&weigh::LOGS)
            };
            let request = decoder.meant(request, is_other, "log records", Signal::Logs)?;
            capture::otlp::spans(request, &limits)
                .map_err(|fault @ Fault::Logs| Refusal::body(fault.to_string()))
        }
        Signal::Logs => {
            let request = decoder.decode::<ExportLogsServiceRequest>(&weigh::LOGS);
            let is_other = |decoder: &mut Decoder<'_, _>| {
                decoder.holds::<ExportTraceServiceRequest>(&weigh::TRACES)
            };
            let request = decoder.meant(request, is_other, "spans", Signal::Traces)?;
            capture::otlp::logs(request, &limits)
                .map_err(|fault @ Fault::Logs| Refusal::body(fault.to_string()))
        }
        Signal::Metrics => Ok(Read::default()),
    }
}

/// A body, and what its decoding may cost.
struct Decoder<'a, R> {
    body: &'a [u8],
    format: Format,
    config: &'a Config,
    reserve: R,
}

impl<R: FnMut(usize) -> Result<(), Refusal>> Decoder<'_, R> {
    fn decode<M: Message + Default + DeserializeOwned>(
        &mut self,
        kind: &Kind,
    ) -> Result<M, Refusal> {
        self.weigh(kind)?;
        match self.format {
            Format::Protobuf => M::decode(self.body)
                .map_err(|error| Refusal::body(format!("the body is no such export: {error}"))),
            Format::Json => serde_json::from_slice(self.body).map_err(|error| {
                let (line, column) = (error.line(), error.column());
                let what = match error.classify() {
                    serde_json::error::Category::Data => "no such export",
                    _ => "not JSON",
                };
                Refusal::body(format!("the body is {what}, at line {line}, column {column}"))
            }),
        }
    }

    fn weigh(&mut self, kind: &Kind) -> Result<(), Refusal> {
        let (messages_max, depth_max) = (self.config.otlp_messages_max, self.config.nesting_max);
        let weight = match self.format {
            Format::Protobuf => weigh(self.body, kind, messages_max, depth_max),
            Format::Json => {
                let (depth, messages) = json::shape(self.body);
                Weight { messages, depth }
            }
        };
        if weight.messages > messages_max {
            let what = "the export has messages";
            return Err(Refusal::limit(Code::TooLarge, what, "otlp_messages_max", messages_max));
        }
        if weight.depth > depth_max {
            let what = "the export is nested";
            return Err(Refusal::limit(Code::LimitExceeded, what, "nesting_max", depth_max));
        }
        (self.reserve)(decoded_bytes(weight.messages))
    }

    /// Whether the body decodes as a message of this kind, and has something in it.
    fn holds<M: Message + Default + DeserializeOwned + PartialEq>(&mut self, kind: &Kind) -> bool {
        self.decode::<M>(kind).is_ok_and(|message| message != M::default())
    }

    /// The request, unless it is nothing, or undecodable, and something else is found in it: `what`, which belongs to `path`.
    fn meant<M: Default + PartialEq>(
        &mut self,
        request: Result<M, Refusal>,
        is_other: impl FnOnce(&mut Self) -> bool,
        what: &str,
        signal: Signal,
    ) -> Result<M, Refusal> {
        let is_doubtful = match &request {
            Ok(request) => *request == M::default(),
            Err(refusal) => refusal.code == Code::InvalidBody,
        };
        if is_doubtful && is_other(self) {
            let path = signal.path();
            return Err(Refusal::body(format!("these are {what}, which belong to {path}")));
        }
        request
    }
}

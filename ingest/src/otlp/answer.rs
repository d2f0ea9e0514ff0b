//! CORE: the messages that answer an export: what was taken, or why it was not, in the words of gRPC.

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use serde_json::json;

use crate::otlp::Taken;
use crate::otlp::message::{Format, Signal};
use crate::refusal::{Code, Refusal};

/// Seconds after which a client may try again what was too much just now.
pub(crate) const RETRY_AFTER_S: i64 = 1;

/// `google.rpc.Status`, which OTLP answers with where it does not take a request.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`
#[derive(Clone, PartialEq, Eq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`
#[derive(Clone, PartialEq, Eq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Duration>,
}

/// `google.protobuf.Duration`
#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct Duration {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// The response's bytes.
pub(crate) fn taken(taken: Taken, signal: Signal, format: Format) -> Vec<u8> {
    let partial = taken.partial();
    match (signal, format) {
        (Signal::Metrics, Format::Protobuf) => Vec::new(),
        (Signal::Metrics, Format::Json) => b"{}".to_vec(),
        (Signal::Traces, Format::Protobuf) => {
            let partial_success = partial.map(|(rejected_spans, error_message)| {
                ExportTracePartialSuccess { rejected_spans, error_message }
            });
            ExportTraceServiceResponse { partial_success }.encode_to_vec()
        }
        (Signal::Logs, Format::Protobuf) => {
            let partial_success = partial.map(|(rejected_log_records, error_message)| {
                ExportLogsPartialSuccess { rejected_log_records, error_message }
            });
            ExportLogsServiceResponse { partial_success }.encode_to_vec()
        }
        (signal, Format::Json) => {
            let count =
                if signal == Signal::Traces { "rejectedSpans" } else { "rejectedLogRecords" };
            let partial = partial.map(|(rejected, why)| {
                // 64-bit integers are strings in the JSON of protobuf.
                json!({ "partialSuccess": { count: rejected.to_string(), "errorMessage": why } })
            });
            partial.unwrap_or_else(|| json!({})).to_string().into_bytes()
        }
    }
}

impl Status {
    /// Says why a request is refused.
    pub(crate) fn of(refusal: &Refusal) -> Self {
        let delay = RetryInfo { retry_delay: Some(Duration { seconds: RETRY_AFTER_S }) };
        let retry = Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: delay.encode_to_vec(),
        };
        let details = if refusal.code.is_for_good() { Vec::new() } else { vec![retry] };
        Self { code: grpc_code(refusal.code), message: refusal.message.clone(), details }
    }

    pub(crate) fn code(&self) -> i32 {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The bytes of an HTTP answer's body.
    pub(crate) fn to_bytes(&self, format: Format) -> Vec<u8> {
        match format {
            Format::Protobuf => self.encode_to_vec(),
            Format::Json => {
                json!({ "code": self.code, "message": self.message }).to_string().into_bytes()
            }
        }
    }
}

/// The code of gRPC. Of these, clients repeat a request after `UNAVAILABLE` alone: only there it helps.
fn grpc_code(code: Code) -> i32 {
    match code {
        Code::InvalidBody
        | Code::InvalidField
        | Code::LimitExceeded
        | Code::UnsupportedMediaType
        | Code::Signature => 3,
        Code::Conflict | Code::SessionClass => 9,
        Code::Forbidden => 7,
        // Without a delay to wait for, it is not repeated.
        Code::TooLarge => 8,
        Code::NotFound | Code::MethodNotAllowed => 12,
        Code::Internal => 13,
        Code::Timeout | Code::Unavailable => 14,
        Code::Unauthorized => 16,
    }
}

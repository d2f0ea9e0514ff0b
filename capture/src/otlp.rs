//! Spans and log records of OTLP, decoded, read as happenings.
//!
//! Whose attributes they have is `convention`'s to know; here is what all of them share: ids, times, status, events, links,
//! resource and scope, and that nothing is lost: what has no field is written to a content of kind `attributes`. A request is
//! taken by value, so that its strings become contents without a copy.

mod attributes;
mod event;
mod frame;
mod log;
mod origin;
mod span;
mod value;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::Happening;
pub(crate) use attributes::Attributes;
use origin::Origin;
pub(crate) use value::{write as write_value, write_string};

/// What a request may be. What is over a limit is rejected by itself; the rest of the request is not.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Happenings of a request. Default 10,000: as many as events by the gateway's own door.
    pub events_max: usize,
    /// Contents of a happening. Default 8,192. A list of more messages stays one content.
    pub contents_max: usize,
    /// Depth of a value, lists and maps in it counted. Default 64: half of what common JSON readers follow.
    pub nesting_max: usize,
    /// Attributes of a span or record, those of its events and links included. Default 16,384: SDKs stop at 128, those that
    /// flatten histories are set to more.
    pub attributes_max: usize,
    /// Retrieved documents, and links, that the envelope lists, and evaluations of a span that are events of their own. Default
    /// 256: an envelope may have 1 MiB. All are in the contents.
    pub list_items_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events_max: 10_000,
            contents_max: 8192,
            nesting_max: 64,
            attributes_max: 16_384,
            list_items_max: 256,
        }
    }
}

/// What a request came to.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// In the order of the request.
    pub happenings: Vec<Happening>,
    /// Spans or records that no later try would make good: the partial success of the answer.
    pub rejected: u64,
    /// Why the first of them was: its place, the rule and what to do, without anything of its content.
    pub why: Option<String>,
}

/// Why a whole request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Logs decode as spans without ids, since the fields of both have the same numbers.
    #[error(
        "no span of the request has an id: these are log records, sent to /v1/traces; \
         set the logs endpoint of the exporter to /v1/logs"
    )]
    Logs,
}

/// Reads spans.
///
/// # Errors
/// [`Fault`].
pub fn spans(request: ExportTraceServiceRequest, limits: &Limits) -> Result<Read, Fault> {
    let nameless = |span: &Span| span.trace_id.is_empty() && span.span_id.is_empty();
    let mut all = request.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans);
    let mut rest = all.clone();
    if all.next().is_some() && rest.all(nameless) {
        return Err(Fault::Logs);
    }
    let mut read = Read::default();
    let mut place = 0;
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.unwrap_or_default();
        for of_scope in of_resource.scope_spans {
            let urls = (of_resource.schema_url.as_str(), of_scope.schema_url.as_str());
            let origin = Origin::new(&resource, of_scope.scope.as_ref(), urls, limits);
            for span in of_scope.spans {
                let happenings = origin.as_ref().map_err(Clone::clone);
                let happenings = happenings.and_then(|origin| span::read(span, origin, limits));
                read.add(happenings, format_args!("span {place}"), limits);
                place += 1;
            }
        }
    }
    Ok(read)
}

/// Reads log records.
///
/// # Errors
/// [`Fault`].
pub fn logs(request: ExportLogsServiceRequest, limits: &Limits) -> Result<Read, Fault> {
    let mut read = Read::default();
    let mut place = 0;
    for of_resource in request.resource_logs {
        let resource = of_resource.resource.unwrap_or_default();
        for of_scope in of_resource.scope_logs {
            let urls = (of_resource.schema_url.as_str(), of_scope.schema_url.as_str());
            let origin = Origin::new(&resource, of_scope.scope.as_ref(), urls, limits);
            for record in of_scope.log_records {
                let happenings = origin.as_ref().map_err(Clone::clone);
                let happenings = happenings.and_then(|origin| log::read(record, origin, limits));
                read.add(happenings, format_args!("log record {place}"), limits);
                place += 1;
            }
        }
    }
    Ok(read)
}

impl Read {
    fn add(
        &mut self,
        happenings: Result<Vec<Happening>, Rejection>,
        place: std::fmt::Arguments<'_>,
        limits: &Limits,
    ) {
        let room = limits.events_max.saturating_sub(self.happenings.len());
        let happenings = happenings.and_then(|happenings| match happenings.len() <= room {
            true => Ok(happenings),
            false => {
                Err(Rejection::over("happenings in the request", "events_max", limits.events_max))
            }
        });
        match happenings {
            Ok(happenings) => self.happenings.extend(happenings),
            Err(Rejection(why)) => {
                self.rejected += 1;
                self.why.get_or_insert_with(|| format!("{place}: {why}"));
            }
        }
    }
}

/// Why one span or record is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rejection(String);

impl Rejection {
    fn over(what: &str, limit: &str, max: usize) -> Self {
        Self(format!("has more {what} than {limit}, {max}; send less at once or raise it"))
    }
}

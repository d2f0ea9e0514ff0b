//! SHELL: spans of model calls by OTLP/HTTP, acknowledged when Kafka has them: our gateway and the OpenTelemetry Collector, each
//! as a process of its own, one after the other on the same broker.

mod load;
mod server;

use std::time::Duration;

use anyhow::Context;

use crate::corpus::Corpus;
use crate::figure::{number, percent};
use crate::kafka::Topic;
use crate::otlp::load::{Load, posted};
use crate::otlp::server::{Kind, Server};
use crate::servers::Servers;
use crate::table;

const PARTITIONS: u32 = 4;
/// Spans of a request, and how long each figure is measured.
const SPANS: usize = 16;
const POSTING: Duration = Duration::from_secs(10);
const CONNECTIONS: [usize; 3] = [1, 16, 64];

pub(crate) fn report(corpus: &Corpus) -> anyhow::Result<()> {
    let servers = Servers::find()?;
    let columns = [
        "OTLP/HTTP to Kafka, acks=all, 16 spans a request",
        "connections",
        "acked spans/s",
        "p50 of a request, ms",
        "p99",
        "spans per CPU-second of the server",
        "topic bytes of span bytes",
        "acked spans that are on the topic",
    ];
    table::head("OTLP", &columns)?;
    for connections in CONNECTIONS {
        for kind in Kind::ALL {
            row(corpus, &servers, kind, connections)?;
        }
    }
    Ok(())
}

fn row(corpus: &Corpus, servers: &Servers, kind: Kind, connections: usize) -> anyhow::Result<()> {
    let name = format!("otlp-{}-{connections}", kind.short());
    table::progress(format_args!("{name}"));
    let topic = Topic::create(&servers.brokers, &name, PARTITIONS)?;
    let server = Server::start(kind, &servers.brokers, &name)?;
    let before = server.processor()?;
    let load = Load {
        address: server.address,
        key: server.key.as_deref(),
        connections,
        spans: SPANS,
        posting: POSTING,
    };
    let mut posted = posted(corpus, load)?;
    let cpu = server.processor()?.saturating_sub(before).as_secs_f64();
    server.stop()?;
    let mut there = 0;
    topic.read(|_, message| {
        let value = message.value.context("a message of nothing")?;
        there += kind.spans(&value)?;
        Ok(())
    })?;
    let bytes = servers.topic_bytes(&name)?;
    posted.latencies.sort_unstable();
    let at = |part: usize| {
        let latency = posted.latencies.get(posted.latencies.len() * part / 100);
        format!("{:.1}", latency.copied().unwrap_or_default().as_secs_f64() * 1e3)
    };
    table::row(&[
        kind.name().to_owned(),
        connections.to_string(),
        format!("{:.0}", number(posted.spans) / POSTING.as_secs_f64()),
        at(50),
        at(99),
        format!("{:.0}", number(posted.spans) / cpu),
        percent(number(bytes), number(posted.bytes)),
        percent(number(there.min(posted.spans)), number(posted.spans)),
    ])
}

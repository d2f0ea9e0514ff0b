//! SHELL: the gateway with the embedded log behind it, and clients that post to it from the same machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingest::{Auth, Config, Gateway, Sink};
use schemas::Tenant;
use spool::Spool;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::client::Connection;
use crate::clock::{Of, Spent, now, timed};
use crate::corpus::Corpus;
use crate::figure::{megabytes, number, wide};
use crate::json::posted;
use crate::table;
use crate::traffic::Traffic;

const CLIENTS: u64 = 8;
/// How long each client posts.
const POSTING: Duration = Duration::from_secs(8);

/// What one client did.
#[derive(Debug, Default)]
struct Posted {
    events: u64,
    bytes: u64,
    latencies: Vec<Duration>,
    spent: Spent,
}

pub(crate) fn report(corpus: &Corpus) -> anyhow::Result<()> {
    let columns = [
        "8 connections, JSON with the whole history, fsync",
        "acked events/s",
        "JSON MB/s",
        "p50 of a request, ms",
        "p99",
        "events/s per core of the gateway (CPU)",
        "log bytes of JSON bytes",
    ];
    table::head("Ingest", &columns)?;
    for events in [16, 1] {
        table::progress(format_args!("posting requests of {events} events"));
        row(corpus, events)?;
    }
    Ok(())
}

fn row(corpus: &Corpus, events_a_request: usize) -> anyhow::Result<()> {
    let dir = TempDir::new()?;
    let (spool, _) = Spool::open(dir.path(), spool::Config::default())?;
    let runtime = tokio::runtime::Runtime::new()?;
    let sink = Sink::spool(spool.clone())?;
    let auth = Auth::loopback(Tenant::new("default")?);
    let gateway = Arc::new(Gateway::new(Config::default(), sink, auth, 1)?);
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let serving = runtime.spawn(ingest::serve(vec![listener], gateway, stop.clone()));
    let (posted, all) = timed(Of::Process, || clients(corpus, address, events_a_request))?;
    let posted = posted?;
    stop.cancel();
    runtime.block_on(serving)??;
    anyhow::ensure!(spool.next() == posted.events, "the log has not the events that were acked");

    let seconds = all.wall.as_secs_f64();
    let gateway = all.cpu.saturating_sub(posted.spent.cpu).as_secs_f64();
    let mut latencies = posted.latencies;
    latencies.sort_unstable();
    let at = |part: usize| {
        let latency = latencies.get(latencies.len() * part / 100).copied().unwrap_or_default();
        format!("{:.1}", latency.as_secs_f64() * 1e3)
    };
    table::row(&[
        format!("{events_a_request} events a request"),
        format!("{:.0}", number(posted.events) / seconds),
        format!("{:.0}", megabytes(posted.bytes) / seconds),
        at(50),
        at(99),
        format!("{:.0}", number(posted.events) / gateway),
        crate::figure::percent(number(spool.bytes()), number(posted.bytes)),
    ])
}

/// All clients, each in a thread of its own with sessions of its own.
fn clients(corpus: &Corpus, address: SocketAddr, events: usize) -> anyhow::Result<Posted> {
    let client = |seed| move || timed(Of::Thread, || client(corpus, address, events, seed));
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS).map(|seed| scope.spawn(client(seed))).collect();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let mut sum = Posted::default();
    for joined in all {
        let (posted, spent) = joined.map_err(|_| anyhow::anyhow!("a client panicked"))??;
        let posted = posted?;
        sum.events += posted.events;
        sum.bytes += posted.bytes;
        sum.latencies.extend(posted.latencies);
        sum.spent += spent;
    }
    Ok(sum)
}

fn client(
    corpus: &Corpus,
    address: SocketAddr,
    events: usize,
    seed: u64,
) -> anyhow::Result<Posted> {
    let mut connection = Connection::new(address, None)?;
    let mut traffic = Traffic::new(corpus, usize::MAX, 100 + seed);
    let (started, mut done) = (now(), Posted::default());
    let mut body = String::new();
    while started.elapsed() < POSTING {
        body.clear();
        for (index, event) in traffic.by_ref().take(events).enumerate() {
            body.push(if index == 0 { '[' } else { ',' });
            posted(&event, &mut body);
        }
        body.push(']');
        let begun: Instant = now();
        connection.post("/v1/events", "application/json", body.as_bytes())?;
        done.latencies.push(begun.elapsed());
        done.events += wide(events);
        done.bytes += wide(body.len());
    }
    Ok(done)
}

//! Clients that ask again as soon as they are answered, each on a connection of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One body.
    Whole,
    /// 60 chunks at once.
    Stream,
    /// 60 chunks, one every 10 ms.
    Paced,
}

impl Shape {
    fn path(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Stream => "stream",
            Self::Paced => "paced",
        }
    }
}

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Seconds to the first byte of the body, and to the last; sorted.
    first: Vec<f64>,
    whole: Vec<f64>,
    seconds: f64,
    pub(crate) cpu: f64,
    /// Seconds after the load until everything is on record.
    pub(crate) settled: f64,
    pub(crate) errors: usize,
}

impl Figures {
    pub(crate) fn rate(&self) -> f64 {
        self.whole.len() as f64 / self.seconds
    }

    /// What is on record a second.
    pub(crate) fn recorded(&self) -> f64 {
        self.whole.len() as f64 / (self.seconds + self.settled)
    }

    pub(crate) fn first(&self, share: f64) -> f64 {
        quantile(&self.first, share)
    }

    pub(crate) fn whole(&self, share: f64) -> f64 {
        quantile(&self.whole, share)
    }

    pub(crate) fn cpu_ms(&self) -> f64 {
        self.cpu * 1000.0 / self.whole.len().max(1) as f64
    }

    /// The median of the rounds.
    pub(crate) fn median(rounds: &[Self], of: impl Fn(&Self) -> f64) -> f64 {
        let mut all: Vec<f64> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    }
}

/// Milliseconds.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default() * 1000.0
}

/// A chat of 12.7 KB that no other is like.
fn question() -> Bytes {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let started = std::process::id();
    let mut text = format!(
        r#"{{"model":"example-1","temperature":0.2,"messages":[{{"role":"system","content":"Run {started:08} {number:012}. {}"}}"#,
        "Be brief, and do as the policy says. ".repeat(80)
    );
    for turn in 0..10 {
        let said = "where is it, and when will it be here? ".repeat(11);
        text.push_str(&format!(
            r#",{{"role":"user","content":"{turn}: {said}"}},{{"role":"assistant","content":"{turn}. {said}"}}"#
        ));
    }
    text.push_str(r#",{"role":"user","content":"And now?"}]}"#);
    text.into()
}

async fn connect(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(path: &str, shape: &str) -> Request<Full<Bytes>> {
    let request = Request::post(format!("{path}/{shape}/v1/chat/completions"));
    let request = request.header("host", "bench").header("content-type", "application/json");
    let request = request.header("user-agent", "bench/1").header("accept", "*/*");
    let request = request.header("authorization", "Bearer sk-bench");
    request.body(Full::new(question())).unwrap()
}

/// Asks for so long.
pub(crate) async fn run(
    address: SocketAddr,
    path: &'static str,
    shape: Shape,
    concurrency: usize,
    time: Duration,
) -> Figures {
    let started = Instant::now();
    let clients: Vec<_> = (0..concurrency)
        .map(|_| tokio::spawn(client(address, path, shape, started + time)))
        .collect();
    let mut all = Figures::default();
    for client in clients {
        let figures = client.await.unwrap();
        all.first.extend(figures.first);
        all.whole.extend(figures.whole);
        all.errors += figures.errors;
    }
    all.seconds = started.elapsed().as_secs_f64();
    all.first.sort_by(f64::total_cmp);
    all.whole.sort_by(f64::total_cmp);
    all
}

async fn client(address: SocketAddr, path: &str, shape: Shape, until: Instant) -> Figures {
    let mut figures = Figures::default();
    let mut sender = connect(address).await;
    while Instant::now() < until {
        let request = request(path, shape.path());
        let started = Instant::now();
        let mut first = None;
        let answered = async {
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            let is_good = answer.status().is_success();
            let mut body = answer.into_body();
            while let Some(frame) = body.frame().await {
                frame?;
                first.get_or_insert_with(|| started.elapsed().as_secs_f64());
            }
            Ok::<_, hyper::Error>(is_good)
        };
        if matches!(answered.await, Ok(true)) {
            figures.first.extend(first);
            figures.whole.push(started.elapsed().as_secs_f64());
        } else {
            figures.errors += 1;
            sender = connect(address).await;
        }
    }
    figures
}

/// So many streams that have begun and do not end.
pub(crate) async fn open(
    address: SocketAddr,
    path: &str,
    count: usize,
) -> Vec<(SendRequest<Full<Bytes>>, Incoming)> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut sender = connect(address).await;
        let answer = sender.send_request(request(path, "held")).await.unwrap();
        let mut body = answer.into_body();
        body.frame().await.unwrap().unwrap();
        streams.push((sender, body));
    }
    streams
}

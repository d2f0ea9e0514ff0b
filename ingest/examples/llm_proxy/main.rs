//! What recording costs: the same load on a model API directly, through a bare proxy, and through the gateway.
//!
//! `cargo run --release -p ingest --example llm_proxy`. `PEER` may name a program of another proxy, which is given the API's
//! URL and prints its own address, such as `reverse_proxy.go` beside this file. Each part is a process of its own, all on loopback. Rounds are
//! interleaved, so that whatever else the machine does falls on all of them; figures are medians of the rounds.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, measures time and prints"
)]

mod load;
mod machine;
mod parts;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use load::{Figures, Shape};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONCURRENCIES: [usize; 4] = [1, 16, 100, 1000];

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["upstream"] => parts::upstream().await,
        ["bare", upstream] => parts::bare(upstream).await,
        ["gateway", upstream, dir, settings @ ..] => parts::gateway(upstream, dir, settings).await,
        ["compare", rest @ ..] => compare(rest).await,
        [] => compare(&[]).await,
        _ => println!("llm_proxy [compare [SECONDS [ROUNDS [KIND…]]]]"),
    }
}

/// A part that runs.
struct Part {
    name: String,
    process: Running,
    address: SocketAddr,
    path: &'static str,
}

/// A process that ends with this one.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = (self.0.kill(), self.0.wait());
    }
}

impl Part {
    fn start(name: &str, args: &[&str], path: &'static str) -> Self {
        Self::run(name, std::env::current_exe().unwrap().as_os_str(), args, path)
    }

    fn run(name: &str, program: &OsStr, args: &[&str], path: &'static str) -> Self {
        let mut command = Command::new(program);
        // As the binary has it.
        command.env("MIMALLOC_PURGE_DELAY", "10000");
        let mut process =
            command.args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines.next().unwrap().unwrap().parse().unwrap();
        Self { name: name.to_owned(), process: Running(process), address, path }
    }

    /// Seconds until all of its exchanges are on record, which those that keep none need not wait for.
    fn settle(&self) -> f64 {
        let started = Instant::now();
        while !self.path.is_empty() && !self.metrics().contains("_in_flight_bytes 0\n") {
            std::thread::sleep(Duration::from_millis(5));
        }
        started.elapsed().as_secs_f64()
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        let mut socket = TcpStream::connect(self.address).unwrap();
        socket.write_all(b"GET /metrics HTTP/1.0\r\nhost: a\r\n\r\n").unwrap();
        socket.read_to_string(&mut text).unwrap();
        text
    }

    fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

async fn compare(args: &[&str]) {
    let number = |at: usize, default| args.get(at).map_or(default, |text| text.parse().unwrap());
    let (time, rounds) = (Duration::from_secs_f64(number(0, 3.0)), number(1, 3.0) as usize);
    machine::print();
    let dir = tempfile::tempdir_in(".").unwrap();
    let upstream = Part::start("upstream", &["upstream"], "");
    let url = format!("http://{}", upstream.address);
    let mut parts = vec![Part { name: "direct".into(), path: "", ..upstream }];
    parts.push(Part::start("bare", &["bare", &url], ""));
    if let Some(peer) = std::env::var_os("PEER") {
        parts.push(Part::run("peer", &peer, &[&url], ""));
    }
    let kinds: [(&str, &[&str]); 3] =
        [("open", &[]), ("open-start", &["start_after_ms=0"]), ("closed", &["on_failure=closed"])];
    let wanted = |name: &str| args.len() < 3 || args[2..].contains(&name);
    for (name, settings) in kinds.into_iter().filter(|(name, _)| wanted(name)) {
        let folder = dir.path().join(name);
        let args = [&["gateway", &url, folder.to_str().unwrap()], settings].concat();
        parts.push(Part::start(name, &args, "/llm/api"));
    }
    for shape in [Shape::Whole, Shape::Stream] {
        for concurrency in CONCURRENCIES {
            table(&parts, shape, concurrency, time, rounds).await;
        }
    }
    table(&parts, Shape::Paced, 100, time, rounds).await;
    memory(&parts).await;
    println!("\nExchanges that are not on record");
    for part in parts.iter().filter(|part| !part.path.is_empty()) {
        let metrics = part.metrics();
        let lines = metrics.lines().filter(|line| line.contains("llm_unrecorded_total{"));
        println!("{}: {:?}", part.name, lines.collect::<Vec<_>>());
    }
}

async fn table(parts: &[Part], shape: Shape, concurrency: usize, time: Duration, rounds: usize) {
    let mut figures: Vec<Vec<Figures>> = parts.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (part, figures) in parts.iter().zip(&mut figures) {
            load::run(part.address, part.path, shape, concurrency, time / 4).await;
            part.settle();
            let before = machine::cpu(part.pid());
            let mut measured = load::run(part.address, part.path, shape, concurrency, time).await;
            measured.settled = part.settle();
            measured.cpu = machine::cpu(part.pid()) - before;
            figures.push(measured);
        }
    }
    println!("\n{shape:?}, {concurrency} at once");
    println!(
        "| | requests/s | of bare | recorded/s | first byte p50 / p99 ms | whole p50 / p99 ms | CPU ms a request | errors |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let bare = Figures::median(&figures[1], |figures| figures.rate());
    for (part, figures) in parts.iter().zip(&figures) {
        let median = |of: &dyn Fn(&Figures) -> f64| Figures::median(figures, of);
        println!(
            "| {} | {:.0} | {:.2} | {:.0} | {:.3} / {:.2} | {:.3} / {:.2} | {:.3} | {} |",
            part.name,
            median(&Figures::rate),
            median(&Figures::rate) / bare,
            median(&Figures::recorded),
            median(&|it| it.first(0.5)),
            median(&|it| it.first(0.99)),
            median(&|it| it.whole(0.5)),
            median(&|it| it.whole(0.99)),
            median(&Figures::cpu_ms),
            figures.iter().map(|figures| figures.errors).sum::<usize>(),
        );
    }
}

/// What an open stream takes.
async fn memory(parts: &[Part]) {
    println!("\nMemory, 1000 open streams");
    println!("| | before MB | with 1000 open MB | KB a stream |");
    println!("|---|---|---|---|");
    for part in &parts[1..] {
        let before = machine::memory(part.pid());
        let streams = load::open(part.address, part.path, 1000).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let during = machine::memory(part.pid());
        drop(streams);
        let (each, mb) = ((during - before) / 1000.0, 1024.0);
        println!("| {} | {:.0} | {:.0} | {each:.1} |", part.name, before / mb, during / mb);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

//! `just bench DATA`: what sealing, storing, verifying and taking in cost, beside the least they could cost.
//!
//! Prints Markdown tables for `docs/benchmarks.md`, which says what each figure means. All steps are given the same
//! traffic; each is in temporary folders of its own, and needs no Kafka and no S3; so does `bench log`. Only `bench otlp`,
//! `bench pipeline` and `bench recovery` measure with both, which `tests/stack/stack.sh` starts.

mod batches;
mod chain;
mod client;
mod clock;
mod corpus;
mod counter;
mod deployment;
mod evidence;
mod figure;
mod gateway;
mod json;
mod kafka;
mod latency;
mod log;
mod machine;
mod otlp;
mod pipeline;
mod random;
mod recovery;
mod rest;
mod roofline;
mod seal;
mod sealed;
mod servers;
mod stages;
mod started;
mod synthetic;
mod table;
mod topic;
mod traffic;
mod verify;
mod weight;

use std::path::PathBuf;

use batches::Messages;
use corpus::Corpus;
use figure::{number, wide};
use sealed::Sealed;
use topic::Form;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: bench [log | otlp | pipeline | recovery] DATA_FOLDER [--gb N | --small]
`otlp`, `pipeline` and `recovery` need Kafka and S3: tests/stack/stack.sh run -- COMMAND; `otlp` needs CHANCERY_OTELCOL, which
tests/capture/otelcol.sh prints
DATA_FOLDER holds tau-bench/gpt-4o-airline.json; N is the least size of the full events in 10^9 bytes, 1 unless given";

/// What the command line asks for.
enum Run {
    Bench { what: What, data: PathBuf, gigabytes: f64 },
    SealAsChild { dir: PathBuf },
    StartAsChild { words: Vec<String> },
}

/// What is measured.
#[derive(Clone, Copy)]
enum What {
    /// All that needs no servers.
    Alone,
    /// The log of segments.
    Log,
    /// OTLP onto a topic, beside the OpenTelemetry Collector.
    Otlp,
    /// The sealer between Kafka and S3.
    Pipeline,
    /// A sealer's start, with more and more behind it.
    Recovery,
}

fn main() -> anyhow::Result<()> {
    match Run::read(std::env::args().skip(1)) {
        Some(Run::Bench { what, data, gigabytes }) => {
            let corpus = Corpus::read(&data)?;
            match what {
                What::Alone => alone(&corpus, gigabytes),
                What::Log => log::report(&corpus, copies(&corpus, gigabytes)?.0),
                What::Otlp => otlp::report(&corpus),
                What::Pipeline => pipeline::report(&corpus, copies(&corpus, gigabytes)?.0),
                What::Recovery => recovery::report(&corpus),
            }
        }
        Some(Run::SealAsChild { dir }) => sealed::child(&dir),
        Some(Run::StartAsChild { words }) => started::child(&words),
        None => anyhow::bail!(USAGE),
    }
}

impl Run {
    fn read(words: impl Iterator<Item = String>) -> Option<Self> {
        let mut words = words.peekable();
        let what = match words.peek()?.as_str() {
            sealed::CHILD => return Some(Self::SealAsChild { dir: words.nth(1)?.into() }),
            started::CHILD => {
                return Some(Self::StartAsChild { words: words.skip(1).collect() });
            }
            "log" => words.next().map(|_| What::Log)?,
            "otlp" => words.next().map(|_| What::Otlp)?,
            "pipeline" => words.next().map(|_| What::Pipeline)?,
            "recovery" => words.next().map(|_| What::Recovery)?,
            _ => What::Alone,
        };
        let data = words.next().filter(|word| !word.is_empty() && !word.starts_with("--"))?;
        let gigabytes = match words.next().as_deref() {
            None => 1.0,
            Some("--small") => 0.05,
            Some("--gb") => words.next()?.parse().ok()?,
            Some(_) => return None,
        };
        let is_usable = words.next().is_none() && gigabytes > 0.0;
        is_usable.then(|| Self::Bench { what, data: data.into(), gigabytes })
    }
}

fn alone(corpus: &Corpus, gigabytes: f64) -> anyhow::Result<()> {
    let (copies, full_bytes) = copies(corpus, gigabytes)?;
    machine::report(corpus, copies, full_bytes)?;
    seal::report(corpus, copies)?;
    let sealed = Form::ALL.map(|form| Sealed::new(corpus, copies, form));
    let sealed = sealed.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    sealed::report(&sealed)?;
    rest::report(corpus, copies, &sealed)?;
    verify::report(&sealed)?;
    drop(sealed);
    gateway::report(corpus)
}

/// How many copies of the corpus make so many bytes of full events, and how many bytes those are.
fn copies(corpus: &Corpus, gigabytes: f64) -> anyhow::Result<(usize, u64)> {
    let mut one = 0;
    for message in Messages::new(corpus, 1, Form::Full)? {
        one += message?.bytes();
    }
    let mut copies = 1;
    while number(wide(copies) * one) < gigabytes * 1e9 {
        copies += 1;
    }
    Ok((copies, wide(copies) * one))
}

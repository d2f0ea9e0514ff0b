//! `just bench DATA`: what sealing, storing, verifying and taking in cost, beside the least they could cost.
//!
//! Prints Markdown tables for `docs/benchmarks.md`, which says what each figure means. All steps are given the same
//! traffic; each is in temporary folders of its own. It needs no Kafka and no S3, and measures neither.

mod batches;
mod clock;
mod corpus;
mod figure;
mod gateway;
mod json;
mod machine;
mod random;
mod rest;
mod roofline;
mod seal;
mod sealed;
mod table;
mod topic;
mod traffic;
mod verify;

use std::path::PathBuf;

use batches::Messages;
use corpus::Corpus;
use figure::{number, wide};
use sealed::Sealed;
use topic::Form;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: bench DATA_FOLDER [--gb N | --small]
DATA_FOLDER holds tau-bench/gpt-4o-airline.json; N is the least size of the full events in 10^9 bytes, 1 unless given";

/// What the command line asks for.
enum Run {
    All { data: PathBuf, gigabytes: f64 },
    SealAsChild { dir: PathBuf },
}

fn main() -> anyhow::Result<()> {
    match Run::read(std::env::args().skip(1)) {
        Some(Run::All { data, gigabytes }) => all(&data, gigabytes),
        Some(Run::SealAsChild { dir }) => sealed::child(&dir),
        None => anyhow::bail!(USAGE),
    }
}

impl Run {
    fn read(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let first = words.next().filter(|word| !word.is_empty())?;
        if first == sealed::CHILD {
            return Some(Self::SealAsChild { dir: words.next()?.into() });
        }
        let gigabytes = match words.next().as_deref() {
            None => 1.0,
            Some("--small") => 0.05,
            Some("--gb") => words.next()?.parse().ok()?,
            Some(_) => return None,
        };
        let is_usable = !first.starts_with("--") && words.next().is_none() && gigabytes > 0.0;
        is_usable.then(|| Self::All { data: first.into(), gigabytes })
    }
}

fn all(data: &std::path::Path, gigabytes: f64) -> anyhow::Result<()> {
    let corpus = Corpus::read(data)?;
    let (copies, full_bytes) = copies(&corpus, gigabytes)?;
    machine::report(&corpus, copies, full_bytes)?;
    seal::report(&corpus, copies)?;
    let sealed = Form::ALL.map(|form| Sealed::new(&corpus, copies, form));
    let sealed = sealed.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    sealed::report(&sealed)?;
    rest::report(&corpus, copies, &sealed)?;
    verify::report(&sealed)?;
    drop(sealed);
    gateway::report(&corpus)
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

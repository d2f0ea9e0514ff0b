//! The log of segments: what it weighs, proofs out of it, how soon it covers what is sealed, how soon a start has found its
//! end, and what it costs to verify.

use std::time::Duration;

use anyhow::Context;
use replay::{LogOptions, VerifyOptions};

use crate::batches::Messages;
use crate::clock::{Of, Spent, timed};
use crate::corpus::Corpus;
use crate::deployment::{Deployment, ROWS, policy};
use crate::figure::{median, megabytes, percent, rate};
use crate::synthetic::Synthetic;
use crate::topic::Form;
use crate::{evidence, latency, table, verify, weight};

/// Entries of the logs whose end is looked for.
const ENTRIES: [u64; 3] = [10, 1_000, 100_000];
/// Entries of the real partition: an opening, a record, and a heartbeat of each of the first two sealers.
const REAL: u64 = 4;
/// How often each start is timed, and each verification.
const STARTS: u32 = 15;
const VERIFIED: usize = 5;
/// Most events of a segment where segments are as large as may be: the default.
const ROWS_MAX: usize = 500_000;
/// Messages that are appended at a time.
const APPENDED: usize = 4_096;

pub(crate) fn report(corpus: &Corpus, copies: usize) -> anyhow::Result<()> {
    evidence::report(corpus)?;
    weight::report()?;
    latency::report(corpus)?;
    starts(corpus)?;
    verified(corpus, copies)
}

fn starts(corpus: &Corpus) -> anyhow::Result<()> {
    let columns = ["entries", "with the log, ms", "CPU, ms", "without it, ms", "CPU, ms"];
    table::head("A sealer that starts, finds nothing to do and ends", &columns)?;
    for entries in ENTRIES {
        table::progress(format_args!("a log of {entries} entries"));
        let deployment = Deployment::new()?;
        deployment.runtime.block_on(async {
            let mut log = Synthetic::after(deployment.store()?, 0).await?;
            log.grow(entries - REAL, 256).await
        })?;
        deployment.append(Messages::new(corpus, 1, Form::Deduplicated)?.take(ROWS))?;
        deployment.seal(ROWS, true)?;
        deployment.seal(ROWS, true)?;
        let [with, without] = [true, false].map(|enrols| start(&deployment, enrols));
        let (with, without) = (with?, without?);
        let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
        table::row(&[
            entries.to_string(),
            ms(with.wall),
            ms(with.cpu),
            ms(without.wall),
            ms(without.cpu),
        ])?;
    }
    Ok(())
}

/// Wall time in the median, processor time on average: that is counted in hundredths of a second.
fn start(deployment: &Deployment, enrols: bool) -> anyhow::Result<Spent> {
    let (walls, spent) = timed(Of::Process, || {
        let one = |_| Ok(deployment.seal(ROWS, enrols)?.wall.as_secs_f64());
        (0..STARTS).map(one).collect::<anyhow::Result<Vec<_>>>()
    })?;
    Ok(Spent { wall: Duration::from_secs_f64(median(walls?)), cpu: spent.cpu / STARTS })
}

fn verified(corpus: &Corpus, copies: usize) -> anyhow::Result<()> {
    let columns = [
        "segments",
        "entries",
        "topic MB",
        "MB/s per core (CPU), without the log",
        "with it",
        "SHA-256 alone, MB/s (CPU)",
        "of it, with the log",
    ];
    table::head("Verify, with a log", &columns)?;
    for rows in [ROWS, ROWS_MAX] {
        table::progress(format_args!("verifying, {rows} events a segment"));
        let deployment = Deployment::new()?;
        let bytes = fill(&deployment, corpus, copies)?;
        deployment.seal(rows, false)?;
        let without = Verified::of(&deployment)?;
        deployment.seal(rows, true)?;
        let with = Verified::of(&deployment)?;
        anyhow::ensure!(without.entries.is_none(), "there is a log already");
        let entries = with.entries.context("there is no log")?;
        let shas = (0..VERIFIED).map(|_| Ok(verify::sha(bytes)?.as_secs_f64()));
        let sha = Duration::from_secs_f64(median(shas.collect::<anyhow::Result<_>>()?));
        table::row(&[
            with.segments.to_string(),
            entries.to_string(),
            format!("{:.0}", megabytes(bytes)),
            format!("{:.0}", rate(bytes, without.cpu)),
            format!("{:.0}", rate(bytes, with.cpu)),
            format!("{:.0}", rate(bytes, sha)),
            percent(sha.as_secs_f64(), with.cpu.as_secs_f64()),
        ])?;
    }
    Ok(())
}

/// Appends the whole traffic, and says how many bytes it is.
fn fill(deployment: &Deployment, corpus: &Corpus, copies: usize) -> anyhow::Result<u64> {
    let (mut messages, mut bytes) = (Messages::new(corpus, copies, Form::Deduplicated)?, 0);
    loop {
        let some = messages.by_ref().take(APPENDED).collect::<anyhow::Result<Vec<_>>>()?;
        if some.is_empty() {
            return Ok(bytes);
        }
        bytes += some.iter().map(crate::topic::Message::bytes).sum::<u64>();
        deployment.append(some.into_iter().map(Ok))?;
    }
}

/// A store that verifies.
struct Verified {
    segments: u64,
    /// Of the log, where there is one.
    entries: Option<u64>,
    /// Of one job, in the median.
    cpu: Duration,
}

impl Verified {
    fn of(deployment: &Deployment) -> anyhow::Result<Self> {
        let (folder, policy) = (deployment.folder(), policy()?);
        let folder = folder.to_str().context("the folder's name is not UTF-8")?;
        let store = replay::Store::open(folder)?;
        let log = LogOptions { trust: Some(&policy), ..LogOptions::default() };
        let options = || VerifyOptions { log, ..VerifyOptions::default() };
        let (mut cpus, mut segments, mut entries) = (Vec::new(), 0, None);
        for _ in 0..VERIFIED {
            let verify = replay::verify(&store, options());
            let (report, spent) = timed(Of::Process, || deployment.runtime.block_on(verify))?;
            let report = report?;
            anyhow::ensure!(report.ok, "it does not verify: {:?}", report.findings.first());
            (segments, entries) = (report.segments, report.log.map(|log| log.size));
            cpus.push(spent.cpu.as_secs_f64());
        }
        Ok(Self { segments, entries, cpu: Duration::from_secs_f64(median(cpus)) })
    }
}

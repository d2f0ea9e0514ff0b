//! SHELL: a topic in the embedded log, sealed into a local folder by a process of its own, so that its peak memory is its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use sealer::{Config, Metrics, Source};
use spool::Spool;
use store::Store;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::batches::Messages;
use crate::clock::{Of, Spent, peak_bytes, timed};
use crate::corpus::Corpus;
use crate::figure::{megabytes, rate};
use crate::table;
use crate::topic::Form;

/// First argument of the process that seals.
pub(crate) const CHILD: &str = "--seal-as-child";
/// Bytes of messages that are appended at a time.
const APPEND_BYTES: u64 = 8 << 20;

/// A sealed topic. Its folder goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Sealed {
    dir: TempDir,
    pub(crate) form: Form,
    pub(crate) topic_bytes: u64,
    pub(crate) events: u64,
    spent: Spent,
    peak_bytes: u64,
}

impl Sealed {
    /// Writes the whole traffic to an embedded log and seals it.
    pub(crate) fn new(corpus: &Corpus, copies: usize, form: Form) -> anyhow::Result<Self> {
        let dir = TempDir::new()?;
        table::progress(format_args!("writing {} events to an embedded log", form.name()));
        let (topic_bytes, events) = fill(&log(dir.path()), corpus, copies, form)?;
        table::progress(format_args!("sealing {} events into a folder", form.name()));
        let (spent, peak_bytes) = run_child(dir.path())?;
        Ok(Self { dir, form, topic_bytes, events, spent, peak_bytes })
    }

    /// Folder of the store.
    pub(crate) fn store(&self) -> PathBuf {
        store(self.dir.path())
    }
}

pub(crate) fn report(all: &[Sealed]) -> anyhow::Result<()> {
    let columns = [
        "log to sealed folder, with fsync",
        "events",
        "topic MB",
        "MB/s (wall)",
        "MB/s per core (CPU)",
        "events/s (wall)",
        "peak memory, MB",
    ];
    table::head("Sealer, end to end", &columns)?;
    for sealed in all {
        let events = crate::figure::number(sealed.events) / sealed.spent.wall.as_secs_f64();
        table::row(&[
            sealed.form.name().to_owned(),
            sealed.events.to_string(),
            format!("{:.0}", megabytes(sealed.topic_bytes)),
            format!("{:.0}", rate(sealed.topic_bytes, sealed.spent.wall)),
            format!("{:.0}", rate(sealed.topic_bytes, sealed.spent.cpu)),
            format!("{events:.0}"),
            format!("{:.0}", megabytes(sealed.peak_bytes)),
        ])?;
    }
    Ok(())
}

fn log(dir: &Path) -> PathBuf {
    dir.join("spool")
}

fn store(dir: &Path) -> PathBuf {
    dir.join("store")
}

fn fill(dir: &Path, corpus: &Corpus, copies: usize, form: Form) -> anyhow::Result<(u64, u64)> {
    let (spool, _) = Spool::open(dir, spool::Config::default())?;
    let (mut bytes, mut waiting, mut waiting_bytes) = (0, Vec::new(), 0);
    for message in Messages::new(corpus, copies, form)? {
        let message = message?;
        waiting_bytes += message.bytes();
        let (timestamp_ms, key, value) = (message.timestamp_ms, Some(message.key), message.value);
        waiting.push(spool::Message { timestamp_ms, key, value });
        if waiting_bytes >= APPEND_BYTES {
            bytes += std::mem::take(&mut waiting_bytes);
            spool.append(std::mem::take(&mut waiting))?;
        }
    }
    spool.append(waiting)?;
    Ok((bytes + waiting_bytes, spool.next()))
}

fn run_child(dir: &Path) -> anyhow::Result<(Spent, u64)> {
    let program = std::env::current_exe()?;
    let output = Command::new(program).arg(CHILD).arg(dir).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "the sealing process failed: {why}");
    let figures = text.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    let [wall, cpu, peak] = figures.as_slice() else {
        anyhow::bail!("the sealing process said: {text}");
    };
    let [wall, cpu] = [wall, cpu].map(|nanos| Duration::from_nanos(*nanos));
    Ok((Spent { wall, cpu }, *peak))
}

/// What the process of its own does: seals all that the log holds and prints what it took.
pub(crate) fn child(dir: &Path) -> anyhow::Result<()> {
    let (spool, _) = Spool::open(&log(dir), spool::Config::default())?;
    let store = store(dir);
    let store = Store::open(store.to_str().context("the folder's name is not UTF-8")?)?;
    let source = Source::Spool(spool, schemas::Topic::new("events")?);
    let runtime = tokio::runtime::Runtime::new()?;
    let stop = CancellationToken::new();
    stop.cancel();
    let run = sealer::run(source, store, Config::default(), None, None, Metrics::default(), stop);
    let (ran, spent) = timed(Of::Process, || runtime.block_on(run))?;
    ran?;
    let (wall, cpu) = (spent.wall.as_nanos(), spent.cpu.as_nanos());
    table::line(format_args!("{wall} {cpu} {}", peak_bytes()?))
}

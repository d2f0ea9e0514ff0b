//! SHELL: how long a segment's record waits for a checkpoint that covers it, by the times of the files.
#![expect(clippy::disallowed_methods, reason = "a benchmark waits for time to pass")]

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use schemas::ObjectKey;
use schemas::tlog::{Entry, LogKey};
use sealer::Config;
use tokio_util::sync::CancellationToken;

use crate::batches::Messages;
use crate::clock::{Of, Spent, timed};
use crate::corpus::Corpus;
use crate::deployment::Deployment;
use crate::figure::wide;
use crate::synthetic::commits;
use crate::table;
use crate::topic::Form;

/// Milliseconds between commits: as short as can be, and the default.
const INTERVALS_MS: [u64; 2] = [1, 5_000];
/// Events that are sent, one at a time, and the pause after each. Most are a segment each.
const EVENTS: usize = 200;
const PAUSE: Duration = Duration::from_millis(150);
/// Age at which a segment is cut.
const AGE_MAX_MS: u64 = 100;
/// What the last commit may take.
const SLACK: Duration = Duration::from_secs(2);

pub(crate) fn report(corpus: &Corpus) -> anyhow::Result<()> {
    let columns = [
        "interval_ms",
        "segments",
        "commits",
        "p50, ms",
        "p99, ms",
        "most, ms",
        "seconds",
        "CPU-seconds of the process",
    ];
    table::head("From a segment's record to a checkpoint over it", &columns)?;
    INTERVALS_MS.iter().try_for_each(|interval| table::row(&measure(corpus, *interval)?))
}

fn measure(corpus: &Corpus, interval_ms: u64) -> anyhow::Result<[String; 8]> {
    table::progress(format_args!("enrolling every {interval_ms} ms"));
    let deployment = Deployment::new()?;
    let (ran, spent) = timed(Of::Process, || run(&deployment, corpus, interval_ms))?;
    ran?;
    let (commits, mut waits) = waits(&deployment)?;
    waits.sort();
    let ms = |wait: Duration| format!("{:.0}", wait.as_secs_f64() * 1e3);
    // The nearest rank.
    let rank = |percent: usize| {
        let at = (waits.len() * percent).div_ceil(100).saturating_sub(1);
        waits.get(at).copied().map(ms).context("nothing was enrolled")
    };
    let Spent { wall, cpu } = spent;
    Ok([
        interval_ms.to_string(),
        waits.len().to_string(),
        commits.to_string(),
        rank(50)?,
        rank(99)?,
        rank(100)?,
        format!("{:.0}", wall.as_secs_f64()),
        format!("{:.2}", cpu.as_secs_f64()),
    ])
}

fn run(deployment: &Deployment, corpus: &Corpus, interval_ms: u64) -> anyhow::Result<()> {
    let (stop, age) = (CancellationToken::new(), AGE_MAX_MS);
    let config = Config { segment_age_max_ms: age, ..Config::default() };
    let sealer = deployment.sealer(config, Some(interval_ms), stop.clone())?;
    let sealer = deployment.runtime.spawn(sealer);
    for message in Messages::new(corpus, 1, Form::Deduplicated)?.take(EVENTS) {
        deployment.append([message])?;
        std::thread::sleep(PAUSE);
    }
    // At the end all is enrolled at once, which is not what is measured.
    std::thread::sleep(Duration::from_millis(interval_ms) + SLACK);
    stop.cancel();
    Ok(deployment.runtime.block_on(sealer)??)
}

/// Commits, and how long each record waited.
fn waits(deployment: &Deployment) -> anyhow::Result<(u64, Vec<Duration>)> {
    let (folder, store) = (deployment.folder(), deployment.store()?);
    let commits = deployment.runtime.block_on(commits(&store))?;
    let mut waits = Vec::new();
    for commit in &commits {
        // Every commit has a checkpoint; the first over an entry is that of its own.
        let covered = modified(&folder, &LogKey::CheckpointAt(commit.next()).to_string())?;
        for entry in &commit.entries {
            let Entry::Record(record) = entry else { continue };
            let (chain, start) = (&record.segment.chain, record.segment.start);
            let (topic, partition) = (chain.topic.clone(), chain.partition);
            let key = ObjectKey::Record(topic, partition, chain.epoch, start).to_string();
            let sealed = modified(&folder, &key)?;
            waits.push(covered.duration_since(sealed).context("a checkpoint before its record")?);
        }
    }
    Ok((wide(commits.len()), waits))
}

fn modified(folder: &Path, key: &str) -> anyhow::Result<SystemTime> {
    let file = std::fs::metadata(folder.join(key)).with_context(|| key.to_owned())?;
    Ok(file.modified()?)
}

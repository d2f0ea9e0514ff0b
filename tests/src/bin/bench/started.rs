//! SHELL: a sealer between the broker and a store, in a process of its own, until each partition has come so far.

use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use schemas::{Offset, Topic};
use sealer::{Config, Kafka, Metrics, Source};
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::clock::{Of, Spent, peak_bytes, timed};
use crate::servers::{CLASS, Servers, retention};
use crate::table;

/// First argument of the process that seals.
pub(crate) const CHILD: &str = "--start-as-child";
/// How often the sealer's metrics are looked at.
const LOOK: Duration = Duration::from_millis(1);
/// So that two partitions are cut as one is.
const MEMORY_BYTES_MAX: usize = 512 << 20;

/// What it took until all had come so far, from the first line of the process on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Started {
    pub(crate) spent: Spent,
    pub(crate) peak_bytes: u64,
}

/// Runs a sealer until the chain of each partition ends at the offset given for it, or behind. `endpoint` is where its
/// S3 is said to be.
pub(crate) fn start(
    servers: &Servers,
    topic: &str,
    store: &str,
    until: &[Offset],
    endpoint: Option<String>,
) -> anyhow::Result<Started> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([CHILD, &servers.brokers, topic, store]);
    command.args(until.iter().map(Offset::to_string));
    command.envs(endpoint.map(|endpoint| ("AWS_ENDPOINT_URL", endpoint)));
    let output = command.output()?;
    let (text, why) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    anyhow::ensure!(output.status.success(), "the sealing process failed: {why}");
    let figures = text.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    let [wall, cpu, peak_bytes] = *figures.as_slice() else {
        anyhow::bail!("the sealing process said: {text}");
    };
    let [wall, cpu] = [wall, cpu].map(Duration::from_nanos);
    Ok(Started { spent: Spent { wall, cpu }, peak_bytes })
}

/// What the process of its own does.
pub(crate) fn child(words: &[String]) -> anyhow::Result<()> {
    let [brokers, topic, store, until @ ..] = words else { anyhow::bail!("too few words") };
    let until = until.iter().map(|word| word.parse()).collect::<Result<Vec<u64>, _>>()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let (ran, spent) =
        timed(Of::Process, || runtime.block_on(seal(brokers, topic, store, &until)))?;
    ran?;
    let (wall, cpu) = (spent.wall.as_nanos(), spent.cpu.as_nanos());
    table::line(format_args!("{wall} {cpu} {}", peak_bytes()?))?;
    // What it was about to do is of no interest.
    runtime.shutdown_background();
    Ok(())
}

async fn seal(brokers: &str, topic: &str, store: &str, until: &[u64]) -> anyhow::Result<()> {
    let source = Source::Kafka(Kafka::new(brokers, Topic::new(topic)?, &[])?);
    let store = Store::open(store)?;
    let config = Config {
        // Only full segments, so that every run seals the same ones.
        segment_age_max_ms: 3_600_000,
        memory_bytes_max: MEMORY_BYTES_MAX,
        retention_class: CLASS.to_owned(),
        ..Config::default()
    };
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let stop = CancellationToken::new();
    let mut run =
        std::pin::pin!(sealer::run(source, store, config, Some(retention()?), None, metrics, stop));
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            ended = &mut run => {
                ended?;
                anyhow::bail!("the sealer ended");
            }
            _ = look.tick() => if has_come(&registry, until)? {
                return Ok(());
            },
        }
    }
}

fn has_come(registry: &Registry, until: &[u64]) -> anyhow::Result<bool> {
    let mut text = String::new();
    encode(&mut text, registry).context("metrics could not be written")?;
    let next = |partition: usize| {
        let name = format!("chancery_sealer_next_offset{{partition=\"{partition}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok())
    };
    let come =
        |(partition, until): (usize, &u64)| next(partition).is_some_and(|next| next >= *until);
    Ok(until.iter().enumerate().all(come))
}

//! A sealer's start on chains of different lengths: how long until it knows where to go on, and what it asks the store.

use std::time::Duration;

use schemas::Offset;

use crate::chain::Chain;
use crate::corpus::Corpus;
use crate::counter::{Counter, Counts};
use crate::figure::median;
use crate::servers::Servers;
use crate::started::start;
use crate::table;

/// Segments of each chain.
const LENGTHS: [u64; 3] = [10, 1_000, 100_000];
/// How often each start is timed.
const RUNS: usize = 9;
/// Messages that come while no sealer runs.
const BEHIND: u64 = 1_000_000;

pub(crate) fn report(corpus: &Corpus) -> anyhow::Result<()> {
    let servers = Servers::find()?;
    let counter = Counter::start(&servers.s3)?;
    let columns = [
        "where the sealer begins to look",
        "segments",
        "start, ms (median)",
        "least to most",
        "CPU, ms",
        "lists",
        "reads",
        "writes",
    ];
    let mut rows = Vec::new();
    for segments in LENGTHS {
        let mut chain = Chain::new(&servers, corpus, segments)?;
        let mut row = |name: &str, chain: &Chain| {
            rows.push(measure(&servers, &counter, name, chain)?);
            anyhow::Ok(())
        };
        row("no hint: the group's offset has expired", &chain)?;
        chain.topic.hint(chain.last, chain.next)?;
        row("the hint is right", &chain)?;
        chain.topic.hint(chain.first, Offset(chain.first.0 + 1))?;
        row("the hint is the first segment", &chain)?;
        for _ in 0..BEHIND {
            chain.topic.send(0, b"", b"late")?;
        }
        chain.topic.flush()?;
        row("so, and 1,000,000 messages behind", &chain)?;
    }
    table::head("Recovery", &columns)?;
    rows.iter().try_for_each(|row| table::row(row))
}

fn measure(
    servers: &Servers,
    counter: &Counter,
    name: &str,
    chain: &Chain,
) -> anyhow::Result<[String; 8]> {
    table::progress(format_args!("{name}, {} segments", chain.segments));
    let run = |endpoint| start(servers, &chain.topic.name, &chain.store, &[chain.next], endpoint);
    let runs = (0..RUNS).map(|_| run(None)).collect::<anyhow::Result<Vec<_>>>()?;
    counter.take();
    run(Some(counter.url()))?;
    let Counts { lists, reads, writes } = counter.take();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let walls: Vec<f64> = runs.iter().map(|run| ms(run.spent.wall)).collect();
    let (least, most) = walls
        .iter()
        .fold((f64::MAX, 0.0_f64), |(least, most), wall| (least.min(*wall), most.max(*wall)));
    let cpus = runs.iter().map(|run| ms(run.spent.cpu)).collect();
    Ok([
        name.to_owned(),
        chain.segments.to_string(),
        format!("{:.0}", median(walls)),
        format!("{least:.0} to {most:.0}"),
        format!("{:.0}", median(cpus)),
        lists.to_string(),
        reads.to_string(),
        writes.to_string(),
    ])
}

//! `chancery prove` and `chancery receipt`: evidence bundles out of a store, for people who have only the bundle.
#![expect(clippy::disallowed_methods, reason = "a shell: a bundle tells when it was made")]

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use replay::emit::statement;
use replay::{ProveOptions, Question, Sought};
use schemas::{Micros, Monitor, Partition, Seconds, Topic};

use crate::cli;
use crate::exit::{Exit, OrExit};
use crate::output::{notice, stdout};
use crate::read::{failure, open, tenant};
use crate::remembered::{Memory, address};

/// Proves an event, a session or an absence.
pub(crate) async fn run(args: cli::Prove) -> anyhow::Result<Exit> {
    match args {
        cli::Prove::Event(args) => {
            let sought = args.sought().ok_or_else(|| Exit::Usage.error("no event is named"))?;
            make(Question::Event { sought, session: None }, args.how).await
        }
        cli::Prove::Session(args) => {
            let times = (args.from.is_some() || args.to.is_some()).then(|| {
                let from = args.from.map_or(i64::MIN, |from| millis(from).start);
                from..args.to.map_or(i64::MAX, |to| millis(to).end)
            });
            make(Question::Session { id: args.id, times }, args.how).await
        }
        cli::Prove::Absent(args) => {
            let times = millis(args.from).start..millis(args.to).end;
            if times.is_empty() {
                return Err(Exit::Usage.error("--to must be later than --from"));
            }
            make(Question::Absent { id: args.id, times }, args.how).await
        }
    }
}

/// Proves an event by the digest that its producer kept.
pub(crate) async fn receipt(args: cli::Receipt) -> anyhow::Result<Exit> {
    let (sought, session) = (Sought::Digest(args.digest), args.session);
    make(Question::Event { sought, session }, args.how).await
}

/// The milliseconds that a time is between, which are the same where it is whole.
fn millis(Micros(micros): Micros) -> Range<i64> {
    micros.div_euclid(1000)..micros.saturating_add(999).div_euclid(1000)
}

async fn make(question: Question, how: cli::ProveHow) -> anyhow::Result<Exit> {
    let store = open(&how.store.store)?;
    let topic = how.topic.as_deref().map(Topic::new).transpose();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let options = ProveOptions {
        tenant: tenant(&how.store)?,
        topic: topic.or_exit(Exit::Usage, "--topic cannot be used")?,
        partition: how.partition.map(Partition),
        disclose: how.disclose,
        monitor: monitor(&how.store.store)?,
        now: Seconds(i64::try_from(now)?),
    };
    let proven = replay::prove(&store, &question, &options).await.map_err(failure)?;
    let path = how.output.display();
    std::fs::write(&how.output, &proven.bytes)
        .or_exit(Exit::Infrastructure, format!("cannot write {path}"))?;
    for note in &proven.notes {
        notice(format_args!("not disclosed: {note}"));
    }
    notice(format_args!("{path}: {} bytes", proven.bytes.len()));
    stdout(|out| {
        if how.store.json.json {
            serde_json::to_writer(&mut *out, &proven.statement)?;
            writeln!(out)
        } else {
            statement::claim(&proven.statement, out)
        }
    })?;
    Ok(Exit::Good)
}

/// The last run of `verify` over a store's log that read everything and found nothing wrong.
fn monitor(store: &str) -> anyhow::Result<Option<Monitor>> {
    let Some(memory) = Memory::open(None) else { return Ok(None) };
    let Some(origin) = memory.log_of(&address(store))? else { return Ok(None) };
    let good = memory.of(&origin)?.and_then(|seen| seen.good);
    Ok(good.map(|(size, at)| Monitor { size, at }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_within_a_millisecond_is_between_two() {
        assert_eq!(millis(Micros(-1_500)), -2..-1);
        assert_eq!(millis(Micros(2_000)), 2..2);
    }
}

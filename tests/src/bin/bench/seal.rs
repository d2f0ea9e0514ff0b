//! One thread seals batches in memory, beside the roofline over the same rows.

use anyhow::Context as _;
use schemas::{Chain, Epoch, EpochOpening, Framing, Offset, Partition, Place, Seconds};
use sealer::{Batch, Claims, Head, Terms, encode};

use crate::batches::{Messages, next_batch};
use crate::clock::{Of, Spent, timed};
use crate::corpus::Corpus;
use crate::figure::{median, megabytes, percent, rate, wide};
use crate::roofline::{self, Roofline};
use crate::table;
use crate::topic::Form;

const PLACE: Place = Place { partition: Partition(0), partitions: 1 };

/// One batch, sealed and rooflined once.
#[derive(Clone, Copy, Debug)]
struct Measured {
    bytes: u64,
    sealer: Spent,
    /// Parts of the sealer's work, done once more by themselves: taking messages apart, and the check before the PUT.
    reading: Spent,
    checking: Spent,
    roofline: Roofline,
}

impl Measured {
    /// Processor time of a program that only hashes every row `passes` times, compresses and hashes the object.
    fn floor(&self, passes: u32) -> std::time::Duration {
        let roofline = &self.roofline;
        roofline.hash.cpu * passes + roofline.compress.cpu + roofline.object.cpu
    }
}

pub(crate) fn report(corpus: &Corpus, copies: usize) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for form in Form::ALL {
        table::progress(format_args!("sealing {} events in memory", form.name()));
        all.push((form, measure(corpus, copies, form)?));
    }
    let columns = [
        "seal, one thread, in memory",
        "segments",
        "topic MB",
        "sealer MB/s (CPU)",
        "sealer MB/s (wall)",
        "roofline, one SHA pass",
        "of it",
        "roofline, two passes",
        "of it",
    ];
    table::head("Seal", &columns)?;
    for (form, runs) in &all {
        let of = |value: fn(&Measured) -> f64| median(runs.iter().map(value).collect());
        let bytes: u64 = runs.iter().map(|run| run.bytes).sum();
        table::row(&[
            form.name().to_owned(),
            (runs.len() / rounds(*form)).to_string(),
            format!("{:.0}", megabytes(bytes / wide(rounds(*form)))),
            format!("{:.0}", of(|run| rate(run.bytes, run.sealer.cpu))),
            format!("{:.0}", of(|run| rate(run.bytes, run.sealer.wall))),
            format!("{:.0}", of(|run| rate(run.bytes, run.floor(1)))),
            percent(of(|run| run.floor(1).as_secs_f64() / run.sealer.cpu.as_secs_f64()), 1.0),
            format!("{:.0}", of(|run| rate(run.bytes, run.floor(2)))),
            percent(of(|run| run.floor(2).as_secs_f64() / run.sealer.cpu.as_secs_f64()), 1.0),
        ])?;
    }
    parts(&all)
}

/// Where the roofline's time goes, and the sealer's beyond it.
fn parts(all: &[(Form, Vec<Measured>)]) -> anyhow::Result<()> {
    let columns = [
        "ms per MB of topic",
        "SHA of rows and tree, a pass",
        "zstd-1",
        "SHA of the object",
        "unzstd (in no roofline)",
        "sealer",
        "of it: reading messages",
        "of it: check before the PUT",
    ];
    table::head("Seal: where the time goes", &columns)?;
    for (form, runs) in all {
        let each = |cpu: fn(&Measured) -> std::time::Duration| {
            let values = runs.iter().map(|run| cpu(run).as_secs_f64() * 1e3 / megabytes(run.bytes));
            format!("{:.2}", median(values.collect()))
        };
        table::row(&[
            form.name().to_owned(),
            each(|run| run.roofline.hash.cpu),
            each(|run| run.roofline.compress.cpu),
            each(|run| run.roofline.object.cpu),
            each(|run| run.roofline.decompress.cpu),
            each(|run| run.sealer.cpu),
            each(|run| run.reading.cpu),
            each(|run| run.checking.cpu),
        ])?;
    }
    Ok(())
}

/// How often a segment is measured: there are few of the deduplicated form.
fn rounds(form: Form) -> usize {
    match form {
        Form::Deduplicated => 5,
        Form::Full => 1,
    }
}

fn measure(corpus: &Corpus, copies: usize, form: Form) -> anyhow::Result<Vec<Measured>> {
    let mut messages = Messages::new(corpus, copies, form)?;
    let mut head = Head::opened(&opening(PLACE)?);
    let mut all = Vec::new();
    while let Some(batch) = next_batch(&mut messages, head.next)? {
        let mut next = None;
        for _ in 0..rounds(form) {
            let (measured, after) = once(&batch, &head)?;
            all.push(measured);
            next = Some(after);
        }
        head = next.unwrap_or(head);
    }
    Ok(all)
}

fn once(batch: &Batch, head: &Head) -> anyhow::Result<(Measured, Head)> {
    let terms =
        Terms { retention_class: "standard".to_owned(), writer: "bench".to_owned(), lock: None };
    let (encoded, sealer) =
        timed(Of::Thread, || encode(batch, head, &terms, &[7; 32], &mut Claims::default()))?;
    let encoded = encoded?.context("the traffic has claim-checked bodies")?;
    let place = PLACE;
    let (read, reading) = timed(Of::Thread, || {
        let mut read =
            batch.messages().iter().map(|message| schemas::read(&message.as_read(), place));
        read.all(|event| event.is_ok())
    })?;
    let (checked, checking) = timed(Of::Thread, || sealer::check(&encoded.bytes, place))?;
    anyhow::ensure!(read && checked.is_ok(), "what was sealed does not read back");
    let rows = roofline::rows(batch, PLACE)?;
    let roofline = roofline::run(&rows)?;
    anyhow::ensure!(
        roofline.root == encoded.record.segment.root.0,
        "the roofline hashed something else than the sealer"
    );
    let after = head.after(&encoded.record).map_err(anyhow::Error::msg)?;
    Ok((Measured { bytes: wide(batch.bytes()), sealer, reading, checking, roofline }, after))
}

/// The opening of a chain that no topic is behind.
pub(crate) fn opening(place: Place) -> anyhow::Result<EpochOpening> {
    let chain = Chain {
        cluster: None,
        topic_id: None,
        topic: schemas::Topic::new("events")?,
        partition: place.partition,
        partitions: place.partitions,
        framing: Framing::SingleObject,
        epoch: Epoch(0),
    };
    Ok(EpochOpening {
        chain,
        start: Offset(0),
        total: 0,
        reason: "genesis".to_owned(),
        opened_at: Seconds(0),
        prev: None,
        missing: Vec::new(),
        abandoned: Vec::new(),
    })
}

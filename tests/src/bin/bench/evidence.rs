//! Bundles that prove one event, out of logs of different lengths: how large they are, and what making and checking takes.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use anyhow::Context;
use flate2::read::DeflateDecoder;
use replay::{ProveOptions, Question, Sought, Trust, check_bundle};
use schemas::tlog::TlogProof;
use schemas::{BundleName, EventId, Partition, Rows, Seconds};

use crate::batches::{Messages, SEED};
use crate::clock::{Of, Spent, timed};
use crate::corpus::Corpus;
use crate::deployment::{Deployment, ROWS, policy};
use crate::figure::{median, wide};
use crate::synthetic::Synthetic;
use crate::table;
use crate::topic::Form;
use crate::traffic::Traffic;

/// Records of partitions: one is real, of a segment of a thousand events.
const RECORDS: [u64; 3] = [1, 100, 10_000];
/// Entries of a synthetic commit.
const AT_A_TIME: u64 = 256;
/// How often each bundle is made, and how often checked.
const MADE: u32 = 15;
const CHECKED: u32 = 301;

pub(crate) fn report(corpus: &Corpus) -> anyhow::Result<()> {
    let columns = [
        "events in the log",
        "entries",
        "bundle, bytes",
        "of it, unpacked: record",
        "tlog-proof (path and checkpoint)",
        "hashes of the path",
        "hashes of the range proof",
        "proof, bytes",
        "make, ms (wall)",
        "make, ms (CPU)",
        "check, ms (wall)",
        "check, ms (CPU)",
    ];
    table::head("One event proven, nothing disclosed", &columns)?;
    RECORDS.iter().try_for_each(|records| table::row(&measure(corpus, *records)?))
}

fn measure(corpus: &Corpus, records: u64) -> anyhow::Result<[String; 12]> {
    table::progress(format_args!("a log of {records} records"));
    let deployment = between(corpus, records)?;
    let half = Traffic::new(corpus, 1, SEED).nth(ROWS / 2).context("the corpus is too small")?;
    let (bundle, made) = make(&deployment, half.event_id)?;
    let parts = Parts::of(&bundle)?;
    let checked = check(&bundle)?;
    let ms = |time: Duration| format!("{:.3}", time.as_secs_f64() * 1e3);
    Ok([
        (records * wide(ROWS)).to_string(),
        parts.proof.checkpoint.checkpoint.size.to_string(),
        bundle.len().to_string(),
        parts.record_bytes.to_string(),
        parts.proof.to_string().len().to_string(),
        parts.proof.hashes.len().to_string(),
        parts.range_hashes.to_string(),
        (parts.record_bytes + parts.proof.to_string().len() + 32 * parts.range_hashes).to_string(),
        ms(made.wall),
        ms(made.cpu),
        ms(checked.wall),
        ms(checked.cpu),
    ])
}

/// One real segment in the middle of a log of so many records.
fn between(corpus: &Corpus, records: u64) -> anyhow::Result<Deployment> {
    let deployment = Deployment::new()?;
    let (before, after) = ((records - 1) / 2, (records - 1).div_ceil(2));
    let grow = |from, by| {
        deployment.runtime.block_on(async {
            let mut log = Synthetic::after(deployment.store()?, from).await?;
            log.grow(by, AT_A_TIME).await
        })
    };
    grow(0, before)?;
    deployment.append(Messages::new(corpus, 1, Form::Deduplicated)?.take(ROWS))?;
    deployment.seal(ROWS, true)?;
    grow(before, after)?;
    // Publishes what was committed meanwhile.
    deployment.seal(ROWS, true)?;
    Ok(deployment)
}

/// The bundle of an event, and what making it takes.
fn make(deployment: &Deployment, event: EventId) -> anyhow::Result<(Vec<u8>, Spent)> {
    let folder = deployment.folder();
    let store = replay::Store::open(folder.to_str().context("the folder's name is not UTF-8")?)?;
    let question = Question::Event { sought: Sought::Id(event), session: None };
    let options = ProveOptions {
        tenant: None,
        topic: None,
        // The segments of the other one are not there.
        partition: Some(Partition(0)),
        disclose: Vec::new(),
        monitor: None,
        now: Seconds(1_800_000_000),
    };
    let prove = || deployment.runtime.block_on(replay::prove(&store, &question, &options));
    let bundle = prove()?.bytes;
    let (walls, spent) = timed(Of::Process, || {
        let one = || anyhow::Ok(timed(Of::Thread, || prove().map(drop))?.1.wall.as_secs_f64());
        (0..MADE).map(|_| one()).collect::<anyhow::Result<Vec<_>>>()
    })?;
    let wall = Duration::from_secs_f64(median(walls?));
    Ok((bundle, Spent { wall, cpu: spent.cpu / MADE }))
}

/// What checking takes, with the log's key trusted.
fn check(bundle: &[u8]) -> anyhow::Result<Spent> {
    let policy = policy()?;
    let trust = Trust { policy: Some(&policy), ..Trust::default() };
    let (walls, spent) = timed(Of::Thread, || {
        let one = |_| {
            let (checked, spent) = timed(Of::Thread, || check_bundle(bundle, &trust))?;
            anyhow::ensure!(checked.is_ok(), "the bundle does not verify: {:?}", checked.err());
            Ok(spent.wall.as_secs_f64())
        };
        (0..CHECKED).map(one).collect::<anyhow::Result<Vec<_>>>()
    })?;
    let wall = Duration::from_secs_f64(median(walls?));
    // The kernel counts a running thread's time at its ticks: one check is too short for it.
    Ok(Spent { wall, cpu: spent.cpu / CHECKED })
}

/// What of a bundle proves.
struct Parts {
    record_bytes: usize,
    proof: TlogProof,
    range_hashes: usize,
}

impl Parts {
    fn of(bundle: &[u8]) -> anyhow::Result<Self> {
        let mut members = unpacked(bundle)?;
        for (name, content) in &members {
            table::progress(format_args!("{name}: {} bytes", content.len()));
        }
        let mut take = |name: BundleName| {
            let content = members.remove(&name.to_string());
            content.with_context(|| format!("the bundle has no {name}"))
        };
        let rows = Rows::parse(&String::from_utf8(take(BundleName::Rows(0))?)?)?;
        Ok(Self {
            record_bytes: take(BundleName::Entry(0))?.len(),
            proof: TlogProof::parse(&take(BundleName::Proof(0))?)?,
            range_hashes: rows.range.left.len() + rows.range.right.len(),
        })
    }
}

/// The members of a bundle that was checked: one after another, each after its header of 30 bytes and its name.
fn unpacked(bundle: &[u8]) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let (mut members, mut rest) = (BTreeMap::new(), bundle);
    while let Some(member) = rest.strip_prefix(b"PK\x03\x04") {
        let cut = "the bundle is cut";
        let (head, after) = member.split_first_chunk::<26>().context(cut)?;
        let field = |at: usize| {
            let four = head.get(at..at + 4).and_then(|four| four.try_into().ok());
            four.map(u32::from_le_bytes).context(cut)
        };
        let (method, packed, name) = (field(4)? & 0xffff, field(14)?, field(22)? & 0xffff);
        let (name, after) = after.split_at_checked(usize::try_from(name)?).context(cut)?;
        let (data, after) = after.split_at_checked(usize::try_from(packed)?).context(cut)?;
        let mut content = Vec::new();
        match method {
            0 => content.extend(data),
            _ => drop(DeflateDecoder::new(data).read_to_end(&mut content)?),
        }
        members.insert(String::from_utf8(name.to_vec())?, content);
        rest = after;
    }
    anyhow::ensure!(!members.is_empty(), "the bundle is no zip file");
    Ok(members)
}

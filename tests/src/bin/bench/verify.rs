//! Verification of the sealed folders, beside SHA-256 alone over as many bytes.

use anyhow::Context;
use replay::{Store, VerifyOptions};
use ring::digest::{SHA256, digest};

use crate::clock::{Of, Spent, timed};
use crate::figure::{megabytes, percent, rate, wide};
use crate::sealed::Sealed;
use crate::table;

/// Bytes that are hashed at a time: more than any cache holds.
const BUFFER_BYTES: usize = 256 << 20;

pub(crate) fn report(all: &[Sealed]) -> anyhow::Result<()> {
    let columns = [
        "verify a folder",
        "topic MB",
        "MB/s per core (CPU)",
        "MB/s (wall)",
        "SHA-256 alone, MB/s (CPU)",
        "of it",
    ];
    table::head("Verify", &columns)?;
    for sealed in all {
        table::progress(format_args!("verifying {} events", sealed.form.name()));
        let verify = verify(sealed)?;
        let sha = sha(sealed.topic_bytes)?;
        table::row(&[
            sealed.form.name().to_owned(),
            format!("{:.0}", megabytes(sealed.topic_bytes)),
            format!("{:.0}", rate(sealed.topic_bytes, verify.cpu)),
            format!("{:.0}", rate(sealed.topic_bytes, verify.wall)),
            format!("{:.0}", rate(sealed.topic_bytes, sha)),
            percent(sha.as_secs_f64(), verify.cpu.as_secs_f64()),
        ])?;
    }
    Ok(())
}

fn verify(sealed: &Sealed) -> anyhow::Result<Spent> {
    let store = sealed.store();
    let store = Store::open(store.to_str().context("the folder's name is not UTF-8")?)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let verify = replay::verify(&store, VerifyOptions::default());
    let (report, spent) = timed(Of::Process, || runtime.block_on(verify))?;
    let report = report?;
    anyhow::ensure!(report.ok, "what was sealed does not verify: {:?}", report.findings.first());
    anyhow::ensure!(report.events == sealed.events, "events are missing");
    Ok(spent)
}

/// Processor time of hashing `bytes` bytes.
pub(crate) fn sha(bytes: u64) -> anyhow::Result<std::time::Duration> {
    let buffer = vec![7_u8; BUFFER_BYTES];
    let (_digest, spent) = timed(Of::Thread, || digest(&SHA256, &buffer))?;
    let times = crate::figure::number(bytes) / crate::figure::number(wide(buffer.len()));
    Ok(spent.cpu.mul_f64(times))
}

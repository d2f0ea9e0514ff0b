//! SHELL. Verifies a whole store: every partition is walked, and every finding collected, never only the first.

use futures_util::{StreamExt, TryStreamExt, stream};
use schemas::Seconds;

use crate::error::Error;
use crate::fetch::Store;
use crate::finding::{Findings, Kind, Report};
use crate::walk::{Walk, walk};

/// How [`verify`] goes about it.
#[derive(Clone, Copy, Default)]
pub struct VerifyOptions<'a> {
    /// Partitions verified at once; 0 is 1.
    pub jobs: usize,
    /// The time, by which a segment that is gone may be past its retention. Without it all that are gone are findings.
    pub now: Option<Seconds>,
    /// Told after every segment.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
}

impl std::fmt::Debug for VerifyOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyOptions").field("jobs", &self.jobs).field("now", &self.now).finish()
    }
}

/// One more segment was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its bytes.
    pub bytes: u64,
}

/// Verifies everything that a store by itself can show.
///
/// # Errors
/// Only where the store cannot be read; what is wrong with it is in the report.
pub async fn verify(store: &Store, options: VerifyOptions<'_>) -> Result<Report, Error> {
    let catalogue = store.catalogue().await?;
    let mut findings = Findings::default();
    for key in &catalogue.junk {
        findings.add(Kind::Junk, key, "nothing accounts for it");
    }
    let walks = stream::iter(catalogue.partitions)
        .map(|(topic, partition)| walk(store, options, topic, partition))
        .buffer_unordered(options.jobs.max(1));
    let walked: Vec<Walk<'_>> = walks.try_collect().await?;
    let mut report = Report::default();
    let (mut encrypted, mut unjudged) = (0, 0);
    for walk in walked {
        report.partitions += 1;
        report.segments += walk.counts.segments;
        report.events += walk.counts.events;
        report.raw += walk.counts.raw;
        report.bytes += walk.counts.bytes;
        report.expired += walk.counts.expired;
        report.sessions += u64::try_from(walk.sessions.len()).unwrap_or(u64::MAX);
        encrypted += walk.sessions.encrypted;
        unjudged += walk.sessions.unjudged;
        findings.merge(walk.findings);
    }
    (report.findings, report.findings_omitted) = findings.finish();
    report.ok = report.findings.is_empty();
    report.not_checked = not_checked(encrypted, unjudged);
    Ok(report)
}

fn not_checked(encrypted: u64, unjudged: u64) -> Vec<String> {
    let mut list: Vec<String> = [
        "signatures of sources: their keys are not in the store",
        "the log of segments, its checkpoints and witnesses",
        "object lock: modes, dates and versions",
        "gaps: that Kafka really skipped these offsets",
        "what the chain alone cannot show: segments dropped at its end, a whole partition gone, a suffix rewritten \
         together with its records, a segment added at the head",
        "objects under bodies/ that no segment lists",
        "of a segment's file: the deprecated min and max of statistics, and bytes that no page and no footer uses; its \
         hash covers both",
    ]
    .map(str::to_owned)
    .into();
    if encrypted > 0 {
        list.push(format!("the content of {encrypted} encrypted bodies"));
    }
    if unjudged > 0 {
        list.push(format!(
            "{unjudged} references to bodies or contexts that may lie in segments that are gone"
        ));
    }
    list
}

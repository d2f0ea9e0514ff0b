//! SHELL. Verifies a whole store: every partition is walked, and every finding collected, never only the first.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use schemas::Seconds;

use crate::claimed;
use crate::error::Error;
use crate::fetch::Store;
use crate::finding::{Findings, Kind};
use crate::log::{self, LogOptions, Sample, Since};
use crate::report::Report;
use crate::sources::Sources;
use crate::storage::Storage;
use crate::unchecked::{self, Unchecked};
use crate::walk::{Pending, Walk, walk};

/// How [`verify`] goes about it.
#[derive(Clone, Copy, Default)]
pub struct VerifyOptions<'a> {
    /// Partitions verified at once; 0 is 1.
    pub jobs: usize,
    /// The time, by which a segment that is gone may be past its retention. Without it all that are gone are findings.
    pub now: Option<Seconds>,
    /// Whether to look at versions and locks too. Only of a store that has them: [`Store::has_versions`].
    pub storage: bool,
    /// Keys that sources sign with.
    pub sources: Option<&'a Arc<Sources>>,
    /// How the log is judged.
    pub log: LogOptions<'a>,
    /// From when on segments are read in full; the records of all are compared with the log. Without a log all are read.
    pub since: Option<Since>,
    /// How many of the others are read in full too; without `since`, of all.
    pub sample: Option<Sample>,
    /// Told after every segment.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
}

impl std::fmt::Debug for VerifyOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = f.debug_struct("VerifyOptions");
        fields.field("jobs", &self.jobs).field("now", &self.now);
        fields.field("storage", &self.storage).field("sources", &self.sources);
        fields.field("log", &self.log).field("since", &self.since).field("sample", &self.sample);
        fields.finish()
    }
}

/// One more segment was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its bytes.
    pub bytes: u64,
}

/// Verifies everything that a store by itself can show: the log first, since what it has was in the store before, then every
/// partition.
///
/// # Errors
/// Only where the store cannot be read; what is wrong with it is in the report.
pub async fn verify(store: &Store, options: VerifyOptions<'_>) -> Result<Report, Error> {
    let options = VerifyOptions { storage: options.storage && store.has_versions(), ..options };
    let (mut findings, mut due) = (Findings::default(), Storage::new(store, &options));
    let log = log::read(store, &options, &mut due, &mut findings).await?;
    let mut catalogue = if options.storage {
        store.catalogue_of_versions().await?
    } else {
        store.catalogue().await?
    };
    for key in &catalogue.junk {
        findings.add(Kind::Junk, key, "nothing accounts for it");
    }
    let enrolled = log.iter().flat_map(|log| log.enrolments.partitions());
    catalogue.partitions.extend(enrolled.cloned());
    let walks = stream::iter(catalogue.partitions)
        .map(|at| walk(store, options, log.as_ref(), at))
        .buffer_unordered(options.jobs.max(1));
    let walked: Vec<Walk<'_>> = walks.try_collect().await?;
    let (mut report, mut unchecked) = (Report::default(), Unchecked::default());
    let mut pending = Pending::default();
    for mut walk in walked {
        sum(&mut report, &walk);
        report.losses.append(&mut walk.losses);
        report.abandoned.append(&mut walk.abandoned);
        unchecked.add(&walk);
        pending.add(walk.enrolled.pending);
        findings.merge(walk.findings);
        due.merge(walk.storage);
    }
    if options.storage {
        claimed::bodies(store, &mut due, &mut findings).await?;
        report.storage = Some(due.counts);
    }
    report.log = log.map(|log| log.told(pending, &options, &mut findings));
    report.losses.sort();
    report.abandoned.sort();
    report.signatures = options.sources.map(|_| unchecked.signatures);
    (report.findings, report.findings_omitted) = findings.finish();
    report.ok = report.findings.is_empty();
    report.not_checked = unchecked::words(&report, unchecked);
    Ok(report)
}

fn sum(report: &mut Report, walk: &Walk<'_>) {
    let counts = walk.counts;
    report.partitions += 1;
    report.segments += counts.segments;
    report.events += counts.events;
    report.raw += counts.raw;
    report.bytes += counts.bytes;
    report.expired += counts.expired;
    report.unread += counts.unread;
    report.sessions += u64::try_from(walk.sessions.len()).unwrap_or(u64::MAX);
}

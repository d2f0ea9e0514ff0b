//! SHELL. Verifies a whole store: every partition is walked, and every finding collected, never only the first.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use schemas::Seconds;

use crate::claimed;
use crate::error::Error;
use crate::fetch::Store;
use crate::finding::{Findings, Kind};
use crate::report::{Report, SignatureCounts, StorageCounts};
use crate::sources::Sources;
use crate::storage::Storage;
use crate::walk::{Walk, walk};

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
    /// Told after every segment.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
}

impl std::fmt::Debug for VerifyOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = f.debug_struct("VerifyOptions");
        fields.field("jobs", &self.jobs).field("now", &self.now);
        fields.field("storage", &self.storage).field("sources", &self.sources).finish()
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
    let options = VerifyOptions { storage: options.storage && store.has_versions(), ..options };
    let catalogue = if options.storage {
        store.catalogue_of_versions().await?
    } else {
        store.catalogue().await?
    };
    let mut findings = Findings::default();
    for key in &catalogue.junk {
        findings.add(Kind::Junk, key, "nothing accounts for it");
    }
    let walks = stream::iter(catalogue.partitions)
        .map(|(topic, partition)| walk(store, options, topic, partition))
        .buffer_unordered(options.jobs.max(1));
    let walked: Vec<Walk<'_>> = walks.try_collect().await?;
    let mut report = Report::default();
    let (mut unchecked, mut due) = (Unchecked::default(), Storage::new(store, &options));
    for walk in walked {
        let counts = walk.counts;
        report.partitions += 1;
        report.segments += counts.segments;
        report.events += counts.events;
        report.raw += counts.raw;
        report.bytes += counts.bytes;
        report.expired += counts.expired;
        report.sessions += u64::try_from(walk.sessions.len()).unwrap_or(u64::MAX);
        report.losses.extend(walk.losses);
        report.abandoned.extend(walk.abandoned);
        unchecked.encrypted += walk.sessions.encrypted;
        unchecked.unjudged += walk.sessions.unjudged;
        unchecked.signatures.add(counts.signatures);
        findings.merge(walk.findings);
        due.merge(walk.storage);
    }
    if options.storage {
        claimed::bodies(store, &mut due, &mut findings).await?;
        report.storage = Some(due.counts);
    }
    report.losses.sort();
    report.abandoned.sort();
    report.signatures = options.sources.map(|_| unchecked.signatures);
    (report.findings, report.findings_omitted) = findings.finish();
    report.ok = report.findings.is_empty();
    report.not_checked = unchecked.words(report.storage, options.sources.is_some());
    Ok(report)
}

/// What could not be checked, counted.
#[derive(Clone, Copy, Debug, Default)]
struct Unchecked {
    encrypted: u64,
    unjudged: u64,
    signatures: SignatureCounts,
}

impl Unchecked {
    fn words(self, storage: Option<StorageCounts>, sources: bool) -> Vec<String> {
        let mut list = self.signatures(sources);
        list.push("the log of segments, its checkpoints and witnesses".to_owned());
        list.extend(of_storage(storage));
        list.extend([
            "gaps: that Kafka really skipped these offsets".to_owned(),
            "what the chain alone cannot show: segments dropped at its end, a whole partition gone, a suffix rewritten \
             together with its records, a segment with a record and a lock added at the head"
                .to_owned(),
            "of a segment's file: the deprecated min and max of statistics, and bytes that no page and no footer uses; its \
             hash covers both"
                .to_owned(),
        ]);
        if self.encrypted > 0 {
            list.push(format!("the content of {} encrypted bodies", self.encrypted));
        }
        if self.unjudged > 0 {
            list.push(format!(
                "{} references to bodies or contexts that may lie in segments that are gone",
                self.unjudged
            ));
        }
        list
    }

    fn signatures(self, sources: bool) -> Vec<String> {
        let unknown = self.signatures.unknown_keys;
        if !sources {
            return vec!["signatures of sources: their keys are not in the store".to_owned()];
        }
        let words = format!("signatures of {unknown} events: their keys are not among those given");
        if unknown > 0 { vec![words] } else { Vec::new() }
    }
}

fn of_storage(counts: Option<StorageCounts>) -> Vec<String> {
    let Some(StorageCounts { unlocked, unlisted_bodies, .. }) = counts else {
        return vec![
            "object lock: modes, dates and versions".to_owned(),
            "objects under bodies/ that no segment lists".to_owned(),
        ];
    };
    let mut list = vec![
        "that the store keeps locked what it says it does; for how long openings of epochs are locked, beyond a day"
            .to_owned(),
    ];
    if unlocked > 0 {
        list.push(format!("locks of {unlocked} segments, which say that they were sealed without"));
    }
    if unlisted_bodies > 0 {
        list.push(format!(
            "the content of {unlisted_bodies} objects under bodies/ that no segment lists"
        ));
    }
    list
}

//! CORE. What a verification does not show, in words.

use crate::log::LogReport;
use crate::report::{Report, SignatureCounts, StorageCounts};
use crate::walk::Walk;

/// What could not be checked, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unchecked {
    encrypted: u64,
    unjudged: u64,
    pub(crate) signatures: SignatureCounts,
}

impl Unchecked {
    pub(crate) fn add(&mut self, walk: &Walk<'_>) {
        self.encrypted += walk.sessions.encrypted;
        self.unjudged += walk.sessions.unjudged;
        self.signatures.add(walk.counts.signatures);
    }
}

/// All of it.
pub(crate) fn words(report: &Report, unchecked: Unchecked) -> Vec<String> {
    let mut list = of_signatures(report.signatures);
    list.extend(of_log(report.log.as_ref()));
    list.extend(of_storage(report.storage));
    list.push("gaps: that Kafka really skipped these offsets".to_owned());
    list.push(
        "of a segment's file: the deprecated min and max of statistics, and bytes that no page and no footer uses; its \
         hash covers both"
            .to_owned(),
    );
    let Unchecked { encrypted, unjudged, .. } = unchecked;
    if report.unread > 0 {
        let unread = report.unread;
        list.push(format!(
            "the bytes of {unread} segments: their records are those of the log, and they were not read, as was asked for"
        ));
    }
    if encrypted > 0 {
        list.push(format!("the content of {encrypted} encrypted bodies"));
    }
    if unjudged > 0 {
        list.push(format!(
            "{unjudged} references to bodies or contexts that may lie in segments that are gone or were not read"
        ));
    }
    list
}

fn of_log(log: Option<&LogReport>) -> Vec<String> {
    let Some(log) = log else {
        return vec![
            "the log of segments: this store has none".to_owned(),
            "what the chain alone cannot show: segments dropped at its end, a whole partition gone, a suffix rewritten \
             together with its records, a segment with a record and a lock added at the head"
                .to_owned(),
        ];
    };
    let mut list = Vec::new();
    let trust = &log.trust;
    if !trust.given {
        list.push(
            "who signs the log: nobody outside vouches for its key; --trust FILE says which is the right one".to_owned(),
        );
    }
    if log.remembered.is_none() {
        list.push("that this log is what an earlier run saw: none is remembered".to_owned());
    }
    if trust.quorum_size.is_none() {
        list.push(
            "that others see the same log: no witnesses vouch for it that were given with --trust"
                .to_owned(),
        );
    }
    if trust.cosignatures_of_others > 0 {
        let others = trust.cosignatures_of_others;
        list.push(format!("{others} cosignatures of witnesses whose keys were not given"));
    }
    if trust.timestamps_not_checked > 0 {
        list.push(format!(
            "that an authority whom you trust made {} time-stamps",
            trust.timestamps_not_checked
        ));
    }
    if log.pending > 0 {
        let pending = log.pending;
        list.push(format!(
            "{pending} segments and openings that are not in the log yet, against it"
        ));
    }
    list
}

fn of_signatures(counts: Option<SignatureCounts>) -> Vec<String> {
    let Some(SignatureCounts { unknown_keys: unknown, .. }) = counts else {
        return vec!["signatures of sources: their keys are not in the store".to_owned()];
    };
    let words = format!("signatures of {unknown} events: their keys are not among those given");
    if unknown > 0 { vec![words] } else { Vec::new() }
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
            "the content of {unlisted_bodies} objects under bodies/ that no segment that was read lists"
        ));
    }
    list
}

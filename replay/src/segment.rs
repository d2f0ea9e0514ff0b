//! CORE. Everything that one segment's bytes can be checked for, given what its partition's earlier segments left behind.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use schemas::{
    Digest, EnrolledRecord, GAPS_MAX, Gaps, ObjectKey, Offset, Salt, SegmentRecord, SessionKey,
    root,
};

use crate::claim::Claim;
use crate::context::Sessions;
use crate::decode::{Batch, Breach, Segment};
use crate::finding::{Findings, Kind};
use crate::page::UNCOMPRESSED_BYTES_MAX;
use crate::profile;
use crate::report::SignatureCounts;
use crate::row::{self, Content};
use crate::sources::{Sources, Verdict};
use crate::statistics::Recomputed;

/// What an object under a segment's key turned out to be.
#[derive(Debug)]
pub(crate) enum Opened {
    /// The segment, audited.
    Segment(Box<Audited>),
    /// A segment of another key, not audited.
    Other(String),
    /// No segment.
    None(Breach),
}

/// What an audit leaves for its caller to check and to go on from.
#[derive(Debug)]
pub(crate) struct Audited {
    /// The enrolled record, as it follows from the object's bytes and key.
    pub(crate) enrolled: EnrolledRecord,
    /// Claim-checked bodies that rows name; the salt is there where the body is clear.
    pub(crate) claims: Vec<(Claim, Option<Salt>)>,
    pub(crate) events: u64,
    pub(crate) raw: u64,
    pub(crate) signatures: SignatureCounts,
}

/// A running audit.
struct Audit<'a> {
    key: &'a str,
    segment: &'a Segment,
    findings: &'a mut Findings,
    sessions: &'a mut Sessions,
    sources: Option<&'a Sources>,
    signatures: SignatureCounts,
    leaves: Vec<Digest>,
    offsets: Vec<u64>,
    last: Option<(SessionKey, Offset)>,
    times: Option<(i64, i64)>,
    schemas: BTreeSet<Digest>,
    named: BTreeMap<(SessionKey, Digest), Option<Salt>>,
    events: u64,
    raw: u64,
    /// Bytes of messages rebuilt, at most [`UNCOMPRESSED_BYTES_MAX`].
    bytes: u64,
    /// Whether every row was read, so that the root can be compared.
    whole: bool,
}

/// Audits the segment under a key.
pub(crate) fn audit(
    key: &ObjectKey,
    bytes: &Bytes,
    sha256: Digest,
    sources: Option<&Sources>,
    sessions: &mut Sessions,
    findings: &mut Findings,
) -> Opened {
    let name = key.to_string();
    let segment = match Segment::open(bytes.clone()) {
        Ok(segment) => segment,
        Err(breach) => return Opened::None(breach),
    };
    let own = key_of(&segment.record);
    if own != *key {
        return Opened::Other(own.to_string());
    }
    for (kind, why) in profile::check_layout(segment.parquet()) {
        findings.add(kind, &name, why);
    }
    let record = &segment.record;
    check_record(record, &name, findings);
    let mut audit = Audit {
        key: &name,
        segment: &segment,
        findings,
        sessions,
        sources,
        signatures: SignatureCounts::default(),
        leaves: Vec::new(),
        offsets: Vec::new(),
        last: None,
        times: None,
        schemas: BTreeSet::new(),
        named: BTreeMap::new(),
        events: 0,
        raw: 0,
        bytes: 0,
        whole: true,
    };
    audit.rows();
    audit.totals();
    let claims = audit.claims();
    let (events, raw, signatures) = (audit.events, audit.raw, audit.signatures);
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let enrolled = EnrolledRecord { segment: record.clone(), key: name.clone(), size, sha256 };
    Opened::Segment(Box::new(Audited { enrolled, claims, events, raw, signatures }))
}

/// The key of the segment that a record is of.
pub(crate) fn key_of(record: &SegmentRecord) -> ObjectKey {
    let chain = &record.chain;
    ObjectKey::Segment(chain.topic.clone(), chain.partition, chain.epoch, record.start)
}

/// What a record must be whatever the rows are.
fn check_record(record: &SegmentRecord, name: &str, findings: &mut Findings) {
    let chain = &record.chain;
    let limits = record.start < record.next && record.next.0 <= i64::MAX.cast_unsigned();
    let breaches = [
        (!limits, "its offset range is none"),
        (chain.partition.0 >= chain.partitions, "its partition is none of the topic's"),
        (record.lock.is_some() != record.retain_until.is_some(), "lock and retain_until disagree"),
        (!leader_epochs_fit(record), "its leader epochs are not one change each, ascending, in it"),
        (record.gaps.count > u64::try_from(GAPS_MAX).unwrap_or(u64::MAX), "it has too many gaps"),
    ];
    for (_, why) in breaches.into_iter().filter(|(breach, _)| *breach) {
        findings.add(Kind::Record, name, why);
    }
}

fn leader_epochs_fit(record: &SegmentRecord) -> bool {
    let Some(text) = &record.leader_epochs else { return true };
    let change = |change: &str| {
        let (offset, epoch) = change.split_once(':')?;
        let parsed: (u64, u64) = (offset.parse().ok()?, epoch.parse().ok()?);
        (format!("{}:{}", parsed.0, parsed.1) == change).then_some(parsed)
    };
    let Some(changes) = text.split(',').map(change).collect::<Option<Vec<_>>>() else {
        return false;
    };
    changes.is_sorted_by(|a, b| a.0 < b.0 && a.1 != b.1)
        && changes.iter().all(|(at, _)| (record.start.0..record.next.0).contains(at))
}

impl Audit<'_> {
    fn rows(&mut self) {
        let mut value = Vec::new();
        for group in 0..self.segment.parquet().num_row_groups() {
            let batches = match self.segment.group(group, None, None) {
                Ok(batches) => batches,
                Err(breach) => return self.unreadable(&breach.why),
            };
            let mut statistics = Recomputed::new(self.segment.parquet(), group);
            for batch in batches {
                let batch = match batch {
                    Ok(batch) => batch,
                    Err(breach) => return self.unreadable(&breach.why),
                };
                let batch = Batch::new(&batch);
                statistics.push(&batch);
                for row in 0..batch.rows {
                    if self.bytes > UNCOMPRESSED_BYTES_MAX {
                        return self.unreadable("its messages are more than are read");
                    }
                    self.row(&batch, row, &mut value);
                }
            }
            for why in statistics.finish() {
                self.findings.add(Kind::Statistics, self.key, why);
            }
        }
    }

    fn unreadable(&mut self, why: &str) {
        self.whole = false;
        self.findings.add(Kind::Unreadable, self.key, why);
    }

    fn row(&mut self, batch: &Batch<'_>, index: usize, value: &mut Vec<u8>) {
        let Some(position) = row::position(batch, index) else {
            self.whole = false;
            return self.findings.add(Kind::Row, self.key, "a row's offset is negative");
        };
        if self.last.is_some_and(|last| last >= position) {
            self.findings.at(
                Kind::Order,
                self.key,
                position.1,
                "it does not come after the row before",
            );
        }
        self.last = Some(position);
        self.offsets.push(position.1.0);
        let row = match row::read(batch, index, &self.segment.record.chain, value) {
            Ok(row) => row,
            Err(why) => {
                self.whole = false;
                return self.findings.at(Kind::Row, self.key, position.1, why);
            }
        };
        if let Some(view) = row::false_view(batch, index, &row.content) {
            let why = format!("{view} is not what the envelope says");
            self.findings.at(Kind::View, self.key, row.offset, why);
        }
        self.leaves.push(row.leaf);
        if row.timestamp.kind.code() != 0 {
            let (min, max) = self.times.unwrap_or((row.timestamp.millis, row.timestamp.millis));
            self.times = Some((min.min(row.timestamp.millis), max.max(row.timestamp.millis)));
        }
        let bytes = match &row.content {
            Content::Raw(_, bytes) => {
                self.raw += 1;
                *bytes
            }
            Content::Event(event) => {
                self.event(event, row.offset);
                event.envelope_bytes.len()
                    + event.bodies.iter().map(|b| b.data.map_or(0, <[u8]>::len)).sum::<usize>()
            }
        };
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    fn event(&mut self, event: &schemas::Event<'_>, offset: Offset) {
        self.events += 1;
        self.schemas.insert(event.schema.digest);
        for body in event.bodies.iter().filter(|body| body.data.is_none()) {
            self.named.insert((event.session_key, body.digest), body.salt);
        }
        for (kind, why) in self.sessions.observe(event) {
            self.findings.at(kind, self.key, offset, why);
        }
        let Some(sources) = self.sources else { return };
        match sources.judge(event) {
            Verdict::Right => self.signatures.right += 1,
            Verdict::UnknownKey => self.signatures.unknown_keys += 1,
            Verdict::Unsigned => self.signatures.unsigned += 1,
            Verdict::Wrong(why) => self.findings.at(Kind::Signature, self.key, offset, why),
        }
    }

    /// What the record says of all rows together.
    fn totals(&mut self) {
        let record = &self.segment.record;
        if self.whole && root(&self.leaves) != record.root {
            self.findings.add(Kind::Root, self.key, "the rows' root is not the record's");
        }
        if self.whole && self.times.unzip() != (record.time_min, record.time_max) {
            self.findings.add(Kind::Record, self.key, "the rows' times are not the record's");
        }
        match self.segment.footer.gaps(record) {
            Ok(gaps) => {
                if let Some(why) = uncovered(&mut self.offsets, &gaps, record) {
                    self.findings.add(Kind::Gap, self.key, why);
                }
            }
            Err(why) => self.findings.add(Kind::Gap, self.key, why),
        }
        if self.whole
            && let Err(why) = self.segment.footer.check_schemas(&self.schemas)
        {
            self.findings.add(Kind::Profile, self.key, why);
        }
    }

    fn claims(&mut self) -> Vec<(Claim, Option<Salt>)> {
        let listed = match self.segment.footer.claims(&self.segment.record) {
            Ok(listed) => listed,
            Err(why) => {
                self.findings.add(Kind::Record, self.key, why);
                return Vec::new();
            }
        };
        let keys = listed.iter().map(|claim| (claim.session, claim.digest));
        if self.whole && !keys.eq(self.named.keys().copied()) {
            self.findings.add(Kind::Body, self.key, "its claims are not those its rows name");
        }
        let salt =
            |claim: &Claim| self.named.get(&(claim.session, claim.digest)).copied().flatten();
        listed.iter().map(|claim| (*claim, salt(claim))).collect()
    }
}

/// Why rows and gaps together are not the segment's offsets, each once.
fn uncovered(offsets: &mut [u64], gaps: &Gaps, record: &SegmentRecord) -> Option<String> {
    offsets.sort_unstable();
    let mut gaps = gaps.ranges().iter().peekable();
    let mut at = record.start.0;
    for &offset in offsets.iter() {
        while let Some(gap) = gaps.next_if(|gap| gap.start == at) {
            at = gap.end;
        }
        if offset != at {
            return Some(format!(
                "offset {} is neither a row nor in a gap, or is there twice",
                offset.min(at)
            ));
        }
        at += 1;
    }
    while let Some(gap) = gaps.next_if(|gap| gap.start == at) {
        at = gap.end;
    }
    let rest = gaps.next().is_some() || at != record.next.0;
    rest.then(|| format!("offset {at} is neither a row nor in a gap"))
}

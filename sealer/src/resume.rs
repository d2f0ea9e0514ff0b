//! What an operator does about a partition that has stopped: a new epoch, that says what is lost and what is left behind.
//!
//! First it is planned and shown, then written: the terminal object, which takes the old epoch's next key, then the opening.
//! Both are create-only, so it may be done twice, or by two at once, and may end anywhere between.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use schemas::tlog::LogSigner;
use schemas::{
    Digest, EnrolledRecord, Epoch, EpochOpening, ObjectKey, Offset, Partition, Seconds,
    TerminalObject,
};
use store::{Created, Retention, Store};
use tokio_util::sync::CancellationToken;

use crate::adopt::{self, Difference, Found};
use crate::chain::Head;
use crate::enrol::Desk;
use crate::epoch::{self, TEXT_BYTES_MAX};
use crate::error::Error;
use crate::head::{WALK_MAX, Walk, put_record};
use crate::lane::{Keeping, Lane};
use crate::links::Confirmed;
use crate::metrics::Metrics;
use crate::source::{Extent, Source};
use crate::stop::Stop;

/// What a new epoch would say.
#[derive(Clone, Debug)]
pub struct Resumption {
    lane: Lane,
    /// Why the partition stopped.
    stop: Stop,
    /// The last segment's record, which may not have been put yet.
    last: Option<Box<EnrolledRecord>>,
    /// What ends the old epoch; `None` where junk lies at that key.
    terminal: Option<(String, TerminalObject)>,
    opening: EpochOpening,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// The new epoch is open.
    Opened(Epoch),
    /// Somebody else opened it first, and perhaps otherwise.
    Already(Epoch),
    /// A segment or an object came to the old epoch's next key meanwhile: look again.
    Moved(String),
}

impl Resumption {
    /// Finds out why a partition stopped, and what a new epoch would say; `None` where it has not stopped. Writes nothing.
    ///
    /// # Errors
    /// The store or the source failed; the partition has no chain; or a new epoch would not help.
    pub async fn plan(
        source: Source,
        store: Store,
        partition: Partition,
        class: &str,
        retention: Option<Retention>,
        signers: Option<Vec<LogSigner>>,
        now: Seconds,
    ) -> Result<Option<Self>, Error> {
        let origins = source.origins().await?;
        let origin = origins.into_iter().find(|origin| origin.partition == partition);
        let origin = origin
            .ok_or_else(|| Error::Config(format!("the topic has no partition {partition}")))?;
        let lane = Lane {
            store,
            source,
            origin,
            keeping: Keeping { class: class.to_owned(), retention },
            retry_wait_max_ms: 1000,
            metrics: Metrics::default(),
            shutdown: CancellationToken::new(),
            enroller: None,
        };
        lane.plan(signers, now).await
    }

    /// Ends the old epoch and opens the new one.
    ///
    /// # Errors
    /// The store failed: do it again.
    pub async fn write(&self) -> Result<Resumed, Error> {
        let lane = &self.lane;
        if let Some(last) = &self.last {
            put_record(lane, last, self.opening.opened_at).await?;
        }
        let lock = lane.keeping.record_lock(self.opening.opened_at)?;
        if let Some((key, terminal)) = &self.terminal {
            let text = Bytes::from(terminal.to_string());
            // A crash after this leaves an epoch that was ended and has no successor: no sealer goes on, and doing this
            // again opens it.
            let created = lane.store.create(key, text.clone(), lock).await?;
            let theirs = || lane.store.get(key, adopt::SEGMENT_BYTES_MAX);
            if created == Created::Exists && theirs().await? != Some(text) {
                return Ok(Resumed::Moved(key.clone()));
            }
        }
        let chain = &self.opening.chain;
        let key = ObjectKey::Epoch(chain.topic.clone(), chain.partition, chain.epoch).to_string();
        let text = Bytes::from(self.opening.to_string());
        let created = lane.store.create(&key, text.clone(), lock).await?;
        let ours = created == Created::New
            || lane.store.get(&key, TEXT_BYTES_MAX).await?.is_some_and(|found| found == text);
        Ok(if ours { Resumed::Opened(chain.epoch) } else { Resumed::Already(chain.epoch) })
    }
}

/// What was found where the old epoch ends.
#[derive(Debug)]
struct Seen {
    head: Head,
    extent: Extent,
    /// Why the topic is not the chain's.
    other_topic: Option<Stop>,
    /// Where the log and what was sealed part.
    parted: Option<(Offset, Stop)>,
    /// What takes the next key.
    blocked: Option<Stop>,
    /// What the log has enrolled and the store lacks.
    dropped: Option<Stop>,
}

impl Seen {
    /// Why the partition stopped, the reason that decides over what is lost before any other; `None` where it has not.
    fn stop(&self) -> Option<Stop> {
        let recreated = || self.other_topic.clone().filter(is_recreated);
        let truncated = || self.parted.as_ref().map(|(_, stop)| stop.clone());
        let (next, start) = (self.head.next, self.extent.start);
        let overtaken = || (start > next).then_some(Stop::Overtaken { next, start });
        let rest = || {
            let store = self.dropped.as_ref().or(self.blocked.as_ref());
            self.other_topic.as_ref().or(store).cloned()
        };
        recreated().or_else(truncated).or_else(overtaken).or_else(rest)
    }

    /// Where the new epoch begins.
    fn start(&self, stop: &Stop) -> Offset {
        match (stop, &self.parted) {
            (Stop::Recreated { .. }, _) => self.extent.start,
            (_, Some((offset, _))) => (*offset).max(self.extent.start),
            _ => self.head.next.max(self.extent.start),
        }
    }

    /// Offsets that no epoch will ever cover; in a re-created topic they mean nothing.
    fn missing(&self, stop: &Stop) -> Vec<Range<u64>> {
        let missing = self.head.next.0..self.start(stop).0;
        let lost = !missing.is_empty() && !is_recreated(stop);
        Some(missing).filter(|_| lost).into_iter().collect()
    }
}

impl Lane {
    async fn plan(
        self,
        signers: Option<Vec<LogSigner>>,
        now: Seconds,
    ) -> Result<Option<Resumption>, Error> {
        let origin = &self.origin;
        if self.source.is_compacted().await? {
            return Err(origin.stopped(Stop::Compacted));
        }
        let opening = epoch::last(&self.store, &origin.topic, origin.partition, origin).await?;
        let Some(opening) = opening else {
            let why = "it has no chain yet: a sealer opens its first epoch once its siblings agree with the topic";
            return Err(Error::Config(format!("partition {}: {why}", origin.partition)));
        };
        let (mut seen, last) = self.look(&opening).await?;
        if let Some(signers) = signers {
            seen.dropped = self.dropped(signers, &seen.head).await?;
        }
        // All of it was seen of one topic.
        let still = self.source.still(origin).await;
        still.map_err(|error| Error::Unsettled { what: format!("looked in vain: {error}") })?;
        let Some(stop) = seen.stop() else { return Ok(None) };
        let key = seen.head.segment_key().to_string();
        let is_junk = matches!(&seen.blocked, Some(Stop::Object { .. }));
        let epoch = seen.head.chain.epoch;
        let opening = EpochOpening {
            chain: origin.chain(Epoch(epoch.0.saturating_add(1))),
            start: seen.start(&stop),
            total: seen.head.total,
            reason: reason(&stop).to_owned(),
            opened_at: now,
            prev: Some(seen.head.prev),
            missing: seen.missing(&stop),
            abandoned: if is_junk { self.abandoned(&key).await? } else { Vec::new() },
        };
        let terminal = TerminalObject {
            topic: origin.topic.clone(),
            partition: origin.partition,
            epoch,
            start: seen.head.next,
            prev: seen.head.prev,
        };
        let terminal = (!is_junk).then_some((key, terminal));
        Ok(Some(Resumption { lane: self, stop, last, terminal, opening }))
    }

    /// Looks at the end of the epoch, and at what the source has there.
    async fn look(
        &self,
        opening: &EpochOpening,
    ) -> Result<(Seen, Option<Box<EnrolledRecord>>), Error> {
        let origin = &self.origin;
        // The log may be another by now, so it says nothing of where the chain ends.
        let anywhere = Extent { end: Offset(u64::MAX >> 1), ..Extent::default() };
        let sealed = Self { origin: origin.of_chain(&opening.chain), ..self.clone() };
        let walk = Walk { lane: &sealed, extent: anywhere, compare: None };
        let opened = Head::opened(opening);
        let trail = walk.to_its_end(opened.clone()).await?;
        let head = trail.head;
        // Asked once the chain's end is known: before, a sealer could have gone past the end that the log had.
        let extent = self.source.extent(origin).await?;
        let other_topic = origin.differs_from(&opening.chain);
        let parted = match &other_topic {
            Some(Stop::Recreated { .. }) => None,
            _ => parted(&walk, &opened, &head, extent).await?,
        };
        let key = head.segment_key().to_string();
        let blocked = match trail.blocked {
            Some(Found::Terminal) => Some(Stop::Ended { epoch: head.chain.epoch, key }),
            Some(Found::Junk(why)) => Some(Stop::Object { key, why }),
            Some(Found::Segment(_)) | None => None,
        };
        Ok((Seen { head, extent, other_topic, parted, blocked, dropped: None }, trail.last))
    }

    /// Whether the log of segments has enrolled more of the chain than there is. Writes nothing.
    async fn dropped(&self, signers: Vec<LogSigner>, head: &Head) -> Result<Option<Stop>, Error> {
        let (store, topic) = (self.store.clone(), self.origin.topic.clone());
        let desk = Desk { store, topic, keeping: self.keeping.clone(), signers };
        let mut log = desk.load(self.origin.partitions).await?;
        desk.catch_up(&mut log).await?;
        match desk.confirm(&log, head).await {
            Ok(Confirmed::Whole) => Ok(None),
            Ok(Confirmed::Dropped(enrolled)) => {
                Ok(Some(Stop::Dropped { enrolled: enrolled.next, next: head.next }))
            }
            Err(Error::Stopped { stop, .. }) => Ok(Some(stop)),
            Err(error) => Err(error),
        }
    }

    async fn abandoned(&self, key: &str) -> Result<Vec<(String, Option<String>, Digest)>, Error> {
        let content = self.store.content(key).await?;
        let listed = |found: store::Content| (key.to_owned(), found.version, found.sha256);
        Ok(content.map(listed).into_iter().collect())
    }
}

/// The first offset where the log and what was sealed of it part, found by going back segment by segment until one holds what
/// the log holds, and as far as a sealer compares that starts; `None` where they do not.
async fn parted(
    walk: &Walk<'_>,
    opened: &Head,
    head: &Head,
    extent: Extent,
) -> Result<Option<(Offset, Stop)>, Error> {
    let (next, end) = (head.next, extent.end);
    let mut first = (end < next).then_some((end, Stop::Truncated { next, end }));
    let (mut before, mut prev) = (next, head.prev);
    let hint = extent.hint.unwrap_or(next);
    let mut left = WALK_MAX;
    while before > opened.next.max(extent.start) {
        // Without it, what it holds would pass for what the log holds.
        let Some(segment) = walk.linked(opened, before, prev).await? else {
            let what = format!(
                "no segment is to be seen that ends at {before} and that the next one continues"
            );
            return Err(Error::Unsettled { what });
        };
        let start = segment.record.segment.start;
        let difference = segment.difference(walk.lane, None).await?;
        if let Some(Difference { offset, how }) = difference
            && first.as_ref().is_none_or(|(known, _)| offset < *known)
        {
            let key = segment.record.key.clone();
            first = Some((offset, Stop::Differs { key, offset, how }));
        }
        // What lies before the difference is the same, and so is then what lies before the segment. But a start compares
        // all that lies behind the hint, and must not stop at what would be no reason to resume.
        let same_before = difference.is_none_or(|found| found.offset > start.max(extent.start));
        left = left.saturating_sub(1);
        if same_before && (start <= hint || left == 0) {
            break;
        }
        (before, prev) = (start, segment.record.segment.prev);
    }
    Ok(first)
}

fn is_recreated(stop: &Stop) -> bool {
    matches!(stop, Stop::Recreated { .. })
}

fn reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::Recreated { .. } => "recreated",
        Stop::Truncated { .. } | Stop::Differs { .. } => "truncated",
        Stop::Overtaken { .. } => "overtaken",
        Stop::Partitions { .. }
        | Stop::Framing { .. }
        | Stop::Object { .. }
        | Stop::Dropped { .. }
        | Stop::Ended { .. }
        | Stop::Compacted => "operator",
    }
}

impl fmt::Display for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opening = &self.opening;
        writeln!(f, "partition {} has stopped: {}", opening.chain.partition, self.stop)?;
        match &self.terminal {
            Some((key, _)) => writeln!(f, "ends epoch {} with {key}", opening.chain.epoch.0 - 1)?,
            None => writeln!(f, "epoch {} ends before the junk", opening.chain.epoch.0 - 1)?,
        }
        writeln!(f, "opens epoch {} at offset {}", opening.chain.epoch, opening.start)?;
        for range in &opening.missing {
            let count = range.end - range.start;
            writeln!(
                f,
                "offsets {} to {} are missing for ever: {count}",
                range.start,
                range.end - 1
            )?;
        }
        for (key, version, sha256) in &opening.abandoned {
            let version = version.as_deref().unwrap_or("-");
            writeln!(f, "leaves behind {key}, version {version}, SHA-256 {sha256}")?;
        }
        write!(f, "\n{opening}")
    }
}

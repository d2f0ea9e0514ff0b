//! CORE. What is wrong with a store: each breach by kind, object and reason.

use std::fmt;

use schemas::{Offset, Partition, Topic};
use serde::Serialize;

/// Most findings a report lists; the rest are counted.
pub const FINDINGS_MAX: usize = 100_000;

/// What kind of breach a finding is. The names are part of the output and stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A segment has no record beside it.
    MissingRecord,
    /// A record is not one, or not that of its segment.
    Record,
    /// A record's segment is gone.
    MissingSegment,
    /// An object's bytes are not those that were enrolled.
    Digest,
    /// An object does not continue its chain.
    Chain,
    /// Offsets are neither rows nor gaps.
    Gap,
    /// The tree's root is another.
    Root,
    /// Rows are not in order.
    Order,
    /// A row does not follow from its message.
    Row,
    /// A view is not what the envelope says.
    View,
    /// A statistic or index is false.
    Statistics,
    /// The file is not laid out as it must be.
    Profile,
    /// A body is missing or another.
    Body,
    /// A context does not resolve to its digest.
    Context,
    /// An epoch is missing, ill opened or not closed.
    Epoch,
    /// An object that nothing accounts for.
    Junk,
    /// A valid segment that is another key's.
    Misplaced,
    /// A valid segment or opening that nobody enrolled: without a record beside it, or before others that the log has.
    Unenrolled,
    /// A version or delete marker over an object's original.
    Shadowed,
    /// A version or delete marker besides an object's original, and older.
    ExtraVersion,
    /// An object is not locked as it must be.
    Lock,
    /// A source's signature is wrong, or absent where it is required.
    Signature,
    /// An object that cannot be read at all.
    Unreadable,
    /// An enrolled segment or opening of which nothing is left, before its time.
    Dropped,
    /// A segment, record or opening that is another than the one that was enrolled.
    Forked,
    /// A commit of the log is missing, or does not continue it.
    Commit,
    /// An entry of the log that is enrolled twice, out of order, or says what is not so.
    Entry,
    /// A tile or bundle of the log is missing, or not what its entries make it.
    Tile,
    /// A checkpoint of the log is missing, or not what its commits and keys make it.
    Checkpoint,
    /// A witness's cosignature that is none.
    Cosignature,
    /// A time-stamp that is none.
    Timestamp,
    /// The log is signed or witnessed by others than those who are trusted.
    Untrusted,
    /// The log is smaller than it was.
    RolledBack,
    /// The log is another than it was.
    Rewritten,
    /// The log, or what vouches for it, is older than was asked for.
    Stale,
}

impl Kind {
    /// Its name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingRecord => "missing_record",
            Self::Record => "record",
            Self::MissingSegment => "missing_segment",
            Self::Digest => "digest",
            Self::Chain => "chain",
            Self::Gap => "gap",
            Self::Root => "root",
            Self::Order => "order",
            Self::Row => "row",
            Self::View => "view",
            Self::Statistics => "statistics",
            Self::Profile => "profile",
            Self::Body => "body",
            Self::Context => "context",
            Self::Epoch => "epoch",
            Self::Junk => "junk",
            Self::Misplaced => "misplaced",
            Self::Unenrolled => "unenrolled",
            Self::Shadowed => "shadowed",
            Self::ExtraVersion => "extra_version",
            Self::Lock => "lock",
            Self::Signature => "signature",
            Self::Unreadable => "unreadable",
            Self::Dropped => "dropped",
            Self::Forked => "forked",
            Self::Commit => "commit",
            Self::Entry => "entry",
            Self::Tile => "tile",
            Self::Checkpoint => "checkpoint",
            Self::Cosignature => "cosignature",
            Self::Timestamp => "timestamp",
            Self::Untrusted => "untrusted",
            Self::RolledBack => "rolled_back",
            Self::Rewritten => "rewritten",
            Self::Stale => "stale",
        }
    }
}

/// One breach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// What kind.
    pub kind: Kind,
    /// Key of the object.
    pub object: String,
    /// `topic/partition`, where the object belongs to one.
    pub partition: Option<String>,
    /// The row, where there is one.
    pub offset: Option<u64>,
    /// What was found, in words.
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.object)?;
        if let Some(offset) = self.offset {
            write!(f, " offset {offset}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Collects findings about one partition, or about none.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    partition: Option<String>,
    /// At most [`FINDINGS_MAX`].
    list: Vec<Finding>,
    omitted: u64,
}

impl Findings {
    pub(crate) fn of(topic: &Topic, partition: Partition) -> Self {
        Self { partition: Some(format!("{topic}/{partition}")), ..Self::default() }
    }

    pub(crate) fn add(&mut self, kind: Kind, object: &str, reason: impl Into<String>) {
        self.push(kind, object, None, reason.into());
    }

    pub(crate) fn at(&mut self, kind: Kind, object: &str, row: Offset, why: impl Into<String>) {
        self.push(kind, object, Some(row.0), why.into());
    }

    fn push(&mut self, kind: Kind, object: &str, offset: Option<u64>, reason: String) {
        if self.list.len() >= FINDINGS_MAX {
            self.omitted += 1;
            return;
        }
        let (object, partition) = (object.to_owned(), self.partition.clone());
        self.list.push(Finding { kind, object, partition, offset, reason });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.omitted == 0
    }

    pub(crate) fn merge(&mut self, other: Self) {
        let room = FINDINGS_MAX.saturating_sub(self.list.len());
        let over = other.list.len().saturating_sub(room);
        self.omitted += other.omitted + u64::try_from(over).unwrap_or(u64::MAX);
        self.list.extend(other.list.into_iter().take(room));
    }

    /// The findings in order, and how many more there were.
    pub(crate) fn finish(mut self) -> (Vec<Finding>, u64) {
        self.list.sort_by(|a, b| (&a.object, a.offset, a.kind).cmp(&(&b.object, b.offset, b.kind)));
        (self.list, self.omitted)
    }
}

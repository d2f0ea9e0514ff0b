//! CORE. The rows of chosen sessions, out of one segment: keys are read first, everything else only of the rows chosen.
//!
//! Each row read is rebuilt and read again, so that its event digest and its bodies are known to be right; the tree is not.

use std::ops::Range;

use bytes::Bytes;
use parquet::arrow::arrow_reader::RowSelection;
use schemas::{Chain, Digest, Epoch, Event, KafkaKey, Offset, Reason, Salt, SessionKey};

use crate::decode::{self, Batch, Breach, Segment};
use crate::row;

/// Which sessions are asked for.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// All that have rows.
    All,
    /// Those with these keys.
    Keys(Vec<SessionKey>),
    /// Those with these ids, whoever owns them.
    Ids(Vec<String>),
}

/// A row as it is kept for its session.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) session: SessionKey,
    pub(crate) epoch: Epoch,
    pub(crate) offset: Offset,
    /// Milliseconds, where the message has a timestamp.
    pub(crate) timestamp: Option<i64>,
    pub(crate) what: StoredWhat,
}

#[derive(Clone, Debug)]
pub(crate) enum StoredWhat {
    Event(StoredEvent),
    Raw(Reason, usize),
    Damaged(&'static str),
}

#[derive(Clone, Debug)]
pub(crate) struct StoredEvent {
    pub(crate) digest: Digest,
    pub(crate) envelope: Bytes,
    pub(crate) admission: Option<Bytes>,
    pub(crate) bodies: Vec<Carried>,
}

/// A body that an event carries.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    pub(crate) digest: Digest,
    pub(crate) what: CarriedWhat,
}

#[derive(Clone, Debug)]
pub(crate) enum CarriedWhat {
    Clear(Salt, Bytes),
    Claim(Salt),
    Encrypted(String),
}

impl Wanted {
    fn has(&self, session: SessionKey, key: Option<&[u8]>) -> bool {
        if session == SessionKey::NONE {
            return false;
        }
        match self {
            Self::All => true,
            Self::Keys(keys) => keys.contains(&session),
            Self::Ids(ids) => {
                let id =
                    key.and_then(|key| key.iter().position(|b| *b == b'/').map(|at| (key, at)));
                id.and_then(|(key, at)| key.get(at + 1..))
                    .is_some_and(|id| ids.iter().any(|wanted| wanted.as_bytes() == id))
            }
        }
    }
}

/// A session that a segment has rows of, and what its Kafka key says.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) session: SessionKey,
    pub(crate) key: KafkaKey,
    /// Rows in this segment.
    pub(crate) rows: u64,
}

/// The chosen sessions that have rows here, without reading more than keys.
pub(crate) fn sessions(segment: &Segment, wanted: &Wanted) -> Result<Vec<Named>, Breach> {
    let mut named: Vec<Named> = Vec::new();
    for group in 0..segment.parquet().num_row_groups() {
        for batch in
            segment.group(group, Some(&[decode::SESSION_KEY, decode::OFFSET, decode::KEY]), None)?
        {
            let batch = batch?;
            let batch = Batch::new(&batch);
            for row in 0..batch.rows {
                let Some((session, _)) = row::position(&batch, row) else { continue };
                if let Some(last) = named.last_mut().filter(|last| last.session == session) {
                    last.rows += 1;
                    continue;
                }
                let key = batch.bytes(decode::KEY, row);
                let parsed = key.filter(|_| wanted.has(session, key)).map(KafkaKey::parse);
                if let Some(Ok(key)) = parsed
                    && key.session_key() == session
                {
                    named.push(Named { session, key, rows: 1 });
                }
            }
        }
    }
    Ok(named)
}

const FIRST_COLUMNS: usize = schemas::FIRST_VIEW;

/// The rows of these sessions, in order. `sessions` are sorted.
pub(crate) fn rows(segment: &Segment, sessions: &[SessionKey]) -> Result<Vec<Stored>, Breach> {
    let chain = &segment.record.chain;
    let columns: Vec<usize> = (0..FIRST_COLUMNS).collect();
    let (mut stored, mut value) = (Vec::new(), Vec::new());
    for group in 0..segment.parquet().num_row_groups() {
        let ranges = ranges(segment, group, sessions)?;
        if ranges.is_empty() {
            continue;
        }
        let rows = segment.parquet().row_groups().get(group).map_or(0, |group| group.num_rows());
        let rows = usize::try_from(rows).unwrap_or(0);
        let selection = RowSelection::from_consecutive_ranges(ranges.into_iter(), rows);
        for batch in segment.group(group, Some(&columns), Some(selection))? {
            let batch = batch?;
            let batch = Batch::new(&batch);
            stored.extend((0..batch.rows).filter_map(|row| keep(&batch, row, chain, &mut value)));
        }
    }
    Ok(stored)
}

/// Rows of one row group that belong to the sessions: ascending ranges.
fn ranges(
    segment: &Segment,
    group: usize,
    sessions: &[SessionKey],
) -> Result<Vec<Range<usize>>, Breach> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    for batch in segment.group(group, Some(&[decode::SESSION_KEY, decode::OFFSET]), None)? {
        let batch = batch?;
        let batch = Batch::new(&batch);
        for row in 0..batch.rows {
            let session = row::position(&batch, row).map(|(session, _)| session);
            if session.is_some_and(|session| sessions.binary_search(&session).is_ok()) {
                match ranges.last_mut().filter(|last| last.end == at) {
                    Some(last) => last.end += 1,
                    None => ranges.push(at..at + 1),
                }
            }
            at += 1;
        }
    }
    Ok(ranges)
}

fn keep(batch: &Batch<'_>, index: usize, chain: &Chain, value: &mut Vec<u8>) -> Option<Stored> {
    let (session, offset) = row::position(batch, index)?;
    let epoch = chain.epoch;
    let row = match row::read(batch, index, chain, value) {
        Ok(row) => row,
        Err(why) => {
            let what = StoredWhat::Damaged(why);
            return Some(Stored { session, epoch, offset, timestamp: None, what });
        }
    };
    let timestamp = (row.timestamp.kind.code() != 0).then_some(row.timestamp.millis);
    let what = match row.content {
        row::Content::Raw(reason, bytes) => StoredWhat::Raw(reason, bytes),
        row::Content::Event(event) => StoredWhat::Event(owned(&event)),
    };
    Some(Stored { session, epoch, offset, timestamp, what })
}

fn owned(event: &Event<'_>) -> StoredEvent {
    let body = |body: &schemas::Body<'_>| {
        let what = match (&body.enc, body.data, body.salt) {
            (None, Some(data), Some(salt)) => {
                CarriedWhat::Clear(salt, Bytes::copy_from_slice(data))
            }
            (None, None, Some(salt)) => CarriedWhat::Claim(salt),
            (enc, _, _) => CarriedWhat::Encrypted(
                enc.as_ref().map_or_else(String::new, |e| e.key_id.to_string()),
            ),
        };
        Carried { digest: body.digest, what }
    };
    StoredEvent {
        digest: event.event_digest,
        envelope: Bytes::copy_from_slice(event.envelope_bytes),
        admission: event.admission.map(Bytes::copy_from_slice),
        bodies: event.bodies.iter().map(body).collect(),
    }
}

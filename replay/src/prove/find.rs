//! CORE. One event in a segment: by its id, which statistics narrow down, or by its digest, which only hashing shows.

use schemas::{Digest, EventId, Hasher, KafkaKey, Offset, SegmentRecord, Tenant};

use crate::decode::{self, Batch, Breach, Segment};
use crate::row;

/// What is known of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// Its id.
    Id(EventId),
    /// Its event digest, as a producer keeps it.
    Digest(Digest),
}

impl Sought {
    /// How far a segment is, by its times, from where the event most likely is: a UUIDv7 begins with milliseconds.
    pub(crate) fn distance(&self, record: &SegmentRecord) -> u64 {
        let Self::Id(EventId([a, b, c, d, e, f, version, ..])) = *self else { return 0 };
        if version >> 4 != 7 {
            return 0;
        }
        let at = i64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        match (record.time_min, record.time_max) {
            (Some(min), _) if at < min => min.abs_diff(at),
            (_, Some(max)) if at > max => at.abs_diff(max),
            _ => 0,
        }
    }
}

/// Whose event it must be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owner {
    pub(crate) tenant: Option<Tenant>,
    pub(crate) session: Option<String>,
}

impl Owner {
    pub(crate) fn has(&self, key: &KafkaKey) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| *tenant == key.tenant)
            && self.session.as_deref().is_none_or(|session| session == key.session.as_str())
    }
}

/// The first row of the event, and whose it is.
pub(crate) fn find(
    segment: &Segment,
    sought: Sought,
    owner: &Owner,
) -> Result<Option<(KafkaKey, Offset)>, Breach> {
    let mut columns = vec![decode::SESSION_KEY, decode::OFFSET, decode::KEY];
    match sought {
        Sought::Id(_) => columns.push(decode::EVENT_ID),
        Sought::Digest(_) => columns.extend([decode::SCHEMA, decode::ENVELOPE]),
    }
    for group in 0..segment.parquet().num_row_groups() {
        if !may_hold(segment, group, sought) {
            continue;
        }
        for batch in segment.group(group, Some(&columns), None)? {
            let batch = batch?;
            let batch = Batch::new(&batch);
            for row in 0..batch.rows {
                let Some(key) = key(&batch, row).filter(|key| owner.has(key)) else { continue };
                if is_it(&batch, row, sought)
                    && let Some((_, offset)) = row::position(&batch, row)
                {
                    return Ok(Some((key, offset)));
                }
            }
        }
    }
    Ok(None)
}

fn key(batch: &Batch<'_>, row: usize) -> Option<KafkaKey> {
    KafkaKey::parse(batch.bytes(decode::KEY, row)?).ok()
}

fn is_it(batch: &Batch<'_>, row: usize, sought: Sought) -> bool {
    match sought {
        Sought::Id(id) => batch.bytes(decode::EVENT_ID, row) == Some(&id.0[..]),
        Sought::Digest(digest) => {
            let columns = batch.bytes(decode::SCHEMA, row).zip(batch.bytes(decode::ENVELOPE, row));
            columns.is_some_and(|(schema, envelope)| {
                Hasher::new("event").bytes(schema).finish_with(envelope) == digest
            })
        }
    }
}

/// Whether a row group may hold the event, by its statistics of ids.
fn may_hold(segment: &Segment, group: usize, sought: Sought) -> bool {
    let Sought::Id(EventId(id)) = sought else { return true };
    let group = segment.parquet().row_groups().get(group);
    let columns = group.map(|group| group.columns()).unwrap_or_default();
    let column = columns.iter().find(|column| column.column_path().string() == "event_id");
    let range = column.and_then(|column| {
        let statistics = column.statistics()?;
        statistics.min_bytes_opt().zip(statistics.max_bytes_opt())
    });
    range.is_none_or(|(min, max)| (min..=max).contains(&id.as_slice()))
}

//! SHELL. Who else took part in a trace: other sessions of the tenant that have events with its ids. Of each segment only keys
//! and trace ids are decoded, and only segments of about the same time are fetched.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use schemas::{KafkaKey, SessionKey, Tenant, TraceId};

use crate::decode::{self, Batch, Breach, Segment};
use crate::error::Error;
use crate::fetch::{Shelf, Store};
use crate::load;
use crate::row;
use crate::session::Session;

/// Trace ids of one session that are looked for elsewhere.
pub const TRACES_MAX: usize = 256;
/// Other sessions that are read.
pub const OTHERS_MAX: usize = 16;
/// Rows that the other sessions may have together.
pub const OTHERS_ROWS_MAX: u64 = 100_000;
/// Milliseconds before and after the session in which others are looked for.
const AROUND_MS: i64 = 24 * 60 * 60 * 1000;

/// What is looked for.
#[derive(Clone, Debug)]
pub(crate) struct Sought {
    pub(crate) traces: HashSet<TraceId>,
    pub(crate) tenant: Option<Tenant>,
    /// Not this one.
    pub(crate) except: Option<SessionKey>,
    /// Milliseconds from when to when messages were written; `None` where any time will do.
    pub(crate) between: Option<(i64, i64)>,
    /// What bounds cut off, in words.
    pub(crate) notes: Vec<String>,
}

impl Sought {
    /// The traces of a session: those of its events, and the one that it is named after.
    pub(crate) fn of(session: &Session) -> Self {
        let mut traces: Vec<TraceId> = Vec::new();
        let named = session.key.session.as_str().parse().ok();
        let ids = session.events().filter_map(|(_, event)| event.envelope().trace_id);
        for id in named.into_iter().chain(ids) {
            if traces.last() != Some(&id) {
                traces.push(id);
            }
        }
        let mut unique = HashSet::new();
        traces.retain(|id| unique.insert(*id));
        let mut notes = Vec::new();
        if traces.len() > TRACES_MAX {
            let known = traces.len();
            notes.push(format!("not joined: its events have {known} trace ids, {TRACES_MAX} were looked for in other sessions"));
        }
        traces.truncate(TRACES_MAX);
        let times = session.entries.iter().filter_map(|entry| entry.timestamp_ms);
        let (first, last) = (times.clone().min(), times.max());
        let around = |(first, last): (i64, i64)| {
            (first.saturating_sub(AROUND_MS), last.saturating_add(AROUND_MS))
        };
        Self {
            traces: traces.into_iter().collect(),
            tenant: Some(session.key.tenant.clone()),
            except: Some(session.key.session_key()),
            between: first.zip(last).map(around),
            notes,
        }
    }

    /// One trace, wherever it is.
    pub(crate) fn one(trace: TraceId, tenant: Option<Tenant>) -> Self {
        let traces = HashSet::from([trace]);
        Self { traces, tenant, except: None, between: None, notes: Vec::new() }
    }

    fn wants(&self, key: &KafkaKey) -> bool {
        self.except != Some(key.session_key())
            && self.tenant.as_ref().is_none_or(|tenant| *tenant == key.tenant)
    }
}

/// The sessions that have events of these traces, and how many rows of those.
#[derive(Debug, Default)]
pub(crate) struct Found(pub(crate) BTreeMap<KafkaKey, u64>);

/// Looks through a store.
pub(crate) async fn find(store: &Store, sought: &Sought) -> Result<Found, Error> {
    let mut found = Found::default();
    if sought.traces.is_empty() {
        return Ok(found);
    }
    let sought = Arc::new(sought.clone());
    for (topic, partition) in store.catalogue().await?.partitions {
        let shelf = load::shelf(store, topic, partition).await?;
        for (&at, present) in &shelf.places {
            if (!present.segment && !store.has_versions())
                || !is_near(store, &shelf, at, &sought).await?
            {
                continue;
            }
            // What is missing or damaged is a hole of the session that is asked for, if it is one.
            let Some(segment) = load::fetch(store, &shelf, at).await?.segment else { continue };
            let sought = sought.clone();
            let read = tokio::task::spawn_blocking(move || {
                let result = scan(&segment, &sought, &mut found);
                (found, result)
            });
            let result;
            (found, result) = read.await?;
            result.map_err(|breach| Error::Damaged {
                key: shelf.segment_key(at.0, at.1),
                why: breach.why,
            })?;
        }
    }
    Ok(found)
}

/// Whether a segment's messages were written about that time, as far as is known.
async fn is_near(
    store: &Store,
    shelf: &Shelf,
    at: (schemas::Epoch, schemas::Offset),
    sought: &Sought,
) -> Result<bool, Error> {
    let Some((from, to)) = sought.between else { return Ok(true) };
    let Some((record, _)) = load::record(store, shelf, at).await? else { return Ok(true) };
    let times = record.segment.time_min.zip(record.segment.time_max);
    Ok(times.is_none_or(|(first, last)| first <= to && from <= last))
}

fn scan(segment: &Segment, sought: &Sought, found: &mut Found) -> Result<(), Breach> {
    const COLUMNS_READ: [usize; 4] =
        [decode::SESSION_KEY, decode::OFFSET, decode::KEY, decode::TRACE_ID];
    for group in 0..segment.parquet().num_row_groups() {
        for batch in segment.group(group, Some(&COLUMNS_READ), None)? {
            let batch = batch?;
            let batch = Batch::new(&batch);
            for row in 0..batch.rows {
                let trace = batch.bytes(decode::TRACE_ID, row).and_then(|id| id.try_into().ok());
                if !trace.is_some_and(|id| sought.traces.contains(&TraceId(id))) {
                    continue;
                }
                let Some((session, _)) = row::position(&batch, row) else { continue };
                let key = batch.bytes(decode::KEY, row).map(KafkaKey::parse);
                if let Some(Ok(key)) = key
                    && key.session_key() == session
                    && sought.wants(&key)
                {
                    *found.0.entry(key).or_default() += 1;
                }
            }
        }
    }
    Ok(())
}

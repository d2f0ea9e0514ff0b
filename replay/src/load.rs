//! SHELL. Sessions out of a store: segments are fetched in order, checked against their records, and their rows gathered.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use schemas::{
    Digest, EnrolledRecord, Epoch, EpochOpening, KafkaKey, ObjectKey, Offset, Partition,
    SessionKey, TerminalObject, Topic, body_digest, body_key,
};
use tracing::warn;

use crate::decode::Segment;
use crate::error::Error;
use crate::fetch::{SEGMENT_BYTES_MAX, Shelf, Store, TEXT_BYTES_MAX};
use crate::select::{self, Stored, Wanted};
use crate::session::{self, Fetched, Resolver, Session};
use crate::version::Pinned;

/// Most bytes of bodies that one session may have for a reader.
pub const SESSION_BYTES_MAX: u64 = 4 << 30;

/// A fetched segment and what was noticed about it.
pub(crate) struct Fetch {
    pub(crate) segment: Option<Arc<Segment>>,
    pub(crate) note: Option<String>,
}

/// Fetches the segment at a place, checks its bytes against the record beside it, and opens it.
pub(crate) async fn fetch(
    store: &Store,
    shelf: &Shelf,
    at: (Epoch, Offset),
) -> Result<Fetch, Error> {
    let fetched = opened(store, shelf, at).await?;
    if let Some(why) = &fetched.note {
        warn!(why, "segment is not as it was enrolled");
    }
    Ok(fetched)
}

async fn opened(store: &Store, shelf: &Shelf, at: (Epoch, Offset)) -> Result<Fetch, Error> {
    let key = shelf.segment_key(at.0, at.1);
    let noted = |why: &str| Fetch { segment: None, note: Some(format!("{key}: {why}")) };
    let record = record(store, shelf, at).await?.map(|(record, _)| record);
    let (bytes, shadow) = match segment(store, shelf, &key, record.as_ref()).await {
        Err(Error::TooLarge { .. }) => return Ok(noted("it is too large to be a segment")),
        pinned => pinned?,
    };
    let Some(bytes) = bytes else { return Ok(noted("it is gone")) };
    if TerminalObject::is_at_head_of(&bytes) {
        return Ok(Fetch { segment: None, note: None });
    }
    let opened = tokio::task::spawn_blocking(move || {
        let sha256 = Digest::of(&bytes);
        let note = match record {
            None => Some("there is no record to check its bytes against"),
            Some(record) if record.sha256 != sha256 => Some("its bytes are not those enrolled"),
            Some(_) => shadow,
        };
        (note, Segment::open(bytes))
    });
    let (note, opened) = opened.await?;
    let note = note.map(str::to_owned);
    Ok(match opened {
        Ok(segment) => {
            Fetch { segment: Some(Arc::new(segment)), note: note.map(|n| format!("{key}: {n}")) }
        }
        Err(breach) => noted(&breach.why),
    })
}

/// The record beside a segment, and the version that it was read from.
pub(crate) async fn record(
    store: &Store,
    shelf: &Shelf,
    at: (Epoch, Offset),
) -> Result<Option<(EnrolledRecord, Pinned)>, Error> {
    let (key, of) = (shelf.record_key(at.0, at.1), shelf.segment_key(at.0, at.1));
    let parsed = |bytes: &Bytes| {
        let text = std::str::from_utf8(bytes).ok()?;
        EnrolledRecord::parse(text).ok().filter(|record| record.key == of)
    };
    let is_it = |bytes: &Bytes| parsed(bytes).is_some();
    let versions = shelf.versions.as_ref();
    let pinned = store.pin_or_recover(versions, &key, TEXT_BYTES_MAX, is_it).await?;
    Ok(pinned.bytes.as_ref().and_then(parsed).map(|record| (record, pinned)))
}

/// A segment's bytes; where those under its key are not the enrolled ones and the store has versions, the version that
/// is, and what lies over it.
async fn segment(
    store: &Store,
    shelf: &Shelf,
    key: &str,
    record: Option<&EnrolledRecord>,
) -> Result<(Option<Bytes>, Option<&'static str>), Error> {
    let Some(record) = record else {
        return Ok((store.get(key, SEGMENT_BYTES_MAX).await?, None));
    };
    let is_it = |bytes: &Bytes| Digest::of(bytes) == record.sha256;
    let versions = shelf.versions.as_ref();
    let pinned = store.pin_or_recover(versions, key, SEGMENT_BYTES_MAX, is_it).await?;
    let shadowed = pinned.others.iter().any(|(_, over)| *over);
    let note = "another version or a delete marker lies over it; the original was read";
    Ok((pinned.bytes, shadowed.then_some(note)))
}

/// What a partition holds for a reader: objects that an opening says were abandoned are no part of it.
pub(crate) async fn shelf(
    store: &Store,
    topic: Topic,
    partition: Partition,
) -> Result<Shelf, Error> {
    without_abandoned(store, store.shelf(topic, partition).await?).await
}

/// As [`shelf`], of what there is in all versions.
pub(crate) async fn shelf_of_versions(
    store: &Store,
    topic: Topic,
    partition: Partition,
) -> Result<Shelf, Error> {
    without_abandoned(store, store.shelf_of_versions(topic, partition).await?).await
}

async fn without_abandoned(store: &Store, mut shelf: Shelf) -> Result<Shelf, Error> {
    for epoch in shelf.epochs.clone() {
        let opening = opening(store, &shelf, epoch).await?;
        for (key, _, _) in opening.iter().flat_map(|(opening, _)| &opening.abandoned) {
            if let Some(ObjectKey::Segment(_, _, epoch, start)) = ObjectKey::parse(key) {
                shelf.places.remove(&(epoch, start));
            }
        }
    }
    Ok(shelf)
}

/// An epoch's opening, if it can be read, and the version that it was read from.
pub(crate) async fn opening(
    store: &Store,
    shelf: &Shelf,
    epoch: Epoch,
) -> Result<Option<(EpochOpening, Pinned)>, Error> {
    let parsed = |bytes: &Bytes| {
        let opening = EpochOpening::parse(std::str::from_utf8(bytes).ok()?).ok();
        opening.filter(|opening| opening.chain.epoch == epoch)
    };
    let is_it = |bytes: &Bytes| parsed(bytes).is_some();
    let (versions, key) = (shelf.versions.as_ref(), shelf.epoch_key(epoch));
    let pinned = store.pin_or_recover(versions, &key, TEXT_BYTES_MAX, is_it).await?;
    Ok(pinned.bytes.as_ref().and_then(parsed).map(|opening| (opening, pinned)))
}

/// The sessions chosen in one partition, and the place of the last segment that has rows of each.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) sessions: HashMap<SessionKey, (KafkaKey, (Epoch, Offset))>,
    pub(crate) places: BTreeMap<(Epoch, Offset), Vec<SessionKey>>,
    notes: Vec<String>,
}

/// Finds which segments of a partition have rows of chosen sessions.
pub(crate) async fn index(store: &Store, shelf: &Shelf, wanted: &Wanted) -> Result<Index, Error> {
    let mut index = Index::default();
    for (&at, present) in &shelf.places {
        if !present.segment && !store.has_versions() {
            index.notes.push(format!("{}: it is gone", shelf.segment_key(at.0, at.1)));
            continue;
        }
        let fetch = fetch(store, shelf, at).await?;
        index.notes.extend(fetch.note);
        let Some(segment) = fetch.segment else { continue };
        let wanted = wanted.clone();
        let found =
            tokio::task::spawn_blocking(move || select::sessions(&segment, &wanted)).await?;
        match found {
            Ok(found) => {
                for named in found {
                    index.places.entry(at).or_default().push(named.session);
                    index.sessions.insert(named.session, (named.key, at));
                }
            }
            Err(breach) => {
                index.notes.push(format!("{}: {}", shelf.segment_key(at.0, at.1), breach.why));
            }
        }
    }
    Ok(index)
}

/// A session's rows in one partition.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) key: KafkaKey,
    pub(crate) partition: String,
    pub(crate) rows: Vec<Stored>,
    pub(crate) notes: Vec<String>,
}

/// Walks a partition once and hands each chosen session over as soon as its last row was read, so that no more
/// are held than are open at once.
pub(crate) async fn gather(
    store: &Store,
    shelf: &Shelf,
    index: &Index,
    mut take: impl AsyncFnMut(Gathered) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut open: HashMap<SessionKey, Vec<Stored>> = HashMap::new();
    for (&at, sessions) in &index.places {
        let Some(segment) = fetch(store, shelf, at).await?.segment else { continue };
        let mut keys = sessions.clone();
        keys.sort_unstable();
        let rows = tokio::task::spawn_blocking(move || select::rows(&segment, &keys)).await?;
        let damaged = |why| Error::Damaged { key: shelf.segment_key(at.0, at.1), why };
        for row in rows.map_err(|breach| damaged(breach.why))? {
            open.entry(row.session).or_default().push(row);
        }
        let ended: HashSet<SessionKey> = sessions.iter().copied().collect();
        for session in ended {
            let Some((key, last)) = index.sessions.get(&session) else { continue };
            if *last != at {
                continue;
            }
            let rows = open.remove(&session).unwrap_or_default();
            let partition = format!("{}/{}", shelf.topic, shelf.partition);
            take(Gathered { key: key.clone(), partition, rows, notes: index.notes.clone() })
                .await?;
        }
    }
    Ok(())
}

/// Makes one session of its rows in every partition that has some.
pub(crate) async fn assemble(
    store: &Store,
    mut parts: Vec<Gathered>,
) -> Result<Option<Session>, Error> {
    // A topic that was made anew with more partitions may have put the session into another one: the earlier part first.
    parts.sort_by_key(|part| part.rows.iter().filter_map(|row| row.timestamp).min());
    let Some(key) = parts.first().map(|part| part.key.clone()) else { return Ok(None) };
    let mut session = Session { key, partitions: vec![], entries: vec![], notes: vec![] };
    let mut resolver = Resolver::default();
    for part in parts {
        let fetched = fetch_claims(store, &session.key, &part.rows).await?;
        let partition = session.partitions.len();
        session.partitions.push(part.partition);
        session.notes.extend(part.notes);
        for row in part.rows {
            session.entries.push(resolver.entry(partition, row, &fetched));
        }
    }
    Ok(Some(session))
}

async fn fetch_claims(store: &Store, key: &KafkaKey, rows: &[Stored]) -> Result<Fetched, Error> {
    let (mut fetched, mut held) = (Fetched::new(), 0_u64);
    for (digest, salt) in session::claims(rows) {
        let object = body_key(&key.session_key(), &digest);
        let bytes = store.get(&object, SESSION_BYTES_MAX).await?;
        held = held.saturating_add(
            bytes.as_ref().map_or(0, |b| u64::try_from(b.len()).unwrap_or(u64::MAX)),
        );
        if held > SESSION_BYTES_MAX {
            let limit = format!("{SESSION_BYTES_MAX} bytes of bodies");
            return Err(Error::TooMuch { session: key.session.to_string(), limit });
        }
        let checked = |bytes: Bytes| {
            let same = body_digest(&salt, &bytes) == digest;
            same.then_some(bytes).ok_or("its object is another")
        };
        fetched.insert(digest, bytes.ok_or("its object is gone").and_then(checked));
    }
    Ok(fetched)
}

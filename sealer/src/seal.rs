//! The order of effects: what is written when, and what a crash at each step leaves behind.

use bytes::Bytes;
use schemas::{Digest, EnrolledRecord, Framing, LockMode, Seconds, SessionKey};
use store::{Created, Lock};
use tracing::{info, warn};

use crate::adopt::{self, Found};
use crate::batch::Batch;
use crate::chain::Head;
use crate::claims::{self, Claims};
use crate::compute::compute;
use crate::encode::{Encoded, Terms, encode};
use crate::error::Error;
use crate::head::put_record;
use crate::lane::Lane;

/// A batch that is sealed.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// The chain's new end.
    pub(crate) head: Head,
    /// Segments, those of other sealers included.
    pub(crate) segments: u64,
    /// Segments of other sealers among them.
    pub(crate) adopted: u64,
    /// Size of the objects that are ours.
    pub(crate) bytes: u64,
    /// Offsets in them that hold no message.
    pub(crate) gaps: u64,
}

/// Seals all of `batch` after `head`. `seed` is random and used once.
pub(crate) async fn seal(
    lane: &Lane,
    head: Head,
    mut batch: Batch,
    seed: [u8; 32],
    now: Seconds,
) -> Result<Sealed, Error> {
    // All of the batch was read before this look at the topic, so it was read from the topic that the chain is of.
    lane.patiently("look at the topic of", "the chain", || lane.source.still(&lane.origin)).await?;
    let lock = lane.keeping.lock(now)?;
    let mut sealed = Sealed { head, segments: 0, adopted: 0, bytes: 0, gaps: 0 };
    let mut known = Claims::default();
    look_up(lane, &mut batch).await?;
    while !batch.is_empty() {
        let terms = Terms {
            retention_class: lane.keeping.class.clone(),
            writer: concat!("chancery/", env!("CARGO_PKG_VERSION")).to_owned(),
            lock,
        };
        let (at, mut claims) = (sealed.head.clone(), known);
        let encoding = compute(move || {
            #[cfg(test)]
            let encode = crate::simulator::memo::encode(encode);
            let encoded = encode(&batch, &at, &terms, &seed, &mut claims);
            (batch, claims, encoded)
        });
        let encoded;
        (batch, known, encoded) = encoding.await?;
        let Some(Encoded { bytes, record }) = encoded? else {
            look_for(lane, &mut known, lock).await?;
            // A crash here leaves bodies locked longer than they need be, and nothing else.
            continue;
        };
        // A crash before this PUT leaves nothing; the source still has the messages.
        let won = put(lane, &record.key, &bytes, lock, &sealed.head, &batch).await?;
        // A crash here leaves a segment without its record and the source ahead of nothing: start-up adopts the
        // segment and puts the record.
        let ours = won.is_none();
        let record = won.unwrap_or(record);
        lane.patiently("put the record of", &record.key, || put_record(lane, &record, now)).await?;
        // A crash here leaves the source holding what is sealed: start-up goes on from the chain, not from the source.
        let wrong = |why| lane.origin.wrong(&record.key, why);
        sealed.head = sealed.head.after(&record).map_err(wrong)?;
        let (start, next) = (record.segment.start, record.segment.next);
        lane.source.forget(&lane.origin, start, next).await;
        batch.adopt(next);
        known = Claims::default();
        sealed.segments += 1;
        sealed.adopted += u64::from(!ours);
        sealed.bytes += if ours { record.size } else { 0 };
        sealed.gaps += (next.0 - start.0).saturating_sub(record.segment.rows);
        info!(
            partition = %lane.origin.partition, %start, %next, rows = record.segment.rows,
            bytes = record.size, root = %record.segment.root, ours, "segment sealed"
        );
    }
    Ok(sealed)
}

/// Asks the registry what the frames name, for as long as it takes: that it is away says nothing about a message.
async fn look_up(lane: &Lane, batch: &mut Batch) -> Result<(), Error> {
    if lane.origin.framing == Framing::SingleObject {
        return Ok(());
    }
    for id in batch.unknown() {
        let key = id.to_string();
        let schema = lane.patiently("look up schema", &key, || lane.source.schema(id)).await?;
        batch.learn(id, schema);
    }
    Ok(())
}

/// Looks for the objects that nobody has looked for, and locks them as long as the segment. One that is absent stays so in
/// the record: an event that names it must not hold up those behind it.
async fn look_for(lane: &Lane, claims: &mut Claims, lock: Option<Lock>) -> Result<(), Error> {
    for named in claims.unknown() {
        let key = schemas::body_key(&named.0, &named.1);
        let found = lane.patiently("look for", &key, || body(lane, named, lock)).await?;
        if found.is_none() {
            warn!(partition = %lane.origin.partition, %key, "a claim-checked body is not in the store");
        }
        claims.learn(named, found);
    }
    Ok(())
}

/// Size and SHA-256 of a body's object: of the very version whose lock was seen to, whatever is put over it later.
async fn body(
    lane: &Lane,
    (session, digest): (SessionKey, Digest),
    lock: Option<Lock>,
) -> Result<claims::Found, Error> {
    let key = schemas::body_key(&session, &digest);
    let Some(content) = lane.store.content(&key).await? else { return Ok(None) };
    if let (Some(s3), Some(lock)) = (lane.store.s3(), lock) {
        let version = content.version.as_deref();
        let has = s3.retention(&key, version).await?;
        if let Some(lock) = extended(has, lock) {
            s3.retain(&key, version, lock).await?;
        }
    }
    Ok(Some((content.bytes, content.sha256)))
}

/// The lock to put on what has the lock `has`, so that it lasts as `wanted`; `None` where it does already. What nobody can
/// shorten or weaken is never asked to be.
fn extended(has: Option<Lock>, wanted: Lock) -> Option<Lock> {
    let Some(has) = has else { return Some(wanted) };
    let compliance = [has.mode, wanted.mode].contains(&LockMode::Compliance);
    let mode = if compliance { LockMode::Compliance } else { LockMode::Governance };
    let lock = Lock { mode, until: has.until.max(wanted.until) };
    (lock != has).then_some(lock)
}

/// Puts a segment. `Some` is the record of another sealer's segment that took the key, continues the chain and holds what
/// the source holds.
async fn put(
    lane: &Lane,
    key: &str,
    object: &Bytes,
    lock: Option<Lock>,
    head: &Head,
    batch: &Batch,
) -> Result<Option<EnrolledRecord>, Error> {
    let create = || async {
        match lane.store.create(key, object.clone(), lock).await {
            Ok(Created::New) => Ok(None),
            // Taken, or the answer was lost on the way: what stands there tells which.
            Ok(Created::Exists) => {
                let absent =
                    || Error::Unsettled { what: format!("{key} is taken, but reads as absent") };
                read_back(lane, key).await?.ok_or_else(absent).map(Some)
            }
            Err(error) if error.kind() == store::Kind::Unknown => {
                match read_back(lane, key).await {
                    Ok(Some(found)) => Ok(Some(found)),
                    Ok(None) | Err(_) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    };
    let found = lane.patiently("put", key, create).await?;
    let Some(found) = found.filter(|found| found != object) else { return Ok(None) };
    let segment = match adopt::inspect(lane, key, found).await? {
        Found::Segment(segment) => segment,
        Found::Terminal => {
            let (partition, epoch) = (lane.origin.partition, head.chain.epoch);
            return Err(Error::Ended { partition, epoch });
        }
        Found::Junk(why) => return Err(lane.origin.wrong(key, why)),
    };
    head.after(&segment.record).map_err(|why| lane.origin.wrong(key, why))?;
    lane.patiently("compare", key, || segment.compare(lane, Some(batch))).await?;
    warn!(partition = %lane.origin.partition, %key, "another sealer was first; its segment is adopted");
    Ok(Some(segment.record))
}

async fn read_back(lane: &Lane, key: &str) -> Result<Option<Bytes>, Error> {
    match lane.store.get(key, adopt::SEGMENT_BYTES_MAX).await {
        Err(error @ store::Error::TooLarge { .. }) => {
            Err(lane.origin.wrong(key, error.to_string()))
        }
        found => Ok(found?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_s_lock_is_made_longer_and_stronger_but_never_the_reverse() {
        let lock = |mode, until| Lock { mode, until: Seconds(until) };
        let (g, c) = (LockMode::Governance, LockMode::Compliance);
        assert_eq!(extended(None, lock(g, 5)), Some(lock(g, 5)));
        assert_eq!(extended(Some(lock(g, 4)), lock(g, 5)), Some(lock(g, 5)));
        assert_eq!(extended(Some(lock(g, 9)), lock(g, 5)), None);
        assert_eq!(extended(Some(lock(g, 9)), lock(c, 5)), Some(lock(c, 9)));
        assert_eq!(extended(Some(lock(c, 4)), lock(g, 5)), Some(lock(c, 5)));
        assert_eq!(extended(Some(lock(c, 9)), lock(g, 5)), None);
    }
}

//! A batch as the segment that it will be if the chain ends where it is thought to end: encoded before its turn to be put.
//!
//! It puts nothing. All that it does to the store is to lock claim-checked bodies for longer.

use schemas::{Digest, Framing, LockMode, Seconds, SessionKey};
use store::Lock;
use tracing::warn;

use crate::batch::Batch;
use crate::chain::Head;
use crate::claims::{self, Claims};
use crate::compute::compute;
use crate::encode::{Encoded, Terms, encode};
use crate::error::Error;
use crate::lane::Lane;

/// A batch, encoded.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Not empty; it begins where `head` ends.
    batch: Batch,
    /// Random, and used for this batch alone.
    seed: [u8; 32],
    /// When the batch was cut.
    cut_at: Seconds,
    lock: Option<Lock>,
    /// The end of the chain that it was encoded after.
    head: Head,
    encoded: Encoded,
}

impl Draft {
    /// Encodes `batch` as the segment after `head`, which was or will be the end of the chain. `seed` is random and used once.
    pub(crate) async fn new(
        lane: &Lane,
        head: Head,
        mut batch: Batch,
        seed: [u8; 32],
        cut_at: Seconds,
    ) -> Result<Self, Error> {
        look_up(lane, &mut batch).await?;
        let lock = lane.keeping.lock(cut_at)?;
        let mut known = Claims::default();
        loop {
            let terms = Terms {
                retention_class: lane.keeping.class.clone(),
                writer: concat!("chancery/", env!("CARGO_PKG_VERSION")).to_owned(),
                lock,
            };
            let (at, mut claims) = (head.clone(), known);
            let encoding = compute(move || {
                #[cfg(test)]
                let encode = crate::simulator::memo::encode(encode);
                let encoded = encode(&batch, &at, &terms, &seed, &mut claims);
                (batch, claims, encoded)
            });
            let encoded;
            (batch, known, encoded) = encoding.await?;
            if let Some(encoded) = encoded? {
                return Ok(Self { batch, seed, cut_at, lock, head, encoded });
            }
            look_for(lane, &mut known, lock).await?;
        }
    }

    /// What is left to be put after `head`: itself where that is the end that it was encoded after; where another sealer was
    /// first, what that one left of the batch, encoded again; `None` where it left nothing.
    pub(crate) async fn after(self, lane: &Lane, head: &Head) -> Result<Option<Self>, Error> {
        if self.is_after(head) {
            return Ok(Some(self));
        }
        let Self { mut batch, seed, cut_at, .. } = self;
        batch.adopt(head.next);
        if batch.is_empty() {
            return Ok(None);
        }
        Self::new(lane, head.clone(), batch, seed, cut_at).await.map(Some)
    }

    /// Whether it was encoded after `head`.
    pub(crate) fn is_after(&self, head: &Head) -> bool {
        self.head == *head
    }

    /// The end of the chain once it is sealed.
    pub(crate) fn end(&self) -> Head {
        Head::at(&self.encoded.record)
    }

    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }

    pub(crate) fn cut_at(&self) -> Seconds {
        self.cut_at
    }

    pub(crate) fn lock(&self) -> Option<Lock> {
        self.lock
    }

    pub(crate) fn encoded(&self) -> &Encoded {
        &self.encoded
    }
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

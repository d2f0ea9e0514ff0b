//! The order of effects: what is written when, and what a crash at each step leaves behind.

use std::time::Duration;

use bytes::Bytes;
use store::{Created, Store};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::batch::Batch;
use crate::chain::Head;
use crate::claims::Claims;
use crate::decode;
use crate::encode::{Encoded, Terms, encode};
use crate::error::{Error, ErrorKind};
use crate::head::{Origin, SEGMENT_BYTES_MAX, adopt, put_record};
use crate::message::Message;
use crate::source::Source;

/// First wait before an operation on the store is tried again; doubles each time.
const RETRY_WAIT_MIN_MS: u64 = 100;
/// Tries that are made even when a shutdown has been asked for.
const TRIES_MIN: u32 = 5;

/// What sealing needs besides the batch.
#[derive(Clone, Debug)]
pub(crate) struct Sealing {
    pub(crate) store: Store,
    pub(crate) source: Source,
    pub(crate) origin: Origin,
    pub(crate) terms: Terms,
    pub(crate) retry_wait_max_ms: u64,
    pub(crate) shutdown: CancellationToken,
}

/// A batch that is sealed.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// The chain's new end.
    pub(crate) head: Head,
    /// Size of the object; 0 where another sealer's was adopted.
    pub(crate) bytes: u64,
    /// Whether any part of the batch was found sealed by another.
    pub(crate) adopted: bool,
}

impl Sealing {
    /// Seals all of `batch` after `head`.
    pub(crate) async fn seal(
        &self,
        mut head: Head,
        mut batch: Batch,
        seed: [u8; 32],
    ) -> Result<Sealed, Error> {
        let (mut bytes, mut adopted, mut known) = (0, false, Claims::default());
        while !batch.is_empty() {
            let (terms, at, mut claims) = (self.terms.clone(), head.clone(), known);
            let encoding = tokio::task::spawn_blocking(move || {
                let encoded = encode(&batch, &at, &terms, &seed, &mut claims);
                (batch, claims, encoded)
            });
            let encoded;
            (batch, known, encoded) = encoding.await.map_err(Error::Task)?;
            let Some(Encoded { bytes: object, record }) = encoded? else {
                self.look_for(&mut known).await?;
                continue;
            };
            // A crash before this PUT leaves nothing; the source still has the messages.
            let won = self.put(&record.key, &object, &head, &batch).await?;
            // A crash here leaves a segment without its record and the source ahead of nothing: start-up adopts the
            // segment and puts the record.
            let ours = won.is_none();
            let record = won.unwrap_or(record);
            self.patiently("put the record of", &record.key, || put_record(&self.store, &record))
                .await?;
            // A crash here leaves the source holding what is sealed: start-up goes on from the chain, not from the source.
            head = head.after(&record).map_err(|why| self.origin.wrong(&record.key, why))?;
            self.source.forget(&self.origin, head.next).await;
            batch.adopt(head.next);
            known = Claims::default();
            bytes += if ours { record.size } else { 0 };
            adopted |= !ours;
            info!(
                partition = %self.origin.partition, start = %record.segment.start, next = %record.segment.next,
                rows = record.segment.rows, bytes = record.size, root = %record.segment.root, ours,
                "segment sealed"
            );
        }
        Ok(Sealed { head, bytes, adopted })
    }

    /// Looks for the objects that nobody has looked for. One that is absent stays so in the record: an event that names it
    /// must not hold up those behind it.
    async fn look_for(&self, claims: &mut Claims) -> Result<(), Error> {
        for (session, digest) in claims.unknown() {
            let key = schemas::body_key(&session, &digest);
            let found = self
                .patiently("look for", &key, || async {
                    Ok(self.store.size_and_sha256(&key).await?)
                })
                .await?;
            if found.is_none() {
                warn!(partition = %self.origin.partition, %key, "a claim-checked body is not in the store");
            }
            claims.learn((session, digest), found);
        }
        Ok(())
    }

    /// Puts a segment. `Some` is the record of another sealer's segment that took the key and continues the chain.
    async fn put(
        &self,
        key: &str,
        object: &Bytes,
        head: &Head,
        batch: &Batch,
    ) -> Result<Option<schemas::EnrolledRecord>, Error> {
        let create = || async {
            match self.store.create(key, object.clone(), None).await {
                Ok(Created::New) => Ok(None),
                // Taken, or the answer was lost on the way: what stands there tells which.
                Ok(Created::Exists) => self.read_back(key).await.map(Some),
                Err(error) if error.kind() == store::Kind::Unknown => {
                    match self.store.get(key, SEGMENT_BYTES_MAX).await {
                        Ok(Some(found)) => Ok(Some(found)),
                        Ok(None) | Err(_) => Err(error.into()),
                    }
                }
                Err(error) => Err(error.into()),
            }
        };
        let found = self.patiently("put", key, create).await?;
        let Some(found) = found.filter(|found| found != object) else { return Ok(None) };
        let record = adopt(&self.origin, key, &found)?;
        head.after(&record).map_err(|why| self.origin.wrong(key, why))?;
        self.compare(key, &found, batch)?;
        warn!(partition = %self.origin.partition, %key, "another sealer was first; its segment is adopted");
        Ok(Some(record))
    }

    async fn read_back(&self, key: &str) -> Result<Bytes, Error> {
        let found = self.store.get(key, SEGMENT_BYTES_MAX).await?;
        found.ok_or_else(|| self.origin.wrong(key, "it is taken, but reads as absent"))
    }

    /// A segment that another sealer wrote must hold what the source holds, as far as this batch reaches.
    fn compare(&self, key: &str, found: &Bytes, batch: &Batch) -> Result<(), Error> {
        let mut equal = 0_usize;
        let footer = decode::visit(found, |stored| {
            if stored.message.offset >= batch.next() {
                return Ok(());
            }
            let index = batch
                .messages()
                .binary_search_by_key(&stored.message.offset, |message| message.offset);
            let ours = index.ok().and_then(|index| batch.messages().get(index));
            if !ours.is_some_and(|ours| same(ours, stored)) {
                return Err(decode::NotASegment::Rule(
                    "a row is not the message that the source holds",
                ));
            }
            equal += 1;
            Ok(())
        })
        .map_err(|why| self.origin.wrong(key, why.to_string()))?;
        let sealed = |message: &&Message| message.offset < footer.record.next;
        if equal != batch.messages().iter().filter(sealed).count() {
            return Err(self.origin.wrong(key, "it lacks a message that the source holds"));
        }
        Ok(())
    }

    /// Tries until it works, waiting longer each time; an error that trying again cannot mend ends it at once, and so does
    /// a shutdown after a few tries.
    async fn patiently<T, F: Future<Output = Result<T, Error>>>(
        &self,
        doing: &str,
        key: &str,
        mut operation: impl FnMut() -> F,
    ) -> Result<T, Error> {
        let mut wait = RETRY_WAIT_MIN_MS;
        let mut tries = 0;
        loop {
            let error = match operation().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            tries += 1;
            let hopeless = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Conflict);
            if hopeless || (self.shutdown.is_cancelled() && tries >= TRIES_MIN) {
                return Err(error);
            }
            warn!(partition = %self.origin.partition, %key, tries, wait_ms = wait, %error, "could not {doing} yet");
            crate::clock::wait(Duration::from_millis(wait)).await;
            wait = (wait * 2).min(self.retry_wait_max_ms);
        }
    }
}

fn same(ours: &Message, stored: &decode::Stored<'_>) -> bool {
    let message = &stored.message;
    ours.timestamp == message.timestamp
        && ours.key.as_deref() == message.key
        && ours.value.as_deref() == message.value
        && ours.headers_bytes().as_deref() == stored.headers
}
